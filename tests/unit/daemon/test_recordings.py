"""Voice messages from a client through daemon and voice process to the disk, and back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import wave
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from memory_backend import MemoryBackend

from appliance.api.backend import ApiError
from appliance.api.client import Client, RequestError, event_data
from appliance.api.recordings import Playback, Recording, StartPlayback
from appliance.api.server import ApiServer
from appliance.daemon.recordings import Opened, Recordings, in_memory
from appliance.daemon.sound import Sound
from appliance.model.media import OpenStream, StopStream

WITHIN_S = 20.0


class World:
    """A client, what answers it, and what it was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend = MemoryBackend()
        self.ready = asyncio.Event()
        self.sound = Sound(on_event=lambda _event: None, on_change=self.ready.set)
        self.in_call = False
        self.recordings = Recordings(
            folder / "recordings",
            self.sound,
            publish=self.backend.log.publish,
            awake_s=lambda: 1_000.0,
            in_call=lambda: self.in_call,
        )
        self.backend.other_recordings = self.recordings
        self.client = Client(folder / "api.sock")
        self.told: list[Recording | Playback] = []
        self._news = asyncio.Event()

    async def follow(self) -> None:
        async for event in self.backend.log.follow(None):
            data = event_data(event)
            if isinstance(data, Recording | Playback):
                self.told.append(data)
                self._news.set()

    async def hears(self, thing: str, **wanted: object) -> Recording | Playback:
        """Wait until it is told that `thing` is so."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                for one in self.told:
                    if one.id == thing and all(getattr(one, k) == v for k, v in wanted.items()):
                        return one
                self._news.clear()
                await self._news.wait()

    def wav(self, name: str, seconds: float) -> str:
        path = self.folder / name
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 48_000, 0, "NONE", ""))
            file.writeframes(b"\x00\x10\x00\xf0" * int(24_000 * seconds))
        return str(path)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    made = World(tmp_path)
    server = ApiServer(made.backend, made.client.path)
    await server.start()
    tasks = [
        asyncio.create_task(work)
        for work in (made.sound.run(), made.recordings.run(), made.follow())
    ]
    async with asyncio.timeout(WITHIN_S):
        await made.ready.wait()
    yield made
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await made.sound.stop()
    await server.stop()


async def test_a_voice_message_is_recorded_played_and_sent(world: World) -> None:
    client = world.client
    begun = await client.start_recording(play=world.wav("said.wav", 9.0))
    assert begun.state == "recording"
    with pytest.raises(RequestError, match="being recorded"):
        await client.start_recording()
    with pytest.raises(RequestError, match="Stop it first"):
        await client.recording_sound(begun.id)
    heard = await world.hears(begun.id, level_db=pytest.approx(-18, abs=1))
    assert [one.id for one in await client.recordings()] == [heard.id]
    ready = await client.stop_recording(begun.id)
    assert (ready.state, ready.ended, ready.text) == ("ready", "done", "")
    sound = await client.recording_sound(begun.id)
    assert sound[:4] == b"OggS"
    assert len(sound) == ready.bytes

    played = await client.play(
        StartPlayback(recording=begun.id, record=str(world.folder / "heard.wav"))
    )
    over = await world.hears(played.id, state="over")
    assert isinstance(over, Playback)
    assert (over.ended, over.duration_ms) == ("done", ready.duration_ms)
    assert over.position_ms == pytest.approx(ready.duration_ms, abs=20)

    kept = await world.recordings.take(begun.id)
    assert kept.path.read_bytes() == sound
    with pytest.raises(ApiError, match="being sent"):
        await world.recordings.take(begun.id)
    with pytest.raises(RequestError, match="being sent"):
        await client.cancel_recording(begun.id)
    world.recordings.give_back(begun.id)
    await world.recordings.take(begun.id)
    await world.recordings.sent(begun.id)
    assert (await client.recording(begun.id)).state == "gone"
    assert not kept.path.exists()


async def test_a_call_comes_first_and_attachments_are_played(world: World) -> None:
    client = world.client
    said = world.wav("said.wav", 9.0)
    begun = await client.start_recording(play=said)
    await world.hears(begun.id, level_db=pytest.approx(-18, abs=1))
    world.sound.command(OpenStream("call", "127.0.0.1"))
    ended = await world.hears(begun.id, state="ready")
    assert isinstance(ended, Recording)
    assert (ended.ended, ended.text) == ("call", "A call comes first.")
    world.in_call = True
    with pytest.raises(RequestError) as caught:
        await client.play(StartPlayback(recording=begun.id))
    assert caught.value.code == "call-first"
    world.in_call = False
    world.sound.command(StopStream("call"))

    with pytest.raises(RequestError, match="no such attachment"):
        await client.play(StartPlayback(message="00"))
    opened: list[int] = []

    async def open_attachment(message: str, attachment: int) -> Opened:
        assert (message, attachment) == ("00", 3)
        opened.append(in_memory(await asyncio.to_thread(Path(said).read_bytes)))
        return Opened(opened[-1], 9_000)

    world.recordings.open_attachment = open_attachment
    heard = str(world.folder / "heard.wav")
    played = await client.play(StartPlayback(message="00", attachment=3, record=heard))
    held = await client.pause_playback(paused=True)
    assert held.state == "paused"
    await world.hears(played.id, state="paused", level_db=-100.0)
    assert (await client.pause_playback(paused=False)).state == "playing"
    await client.stop_playback()
    over = await world.hears(played.id, state="over")
    assert isinstance(over, Playback)
    assert (over.ended, over.duration_ms) == ("done", 9_000)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(opened[0])

    await client.cancel_recording(begun.id)
    unwanted = await client.start_recording(play=said)
    await client.cancel_recording(unwanted.id)
    assert await client.recordings() == ()
    assert list((world.folder / "recordings").iterdir()) == []


async def test_what_takes_long_to_open_does_not_end_what_began_meanwhile(world: World) -> None:
    said = world.wav("said.wav", 9.0)
    opening, go_on = asyncio.Event(), asyncio.Event()
    opened: list[int] = []

    async def open_attachment(message: str, attachment: int) -> Opened:
        opening.set()
        await go_on.wait()
        opened.append(in_memory(b"sound"))
        return Opened(opened[-1], 9_000)

    world.recordings.open_attachment = open_attachment
    playing = asyncio.create_task(world.client.play(StartPlayback(message="00")))
    await opening.wait()
    begun = await world.client.start_recording(play=said)
    go_on.set()
    with pytest.raises(RequestError, match="being recorded"):
        await playing
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(opened[0])
    assert (await world.client.recording(begun.id)).state == "recording"
    await world.client.cancel_recording(begun.id)
