"""The README's village without a screen: its lines as they stand there, typed by nobody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from speech import LONG, needs_speech, samples

from appliance.village.launch import SOURCE_ROOT, module_environment

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces"), needs_speech]

BEGINS, ENDS = "With one machine", "`scripts/run village down` ends it"
TIMEOUT_S = 50.0
QUIETEST = 300.0
"""Root mean square of 16 bit samples; silence is 0 and the recording about 1,900."""

STATIONS = "scripts/run village exec a -- fencewire stations"
PATIENCE = {
    # Nobody types as fast as this runs.
    " send ": f"until {STATIONS} | grep -q here; do sleep 0.1; done",
    " inbox": "until scripts/run village exec b -- fencewire inbox --peek | grep -q road;"
    " do sleep 0.1; done",
    # The one that answers.
    " --play ": "NAME=$(scripts/run village exec b -- fencewire status | awk '/^name/ {print $2}');"
    f' until {STATIONS} | grep "^$NAME" | grep -q here; do sleep 0.1; done',
}
"""What goes before a line with these words."""


@dataclass(frozen=True)
class Checkout:
    """A folder in which `scripts/run` works, and an environment with no `fencewire` in it."""

    folder: Path
    environment: dict[str, str]

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "--norc", "-euc", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    tmp_path = tmp_path_factory.mktemp("r")  # short, since sockets have short names
    run = tmp_path / "scripts" / "run"
    run.parent.mkdir()
    run.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m appliance "$@"\n')
    run.chmod(0o755)
    environment = {
        **module_environment(),
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "FENCEWIRE_VILLAGE": str(tmp_path / "villages"),
    }
    made = Checkout(tmp_path, environment)
    yield made
    made.bash("scripts/run village down")


def _lines() -> list[str]:
    text = (SOURCE_ROOT / "README.md").read_text(encoding="utf-8")
    part = text[text.index(BEGINS) : text.index(ENDS)]
    lines = [line.strip() for line in part.splitlines() if line.startswith("    ")]
    assert any(str(LONG) in line for line in lines)
    return [line for line in lines if "village tui" not in line and "apt-get" not in line]


def test_the_readme_tells_the_truth(checkout: Checkout) -> None:
    script: list[str] = []
    for line in _lines():
        script += [before for words, before in PATIENCE.items() if words in line]
        script.append(line.replace(" NAME ", ' "$NAME" '))
    done = checkout.bash("\n".join([*script, "wait $!"]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The road to the school is open." in done.stdout
    heard = samples(checkout.folder / "heard.wav")
    assert (heard**2).mean() ** 0.5 > QUIETEST
