"""Every released version has left a database that its successors are tried with."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_each_released_version_has_left_a_database() -> None:
    said = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## (\d+\.\d+\.\d+) \(", said, re.MULTILINE)
    assert released
    kept = {path.name for path in (ROOT / "tests/vectors/store").iterdir()}
    assert kept == {f"v{version}.{kind}" for version in released for kind in ("json", "sql")}
