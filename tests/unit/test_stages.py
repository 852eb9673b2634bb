"""What `scripts/test` adds up, and how the environment's script takes the locks apart."""

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
</testsuite></testsuites>"""


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


def test_each_test_has_one_stage() -> None:
    fast, *others = [stage for stage in stages.stages([]) if stage.arguments[0] == "pytest"]
    apart = {path for stage in others for path in stage.arguments[1:]}
    ignored = {one.removeprefix("--ignore=") for one in fast.arguments[2:]}
    assert fast.ends_run
    assert stages.SIMULATIONS in apart
    assert ignored == apart | {stages.IMAGE_TESTS}


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
