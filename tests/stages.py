"""Everything that `scripts/test` runs once the environment is there: lint, types, tests, the image.

The fast tests go first, spread over all cores, and end the run when they fail; the ones with sound,
the simulations, the crash tests and the ones that build villages follow, each alone on the machine,
since they measure time. At the end it says how long each stage took, what was skipped and why, and
the sum of all tests. What is installed, and how, stays in `scripts/environment.sh`.

The image has stages of its own, because it takes minutes to build and to boot: with `--image` all
tests of one image and nothing else; with `--ci`, after everything else, that PCs which were
started from the image join. The latter is left out when nothing that goes into the image has
changed since it passed on this machine.
"""

import argparse
import ctypes
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from images.builder.work import cache_dir

ROOT = Path(__file__).resolve().parent.parent
SLOW_TESTS = ("tests/village", "tests/interop")
"""Real daemons and programs; a minute or more."""
SOUND_TESTS = ("tests/unit/media/test_voice_process.py", "tests/sound")
"""Speech at its own pace, of which nothing may come late, and sound cards; a minute or two."""
SIMULATIONS = "tests/sim"
"""Many stations in virtual time; a minute."""
CRASH_TESTS = "tests/crash"
"""Programs that are killed hundreds of times; a minute or more."""
IMAGE_TESTS = "tests/image"
"""Virtual machines; many minutes."""
SPREAD = ("-n", "auto", "--maxprocesses=8", "--dist=worksteal", "--max-worker-restart=0")
"""Options of pytest-xdist: one worker a core, and a test that kills its worker ends the run. Any
worker may get any test, so each has to stand on its own."""
NO_TESTS_COLLECTED = 5
"""pytest's exit code for an empty selection."""
TIMED_OUT = -1
STOP_GRACE_S = 30.0
"""For pytest to end what it started and print its summary."""
INTERRUPTED = 130
"""The exit code that shells give to Ctrl-C."""
PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): processes whose parent ended become our children, so that they can be found."""


@dataclass(frozen=True)
class Stage:
    """One command of the run."""

    name: str
    """What the table at the end calls it."""
    arguments: tuple[str, ...]
    """What follows `python -m`."""
    limit_s: float
    """Ended after this long, so that nothing hangs. Those without an image stay together below 30
    minutes; building one from nothing may take as long again."""
    ends_run: bool = False
    """Whether the stages after it are pointless when it fails."""
    left_out: str = ""
    """Why it is not run at all; said in the summary."""
    remember: Path | None = None
    """A file that is made when it has passed."""


@dataclass
class Tally:
    """What came of the stages so far."""

    durations: list[tuple[str, float, bool]] = field(default_factory=list)
    """Stage, seconds, whether it passed."""
    counts: Counter[str] = field(default_factory=Counter)
    """Tests passed, failed and skipped."""
    skips: Counter[str] = field(default_factory=Counter)
    """How many tests were skipped for each reason."""
    left_out: list[Stage] = field(default_factory=list)
    """Stages that were not run, which say why."""

    @property
    def passed(self) -> bool:
        return all(passed for _, _, passed in self.durations)


def stages(arguments: list[str], *, ci: bool = False) -> list[Stage]:
    """The stages of a run; `arguments` replace the choice of tests."""
    checks = [
        Stage("lint", ("ruff", "check", "."), 20),
        Stage("format", ("ruff", "format", "--check", "."), 20),
        Stage("types", ("mypy",), 90),
    ]
    if arguments:
        return [*checks, Stage("tests", ("pytest", *arguments), 660)]
    slow = [path for path in SLOW_TESTS if (ROOT / path).is_dir()]
    crash = [path for path in (CRASH_TESTS,) if (ROOT / path).is_dir()]
    apart = (*SOUND_TESTS, *slow, *crash, SIMULATIONS, IMAGE_TESTS)
    fast = ("pytest", "tests", *(f"--ignore={path}" for path in apart), *SPREAD)
    checks.append(Stage("fast tests", fast, 240, ends_run=True))
    checks.append(Stage("sound tests", ("pytest", *SOUND_TESTS), 195, ends_run=True))
    checks.append(Stage("simulations", ("pytest", SIMULATIONS), 420))
    if crash:
        checks.append(Stage("crash tests", ("pytest", *crash), 210))
    if slow:
        checks.append(Stage("slow tests", ("pytest", *slow, *SPREAD), 600))
    if ci:
        checks += join_stages()
    return checks


def join_stages() -> list[Stage]:
    """The PC image is built, and machines that start from it become a mesh."""
    if os.geteuid() != 0:
        return [Stage("PCs join", (), 0, left_out="an image is built by root only")]
    passed = passed_before("pc")
    if passed.exists():
        reason = f"nothing that goes into the image changed since it passed here ({passed})"
        return [Stage("PCs join", (), 0, left_out=reason)]
    return [
        Stage("PC image", ("images.builder", "pc"), 1800, ends_run=True),
        Stage(
            "PCs join",
            ("pytest", f"{IMAGE_TESTS}/test_join.py", "--image=pc"),
            900,
            remember=passed,
        ),
    ]


def passed_before(kind: str) -> Path:
    """The file that says that the machines joined, with all that this depends on in its name."""
    listing = subprocess.run(
        [sys.executable, "-m", "images.builder", kind, "--key"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    whole = hashlib.sha256(listing.stdout.encode())
    for directory in (ROOT / "images/vm", ROOT / IMAGE_TESTS):
        for path in sorted(directory.rglob("*.py")):
            whole.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return cache_dir("passed") / f"join-{kind}-{whole.hexdigest()[:32]}"


def image_stages(kind: str, selection: list[str]) -> list[Stage]:
    """Every test of one image, or `selection`, which is arguments of pytest."""
    tests = selection or [IMAGE_TESTS]
    return [
        Stage(f"{kind} image", ("images.builder", kind), 5400, ends_run=True),
        Stage("image tests", ("pytest", *tests, f"--image={kind}"), 5400),
    ]


def run(stage: Stage, tally: Tally) -> None:
    """Runs one stage and adds what came of it."""
    if stage.left_out:
        tally.left_out.append(stage)
        return
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
    if code == 0 and stage.remember is not None:
        stage.remember.parent.mkdir(parents=True, exist_ok=True)
        stage.remember.touch()


def run_limited(command: list[str], stage: Stage) -> int:
    """The command's exit code; one that takes too long is asked to stop and say where it was."""
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            return process.wait(stage.limit_s)
        except subprocess.TimeoutExpired:
            print(f"{stage.name} did not end within {stage.limit_s:.0f} s.", flush=True)
            interrupt(process.pid, workers="-n" in command)
            await_end(process)
        except KeyboardInterrupt:  # the terminal told everybody who runs in it
            await_end(process)
            raise
    return TIMED_OUT


def interrupt(pid: int, *, workers: bool) -> None:
    """Asks pytest to stop; its workers where it has some, since they alone name the test."""
    for one in (children_of(pid) if workers else []) or [pid]:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGINT)


def await_end(process: subprocess.Popen[bytes]) -> None:
    """Gives a process that was asked to stop its time, and no more."""
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def children_of(pid: int) -> list[int]:
    """The processes whose parent it is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def adopt_orphans() -> None:
    """From now on, what a stage leaves running is ours when the stage has ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_left_over() -> None:
    """Kills every process below ours, such as workers of a pytest that had to be killed."""
    while left := children_of(os.getpid()):
        for pid in left:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def count(report: Path, tally: Tally) -> None:
    """Adds the tests of a JUnit report; a test that fails twice (call, teardown) counts once."""
    outcomes: dict[tuple[str | None, str | None], str] = {}
    for case in ET.parse(report).iter("testcase"):
        key = case.get("classname"), case.get("name")
        if key[1] is None:  # a worker had begun it when the run was stopped
            continue
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
    for stage in tally.left_out:
        print(f"{stage.name:<12} not run: {stage.left_out}")
    for reason, number in sorted(tally.skips.items()):
        print(f"skipped {number}: {reason}")
    missing = os.environ.get("FENCEWIRE_MISSING_PACKAGES")
    if missing:
        print(f"not installed: {missing}   (sudo apt-get install {missing})")
    counts = tally.counts
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")


def main(arguments: list[str]) -> int:
    """Runs the stages in order and returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/test", allow_abbrev=False)
    parser.add_argument("--image", choices=("pc", "pi"), help="only the tests of this image")
    parser.add_argument("--ci", action="store_true", help="all, and PCs from the image join")
    options, selection = parser.parse_known_args(arguments)
    tally = Tally()
    if options.image:
        chosen = image_stages(options.image, selection)
    else:
        chosen = stages(selection, ci=options.ci)
    adopt_orphans()
    for stage in chosen:
        try:
            run(stage, tally)
        except KeyboardInterrupt:
            print("\nInterrupted.")
            return INTERRUPTED
        finally:
            end_left_over()
        if stage.ends_run and not tally.durations[-1][2]:
            print(f"\nThe {stage.name} failed, so the rest was not run.")
            break
    summarize(tally)
    return 0 if tally.passed else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
