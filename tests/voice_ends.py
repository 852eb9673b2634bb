"""A voice process and its daemon's side, for tests: what it said, commands that fit together."""

from __future__ import annotations

import asyncio
import contextlib
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from appliance.adapters.media_client import MediaClient
from appliance.adapters.srtp import AES_GCM, new_key
from appliance.model.media import (
    MediaEvent,
    OpenStream,
    SoundProblem,
    SoundWarning,
    StartStream,
    StreamClosed,
    StreamFailed,
    StreamOpened,
)

WAIT_S = 20.0
"""Longest wait for an event, on the busiest machine."""

_Event = TypeVar("_Event")


class Events:
    """What a voice process said, to be waited for."""

    def __init__(self) -> None:
        self.all: list[MediaEvent] = []
        self._more = asyncio.Event()

    def take(self, event: MediaEvent) -> None:
        self.all.append(event)
        self._more.set()

    async def first(
        self, kind: type[_Event], wanted: Callable[[_Event], bool] = lambda _: True
    ) -> _Event:
        """The first event of the kind, old or new, that is wanted."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for event in self.all:
                    if isinstance(event, kind) and wanted(event):
                        return event
                self._more.clear()
                await self._more.wait()


class Station:
    """A voice process and what it said."""

    def __init__(self, socket_path: Path | None = None) -> None:
        self.events = Events()
        self.client = MediaClient(self.events.take, socket_path=socket_path)

    async def open(self, stream: str) -> int:
        await self.client.send(OpenStream(stream, "127.0.0.1"))
        return (await self.events.first(StreamOpened, lambda e: e.stream == stream)).port

    async def warned(self, stream: str, problem: SoundProblem, *, over: bool = False) -> str:
        wanted = (stream, problem, over)
        event = await self.events.first(
            SoundWarning, lambda e: (e.stream, e.problem, e.over) == wanted
        )
        return event.detail

    async def failed(self, stream: str) -> StreamFailed:
        return await self.events.first(StreamFailed, lambda e: e.stream == stream)

    async def closed(self, stream: str) -> StreamClosed:
        return await self.events.first(StreamClosed, lambda e: e.stream == stream)


@contextlib.asynccontextmanager
async def station(socket_path: Path | None = None) -> AsyncIterator[Station]:
    """A daemon's side, with a process of its own or a service."""
    made = Station(socket_path)
    await made.client.start()
    try:
        yield made
    finally:
        await made.client.stop()


def started(stream: str, port: int) -> StartStream:
    """A command with fresh keys, for tests to fill in."""
    return StartStream(stream, "127.0.0.1", port, 96, AES_GCM, new_key(AES_GCM), new_key(AES_GCM))


def swapped(command: StartStream, port: int) -> StartStream:
    """The other side's command."""
    return replace(
        command,
        remote_port=port,
        send_key=command.receive_key,
        receive_key=command.send_key,
    )


def silence_file(path: Path, seconds: float = 5.0) -> str:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(int(96_000 * seconds)))
    return str(path)
