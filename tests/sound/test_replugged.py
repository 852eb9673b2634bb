"""A chosen card that appears while another one plays: it is taken, and the other hardly stops."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from sound_server import MICROPHONE, SPEAKER, SoundServer, needs_pipewire
from speech import RATE, samples

pytestmark = needs_pipewire

PROGRAM = Path(__file__).with_name("replugged_program.py")

MOST_SILENT_MS = 300
"""73 ms on a quiet machine: both are closed, PortAudio looks anew, both are opened. What a busy one
drops in between counts as well."""


def test_a_chosen_card_that_appears_is_taken_and_the_loudspeaker_goes_on(
    server: SoundServer, tmp_path: Path
) -> None:
    config = tmp_path / "asound.conf"
    server.describe_cards({"left": "", "usb": ""})
    later = tmp_path / "later.conf"
    later.write_text(config.read_text())
    server.describe_cards({"left": ""})
    for name in ("left", "usb"):
        server.plug_in(f"{name}-in", MICROPHONE)
    server.plug_in("left-out", SPEAKER)
    cards, heard = tmp_path / "kernel", tmp_path / "heard.wav"
    cards.mkdir()
    command = [sys.executable, str(PROGRAM), str(config), str(later), str(cards)]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        command,
        env=server.whole_environment(PYTHONPATH=root),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as playing:
        assert playing.stdin is not None
        assert playing.stdout is not None
        assert "'usb' is not there" in playing.stdout.readline()
        with server.recorded(heard, "left-out"):
            print("", file=playing.stdin, flush=True)
            assert playing.stdout.readline() == "None None None\n"
    assert playing.returncode == 0
    sound = np.abs(samples(heard))
    each_ms = RATE // 1000
    peaks = sound[: len(sound) // each_ms * each_ms].reshape(-1, each_ms).max(axis=1)
    loud = np.flatnonzero(peaks > 1000)
    gaps_ms = [int(gap) for gap in np.diff(loud) if gap > 5]
    print(f"\nsilent for {gaps_ms} ms")
    assert sum(gaps_ms) <= MOST_SILENT_MS
