"""Sound cards in a process of its own, of which a chosen one appears later.

``replugged_program.py CONFIG LATER CARDS``: plays a tone at the card ``left`` and wants the
microphone ``usb``, which is not there.  After a line on standard input ALSA's configuration becomes
the later one, and the kernel (a file and a folder in CARDS) shows another card.  Prints what stands
in before and after.
"""

from __future__ import annotations

import ctypes
import select
import sys
import time
from array import array
from math import pi, sin
from pathlib import Path

from appliance.adapters import audio
from appliance.media.devices import Devices
from appliance.model.sound_device import ChooseDevices

TONE = array("h", [round(8000 * sin(2 * pi * 500 * at / 48_000)) for at in range(960)]).tobytes()


def run(devices: Devices, seconds: float) -> None:
    """Feed the loudspeaker."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        select.select([devices.wake_fd], [], [], 0.1)
        devices.clear()
        while devices.captured() is not None:
            pass
        while devices.hungry:
            devices.put(TONE)


def main(config: Path, later: str, cards: Path) -> None:
    """Play on while a card appears."""
    (cards / "snd").mkdir()
    (cards / "cards").write_text("one")
    audio.CARDS = (cards / "cards", cards / "snd")
    devices = Devices()
    devices.choose(ChooseDevices("usb", "left", handset=True))
    devices.want(microphone=True, speaker=True)
    try:
        run(devices, 1.5)
        print(devices.notice, flush=True)
        sys.stdin.readline()
        run(devices, 1.0)
        config.write_text(later)
        # ALSA keeps what it has read; a card of the kernel would need no configuration.
        ctypes.CDLL("libasound.so.2").snd_config_update_free_global()
        (cards / "cards").write_text("two")
        run(devices, 2.0)
        print(devices.notice, devices.microphone_problem, devices.speaker_problem, flush=True)
    finally:
        devices.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).read_text(), Path(sys.argv[3]))
