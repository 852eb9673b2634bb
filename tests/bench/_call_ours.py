"""Calls between two real stations of ours, files for microphone and speaker."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from _clips import Script, Sound
from _heard import Heard, recorded, true_time
from _stations import listed
from call import state

from appliance.api.client import Client
from appliance.village.launch import daemon_command
from appliance.village.village import Village

AFTER_S = 0.7
"""From the answer until the file for the microphone begins: its reader is a process of its own."""

SOON_S = 0.2
"""Until an event stream stands."""

COMPLETE_S = 5.0
BEGUN = re.compile(r"file to (play|record) begins at ([0-9.]+) s")
"""What the daemon's log says."""

MARK = "drift"
"""File in a station's directory: what is put into its daemon's environment."""


def our_command() -> list[str]:
    """What starts our daemon, so that a file can say that its clock drifts."""
    script = f'if [ -e "$0/../{MARK}" ]; then export $(cat "$0/../{MARK}"); fi; exec "$@"'
    return ["sh", "-c", script, "{state}", *daemon_command()]


class Ours:
    """The first and the last station of a line; the village was made with `our_command`."""

    name = "ours"
    tag_bytes = 16

    def __init__(self, up: Village, script: Script, folder: Path) -> None:
        self._up, self._folder = up, folder / self.name
        self._folder.mkdir()
        self._said = script.write(self._folder / "said.wav")
        self._silence = script.silent(self._folder / "silence.wav")
        self._drift: dict[str, str] = {}
        self._number = 0
        self._running = False

    async def start(self, *, drift: dict[str, str]) -> None:
        if self._running and drift == self._drift:
            return
        await self.stop()
        self._drift = drift
        mark = self._up.station("a").state.parent / MARK
        mark.unlink(missing_ok=True)
        if drift:
            mark.write_text("\n".join(f"{key}={value}" for key, value in drift.items()))
        await asyncio.gather(*(asyncio.to_thread(self._up.start, name) for name in "ac"))
        self._running = True
        await asyncio.gather(*(listed(self._client(name), 1) for name in "ac"))

    def _client(self, name: str) -> Client:
        return Client(self._up.station(name).api)

    async def call(self, talk_s: float) -> Heard:
        a, c = self._client("a"), self._client("c")
        self._number += 1
        heard = self._folder / f"heard {self._number}.wav"
        nothing = self._folder / f"nothing {self._number}.wav"
        peer = await c.status()
        incoming = asyncio.create_task(state(c, None, "ringing-here"))
        talking = asyncio.create_task(state(a, None, "talking"))
        await asyncio.sleep(SOON_S)
        logs = {name: self._log_size(name) for name in "ac"}
        await a.call(peer.id, play=str(self._said), record=str(nothing))
        _, call = await incoming
        await c.answer(call, play=str(self._silence), record=str(heard))
        await talking
        await asyncio.sleep(talk_s + AFTER_S)
        ended = asyncio.create_task(state(c, None, "ended"))
        await asyncio.sleep(SOON_S)
        await c.hang_up(call)
        await ended
        begun = {name: self._begun(name, logs[name]) for name in "ac"}
        sound, _, _ = await asyncio.to_thread(complete, heard)
        for path in (heard, nothing):
            with suppress(FileNotFoundError):
                path.unlink()
        return Heard(sound, begun["a"]["play"] - begun["c"]["record"])

    def _log_size(self, name: str) -> int:
        return self._up.station(name).log.stat().st_size

    def _begun(self, name: str, after: int) -> dict[str, float]:
        """When a station's files began, on the clock that all share."""
        text = self._up.station(name).log.read_bytes()[after:].decode(errors="replace")
        found = {what: float(at) for what, at in BEGUN.findall(text)}
        if not {"play", "record"} <= found.keys():
            raise RuntimeError(f"{name} did not say when its files began: {text[-2000:]}")
        if name == "a":
            found = {what: true_time(at, self._drift) for what, at in found.items()}
        return found

    async def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        await asyncio.gather(*(asyncio.to_thread(self._up.stop, name) for name in "ac"))
        for name in "ac":
            for file in self._up.station(name).state.iterdir():
                shutil.rmtree(file) if file.is_dir() else file.unlink()


def complete(path: Path) -> tuple[Sound, int, int]:
    """What was recorded, once the file says of itself that it is whole."""
    deadline = time.monotonic() + COMPLETE_S
    while time.monotonic() < deadline:
        with path.open("rb") as file:
            head = file.read(44)
        if int.from_bytes(head[40:44], "little") == path.stat().st_size - 44:
            return recorded(path)
        time.sleep(0.05)
    raise TimeoutError(f"{path.name} was not completed")
