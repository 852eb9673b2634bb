"""Everything that `scripts/test` runs once the environment is there: lint, types, tests.

The fast tests go first and end the run when they fail; the ones that build villages follow. At the
end it says how long each stage took, what was skipped and why, and the sum of all tests. What is
installed, and how, stays in `scripts/environment.sh`.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SLOW_TESTS = ("tests/village", "tests/interop")
"""Real daemons and programs; a minute or more."""
NO_TESTS_COLLECTED = 5
"""pytest's exit code for an empty selection."""
TIMED_OUT = -1
STOP_GRACE_S = 30.0
"""For pytest to end what it started and print its summary."""


@dataclass(frozen=True)
class Stage:
    """One command of the run."""

    name: str
    """What the table at the end calls it."""
    arguments: tuple[str, ...]
    """What follows `python -m`."""
    limit_s: float
    """Ended after this long, so that nothing hangs; together they stay below 25 minutes."""
    ends_run: bool = False
    """Whether the stages after it are pointless when it fails."""


@dataclass
class Tally:
    """What came of the stages so far."""

    durations: list[tuple[str, float, bool]] = field(default_factory=list)
    """Stage, seconds, whether it passed."""
    counts: Counter[str] = field(default_factory=Counter)
    """Tests passed, failed and skipped."""
    skips: Counter[str] = field(default_factory=Counter)
    """How many tests were skipped for each reason."""

    @property
    def passed(self) -> bool:
        return all(passed for _, _, passed in self.durations)


def stages(arguments: list[str]) -> list[Stage]:
    """The stages of a run; `arguments` replace the choice of tests."""
    checks = [
        Stage("lint", ("ruff", "check", "."), 60),
        Stage("format", ("ruff", "format", "--check", "."), 60),
        Stage("types", ("mypy",), 240),
    ]
    if arguments:
        return [*checks, Stage("tests", ("pytest", *arguments), 660)]
    slow = [path for path in SLOW_TESTS if (ROOT / path).is_dir()]
    fast = ("pytest", "tests", *(f"--ignore={path}" for path in slow))
    checks.append(Stage("fast tests", fast, 420, ends_run=True))
    if slow:
        checks.append(Stage("slow tests", ("pytest", *slow), 660))
    return checks


def run(stage: Stage, tally: Tally) -> None:
    """Runs one stage and adds what came of it."""
    print(f"\n--- {stage.name}: {' '.join(stage.arguments)}", flush=True)
    command = [sys.executable, "-m", *stage.arguments]
    is_tests = stage.arguments[0] == "pytest"
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        if is_tests:
            command.append(f"--junitxml={report}")
        started = time.monotonic()
        code = run_limited(command, stage)
        if is_tests and report.exists():
            count(report, tally)
    passed = code == 0 or (is_tests and code == NO_TESTS_COLLECTED)
    tally.durations.append((stage.name, time.monotonic() - started, passed))


def run_limited(command: list[str], stage: Stage) -> int:
    """The command's exit code; one that takes too long is asked to stop and say where it was."""
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            return process.wait(stage.limit_s)
        except subprocess.TimeoutExpired:
            print(f"{stage.name} did not end within {stage.limit_s:.0f} s.", flush=True)
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return TIMED_OUT


def count(report: Path, tally: Tally) -> None:
    """Adds the tests of a JUnit report; a test that fails twice (call, teardown) counts once."""
    outcomes: dict[tuple[str | None, str | None], str] = {}
    for case in ET.parse(report).iter("testcase"):
        key = case.get("classname"), case.get("name")
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcomes[key] = "failed"
        elif skipped is not None:
            outcomes.setdefault(key, "skipped")
            tally.skips[skipped.get("message") or "no reason given"] += 1
        else:
            outcomes.setdefault(key, "passed")
    tally.counts.update(outcomes.values())


def summarize(tally: Tally) -> None:
    """Prints durations, what was skipped and why, and the sum."""
    print("\n--- summary")
    for name, duration_s, passed in tally.durations:
        print(f"{name:<12} {duration_s:7.1f} s   {'passed' if passed else 'FAILED'}")
    for reason, number in sorted(tally.skips.items()):
        print(f"skipped {number}: {reason}")
    missing = os.environ.get("FENCEWIRE_MISSING_PACKAGES")
    if missing:
        print(f"not installed: {missing}   (sudo apt-get install {missing})")
    counts = tally.counts
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")


def main(arguments: list[str]) -> int:
    """Runs the stages in order and returns the exit code."""
    tally = Tally()
    for stage in stages(arguments):
        run(stage, tally)
        if stage.ends_run and not tally.durations[-1][2]:
            print(f"\nThe {stage.name} failed, so the rest was not run.")
            break
    summarize(tally)
    return 0 if tally.passed else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
