"""What is measured in real time is tried again only where the machine stood still."""

from __future__ import annotations

import os
import signal
import time

import pytest
import standstill
import undisturbed
from standstill import STILL_S, Witness

TWICE = """
    import pathlib
    def test_sound():
        tried = pathlib.Path("tried")
        tried.write_text(tried.read_text() + "x" if tried.exists() else "x")
        assert len(tried.read_text()) >= {passes}
"""


class Fixed:
    """A witness that always says the same."""

    def __init__(self, still_s: float) -> None:
        self._still_s = still_s

    def longest_s(self, since: float) -> float:
        return self._still_s

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("still_s", "passes", "came_of_it", "tries"),
    [
        (0.0, 1, {"passed": 1}, 1),
        (0.0, 2, {"failed": 1}, 1),
        (0.05, 1, {"passed": 1}, 1),
        (0.05, 3, {"passed": 1}, 3),
        (0.05, 9, {"skipped": 1}, undisturbed.TRIES),
    ],
)
def test_a_failure_counts_unless_the_machine_stood_still(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    still_s: float,
    passes: int,
    came_of_it: dict[str, int],
    tries: int,
) -> None:
    monkeypatch.setattr(undisturbed, "Witness", lambda: Fixed(still_s))
    folder = pytester.mkpydir("tests") / "sound"
    folder.mkdir()
    (folder / "test_it.py").write_text(pytester.makepyfile(TWICE.format(passes=passes)).read_text())
    result = pytester.runpytest_inprocess(
        "-p",
        "no:asyncio",
        "-p",
        "no:textual-snapshot",
        "-p",
        "undisturbed",
        "--rootdir=.",
        "tests/sound",
    )
    result.assert_outcomes(**came_of_it)
    assert (pytester.path / "tried").read_text() == "x" * tries
    if tries > 1:
        result.stdout.fnmatch_lines(["*the machine stood still*50*"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may go before everything else")
def test_a_witness_that_was_not_let_run_says_so() -> None:
    began = time.monotonic()
    witness = Witness()
    try:
        program = witness._program.pid
        deadline = time.monotonic() + 10
        while witness.longest_s(began) < 10 * STILL_S:
            assert time.monotonic() < deadline
            os.kill(program, signal.SIGSTOP)
            time.sleep(12 * STILL_S)
            os.kill(program, signal.SIGCONT)
            time.sleep(2 * standstill.EVERY_S)
        assert witness.longest_s(time.monotonic()) == 0.0
    finally:
        witness.close()
