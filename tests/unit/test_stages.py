"""What `scripts/test` adds up and ends, and how the environment's script takes the locks apart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import stages

ROOT = Path(__file__).resolve().parent.parent.parent

REPORT = """<testsuites><testsuite>
<testcase classname="a" name="passes"/>
<testcase classname="a" name="fails"><failure message="no"/></testcase>
<testcase classname="a" name="leaks"/>
<testcase classname="a" name="leaks"><error message="left over"/></testcase>
<testcase classname="b" name="skips"><skipped message="needs babeld"/></testcase>
<testcase classname="c" name="skips"><skipped message="needs babeld"/></testcase>
<testcase time="0.1"/>
</testsuite></testsuites>"""

HANGING = """
import os, threading
import pytest

@pytest.mark.parametrize("which", range(4))
def test_hang(which):
    with open("told", "w") as told:
        told.write(f"{os.getpid()}\\n")
    threading.Event().wait()
"""

LEAVING = """
import os, subprocess, stages
stages.adopt_orphans()
subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 &"], check=True)
before = stages.children_of(os.getpid())
stages.end_left_over()
print(len(before), len(stages.children_of(os.getpid())))
"""


def test_a_report_is_added_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    tally = stages.Tally()
    stages.count(report, tally)
    stages.summarize(tally)
    *_, skipped, last = capsys.readouterr().out.splitlines()
    assert skipped == "skipped 2: needs babeld"
    assert last == "1 passed, 2 failed, 2 skipped"


def test_a_stage_that_hangs_is_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    stage = stages.Stage("endless", ("this",), 0.2)
    code = stages.run_limited([sys.executable, "-c", "import time; time.sleep(600)"], stage)
    assert code == stages.TIMED_OUT
    assert "did not end within" in capsys.readouterr().out


def test_workers_that_hang_are_stopped_and_say_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # starts in half the time
    monkeypatch.chdir(tmp_path)
    Path("pytest.ini").write_text("[pytest]")
    Path("test_it.py").write_text(HANGING)
    os.mkfifo("told")
    command = [sys.executable, "-m", "pytest", "-p", "xdist", *stages.SPREAD, "-n", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pytest_of_its_own:
        workers: set[int] = set()
        while len(workers) < 2:
            workers.update(int(pid) for pid in Path("told").read_text().split())
        assert workers == set(stages.children_of(pytest_of_its_own.pid))
        stages.interrupt(pytest_of_its_own.pid, workers=True)
        said = pytest_of_its_own.communicate(timeout=30)[0]
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert said.count("FAILED test_it.py::test_hang[") == 2


def test_what_a_stage_leaves_running_is_ended() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], cwd=ROOT / "tests", capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("1 0\n", "")


def test_each_test_has_one_stage() -> None:
    fast, *others = [stage for stage in stages.stages([]) if stage.arguments[0] == "pytest"]
    apart = {path for stage in others for path in stage.arguments[1:]} - {*stages.SPREAD}
    ignored = {
        one.removeprefix("--ignore=") for one in fast.arguments if one.startswith("--ignore=")
    }
    assert fast.ends_run
    assert stages.SIMULATIONS in apart
    assert (stages.CRASH_TESTS in apart) == (ROOT / stages.CRASH_TESTS).is_dir()
    assert ignored == apart | {stages.IMAGE_TESTS}


def test_who_shares_the_machine() -> None:
    spread = [stage.name for stage in stages.stages([]) if "-n" in stage.arguments]
    assert spread == ["fast tests", "slow tests"]


def test_a_run_without_images_ends_within_half_an_hour() -> None:
    assert sum(stage.limit_s for stage in stages.stages([])) < 30 * 60


def test_every_package_is_in_one_part_of_the_lock() -> None:
    lock = ROOT / "requirements-dev.lock"

    def part(which: str) -> list[str]:
        script = f'. scripts/environment.sh; lock_part {which} "{lock}"'
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    wheels, source = part("wheels"), part("source")
    assert [line.split("==")[0] for line in source if "==" in line] == ["pesq"]
    assert sorted(wheels + source) == sorted(lock.read_text().splitlines())
