"""What bash offers when Tab is pressed, asked of bash itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fencewire_program import Fencewire

PRESS_TAB = """
source "$1"; shift
COMP_WORDS=(fencewire "$@") COMP_CWORD=$#
[[ $(complete -p fencewire) =~ -F\\ ([^ ]+) ]] && function=${BASH_REMATCH[1]}
"$function" fencewire "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
async def script(fencewire: Fencewire, tmp_path: Path) -> Path:
    path = tmp_path / "completion.bash"
    path.write_text((await fencewire("completion", "bash")).out)
    return path


def _offered(script: Path, folder: Path, *words: str) -> set[str]:
    done = subprocess.run(
        ["bash", "--norc", "-c", PRESS_TAB, "bash", script, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes(script: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    (folder / "sounds").mkdir(parents=True)
    (folder / "speech.wav").touch()
    for words, wanted in (
        (["st"], {"status", "stations", "stop", "storage"}),
        (["village", "st"], {"status", "start", "stop"}),
        (["send", "--precedence", "em"], {"emergency"}),
        (["call", "clinic", "--pl"], {"--play"}),
        (["call", "clinic", "--play", "spe"], {"speech.wav"}),
        (["run", "--state", "s"], {"sounds"}),
        (["--api", "spe"], {"speech.wav"}),
    ):
        assert _offered(script, folder, *words) == wanted, words
