"""The first line: what it says of the time."""

from __future__ import annotations

from datetime import UTC

import pytest
from shapes import at, status

from appliance.tui.actions import Loaded
from appliance.tui.store import TuiState, reduce
from appliance.tui.topline import top_row
from appliance.tui.wording import Times


def line(width: int, **changes: object) -> str:
    state = reduce(TuiState(), Loaded(status(**changes), (), (), (), (), 5.0))
    return "".join(text for text, _ in top_row(state, 5.0, Times(UTC), width))


@pytest.mark.parametrize("words", ["clock not set", "clock agreed with 3 stations"])
def test_it_says_where_the_time_comes_from_where_there_is_room(words: str) -> None:
    clock = at(sure=False)
    assert line(100, clock=clock, clock_source=words).rstrip().endswith(f"{words}      ~12:02")
    for width in range(20, 120):
        shown = line(width, clock=clock, clock_source=words)
        assert shown.rstrip().endswith("~12:02")
        # Nothing else makes room for it.
        assert words in shown or shown == line(width, clock=clock)
        assert words not in shown or len(shown) <= width
