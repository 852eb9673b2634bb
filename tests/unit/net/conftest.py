"""What several tests of the network helper's parts need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.net.undo import Undo


@pytest.fixture
def undo(tmp_path: Path) -> Iterator[Undo]:
    """A journal without changes."""
    journal = Undo(tmp_path / "journal", where="here")
    yield journal
    journal.close()
