"""Calls between two baresips of Debian, a file for the microphone and a file for the speaker.

What is heard is taken where a sound card would be: the listener's player is bridged to its own
source (`aubridge`), and what goes into the encoder there is written by `sndfile`. What is said is
taken at the same place of the speaker, so that the way through that bridge counts for nobody.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import wave
from pathlib import Path

import numpy as np
from _clips import CALL_RATE, Script, to_48_khz
from _heard import FRAME_S, Heard, begin_of, growth, recorded

from appliance.village.village import Village

START_S = 15.0
MODULES = Path("/usr/lib/baresip/modules")
HEADER_BYTES = 44
LATER_S = 0.5
"""The listener hears what was said up to this much later."""
CONFIG = """\
poll_method epoll
sip_listen {host}:5060
audio_player {player}
audio_source {source}
audio_alert aubridge,alert
audio_level no
audio_buffer 20-160
rtp_tos 184
jitter_buffer_delay 5-10
module_path {modules}
module sndfile.so
module opus.so
module aufile.so
module aubridge.so
module_tmp account.so
module_app menu.so
snd_path {folder}
statmode_default off
opus_inbandfec yes
{opus}
"""
"""As Debian's package writes it, but for the devices, and with error correction switched on."""

MONO = "opus_stereo no"
"""It then offers opus/48000/1, which RFC 7587 does not know, and opens its devices so."""

PLAIN = "opus_bitrate 28000\nopus_packet_loss 10"
"""What that package sets."""

AS_MANY_BYTES = f"opus_bitrate 48000\nopus_packet_loss 20\n{MONO}"
"""With all that we may send."""


class Baresip:
    """One call, two processes."""

    tag_bytes = 0

    def __init__(self, up: Village, script: Script, folder: Path, opus: str = PLAIN) -> None:
        self.name = "baresip" if opus == PLAIN else "baresip48"
        self._up, self._script, self._folder, self._opus = up, script, folder / self.name, opus
        self._drift: dict[str, str] = {}
        self._number = 0
        self._folder.mkdir()
        self._channels = 1 if MONO in opus else 2
        self._said = self._folder / "said.wav"
        both = np.repeat(to_48_khz(script.sound).astype("<i2"), self._channels)
        with wave.open(str(self._said), "wb") as file:
            file.setparams((self._channels, 2, CALL_RATE, 0, "NONE", ""))
            file.writeframes(both.tobytes())

    async def start(self, *, drift: dict[str, str]) -> None:
        self._drift = drift

    async def stop(self) -> None:
        """Nothing lasts longer than a call."""

    def _begin(
        self, name: str, hosts: tuple[str, str], player: str, source: str, *more: str
    ) -> tuple[Path, subprocess.Popen[str]]:
        """A baresip in a station; its folder."""
        folder = self._folder / f"{self._number}-{name}"
        folder.mkdir()
        text = CONFIG.format(
            host=hosts[0],
            player=player,
            source=source,
            modules=MODULES,
            folder=folder,
            opus=self._opus,
        )
        (folder / "config").write_text(text, encoding="utf-8")
        account = f"<sip:{name}@{hosts[0]}>;regint=0;answermode=auto\n"
        (folder / "accounts").write_text(account, encoding="utf-8")
        environment = {**os.environ, **(self._drift if name == "a" else {}), "HOME": str(folder)}
        with (folder / "log").open("w", encoding="utf-8") as log:
            process = self._up.popen(
                name,
                ["baresip", "-4", "-f", str(folder), *more],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
        return folder, process

    async def call(self, talk_s: float) -> Heard:
        self._number += 1
        a, c = HOSTS
        ear, listener = self._begin("c", (c, a), "aubridge,ear", "aubridge,ear")
        await self._written(ear, "baresip is ready")
        dial = f"/dial sip:c@{c}"
        source = f"aufile,{self._said}"
        mouth, speaker = self._begin("a", (a, c), "aubridge,nobody", source, "-e", dial)
        try:
            follow = (asyncio.to_thread(self._follow, end) for end in (mouth, ear))
            begins = await asyncio.gather(*follow)
            await asyncio.sleep(max(0.0, begins[0] + talk_s + LATER_S - time.monotonic()))
        finally:
            for process in (speaker, listener):
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(process.wait, START_S)
        sound, _, _ = recorded(_dump(ear))
        # A frame is spoken when its last sample was, and heard from its first on.
        return Heard(sound, begins[0] - (begins[1] + FRAME_S))

    async def _written(self, folder: Path, what: str) -> None:
        async with asyncio.timeout(START_S):
            while what not in (folder / "log").read_text(errors="replace"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # another process writes it

    def _follow(self, folder: Path) -> float:
        """When a side's file began; blocks until that is known."""
        deadline = time.monotonic() + START_S
        while not list(folder.glob("dump-*-enc.wav")):
            if time.monotonic() > deadline:
                raise TimeoutError((folder / "log").read_text(errors="replace")[-1500:])
            time.sleep(0.001)
        seen = growth(_dump(folder), header=HEADER_BYTES, within_s=START_S)
        return begin_of(seen, 2 * self._channels * CALL_RATE)


def _dump(folder: Path) -> Path:
    """What went into a side's encoder."""
    (path,) = folder.glob("dump-*-enc.wav")
    return path


HOSTS = ("10.0.1.1", "10.0.1.3")
"""Of who speaks and who listens, in one network through the relay."""
