"""The links of the mesh on real interfaces: each scenario on a machine of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import links_scenarios
import pytest

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

ROOT = Path(__file__).resolve().parents[2]
ALONE = ("unshare", "-Urnmp", "--fork", "--mount-proc", "--kill-child")
WITHIN_S = 110


@pytest.mark.timeout(WITHIN_S + 10)
@pytest.mark.parametrize("scenario", [one.__name__ for one in links_scenarios.SCENARIOS])
def test_links(scenario: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*ALONE, sys.executable, links_scenarios.__file__, scenario, str(tmp_path)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
