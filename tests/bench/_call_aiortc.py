"""Calls between two programs made with aiortc, which comes from the package index."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import IO, Any

from _clips import Script
from _heard import Heard, recorded, true_time
from _systems import environment

from appliance.village.village import Village

AIORTC = ("aiortc==1.16.0",)
SCRIPT = str(Path(__file__).with_name("_aiortc_end.py"))
BEGIN_S = 3.0
"""From the answer until sound flows: ICE, DTLS."""

ANSWER_S = 20.0


class Aiortc:
    """One call, two processes."""

    name = "aiortc"
    tag_bytes = 10
    """AES_CM_128_HMAC_SHA1_80."""

    def __init__(self, up: Village, script: Script, folder: Path) -> None:
        self._up, self._folder = up, folder / self.name
        self._folder.mkdir()
        self._said = script.write(self._folder / "said.wav")
        self._drift: dict[str, str] = {}
        self._python: Path | None = None

    async def start(self, *, drift: dict[str, str]) -> None:
        self._drift = drift
        if self._python is None:
            self._python = await asyncio.to_thread(environment, AIORTC)

    async def stop(self) -> None:
        """Nothing lasts longer than a call."""

    def _begin(self, name: str, role: str) -> subprocess.Popen[str]:
        with (self._folder / f"{role}.log").open("a") as log:
            return self._up.popen(
                name,
                [str(self._python), SCRIPT, role, str(self._said), str(self._heard)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(self._drift if role == "speak" else {})},
            )

    @property
    def _heard(self) -> Path:
        return self._folder / "heard.wav"

    async def call(self, talk_s: float) -> Heard:
        listener, speaker = self._begin("c", "listen"), self._begin("a", "speak")
        try:
            await self._tell(listener, await self._told(speaker))
            await self._tell(speaker, await self._told(listener))
            await asyncio.sleep(talk_s + BEGIN_S)
            begun = []
            for end in (speaker, listener):
                await self._tell(end, {})
                begun.append(float((await self._told(end))["begun_at"]))
        finally:
            for end in (speaker, listener):
                end.kill()
                await asyncio.to_thread(end.wait)
        sound, _, _ = await asyncio.to_thread(recorded, self._heard)
        self._heard.unlink()
        return Heard(sound, true_time(begun[0], self._drift) - begun[1])

    async def _told(self, end: subprocess.Popen[str]) -> dict[str, Any]:
        output: IO[str] | None = end.stdout
        assert output is not None
        async with asyncio.timeout(ANSWER_S):
            line = await asyncio.to_thread(output.readline)
        if not line:
            logs = "\n".join(path.read_text()[-1500:] for path in self._folder.glob("*.log"))
            raise RuntimeError(f"aiortc ended: {logs}")
        told: dict[str, Any] = json.loads(line)
        return told

    async def _tell(self, end: subprocess.Popen[str], what: dict[str, Any]) -> None:
        pipe: IO[str] | None = end.stdin
        assert pipe is not None
        pipe.write(json.dumps(what) + "\n")
        pipe.flush()
