"""The bench harness: medians, goals, and the JSON line that programs read."""

import json
from pathlib import Path

import pytest
from harness import Report, benches, percentile, unit_of


def test_last_line_is_the_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("discovery")
    assert report.add("cold_start_s", [3.0, 1.0, 2.0], goal=2.0, what="start to session") == 2.0
    report.add("cold_start_p95_s", [float(n) for n in range(101)], percent=95, goal=90.0)
    report.add("sustained_per_s", 812, goal=500, at_least=True)
    report.note("rows", [{"trace": "calm"}])
    assert report.finish(json=True) == 0
    *table, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert result["cold_start_s"] == 2.0
    assert result["cold_start_p95_s"] == 95.0
    assert result["rows"] == [{"trace": "calm"}]
    assert result["runs"] == {"cold_start_s": 3, "cold_start_p95_s": 101}
    assert result["load1"] >= 0
    lines = {line.split()[0]: line for line in table if line}
    assert "≤ 2 met" in lines["cold_start_s"]
    assert "≤ 90 missed" in lines["cold_start_p95_s"]
    assert "≥ 500 met" in lines["sustained_per_s"]
    assert "rows" not in lines


def test_a_value_is_added_once() -> None:
    report = Report("call")
    report.add("ringing_ms", 1.0)
    with pytest.raises(ValueError, match="ringing_ms was added twice"):
        report.add("ringing_ms", 2.0)


def test_percentiles_interpolate() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.5
    assert percentile([7.0], 99) == 7.0
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 50)


def test_the_unit_is_the_end_of_the_name() -> None:
    names = ("cold_start_s", "sustained_per_s", "bulk_1hop_mbit_s", "idle_cpu_pct", "hops")
    assert [unit_of(name) for name in names] == ["s", "/s", "Mbit/s", "%", ""]


def test_benches_are_listed_by_their_docstrings(tmp_path: Path) -> None:
    (tmp_path / "harness.py").write_text('"""Not one."""')
    (tmp_path / "call.py").write_text('"""Dial to first audio.\n\nMore."""')
    assert benches(tmp_path) == {"call": "Dial to first audio."}
