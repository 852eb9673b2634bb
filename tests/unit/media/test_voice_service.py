"""The voice process as a service: another user's, at a socket that the service manager holds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path

import pytest
from voice_ends import silence_file, started, station

from appliance.model.media import (
    MediaReady,
    SoundProblem,
    SoundWarning,
    StopStream,
    StreamStats,
)

TIMEOUT_S = 20.0
FOREIGN_UID = pwd.getpwnam("nobody").pw_uid

_BEREFT = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Runs a program as a root that other users' files are closed to."""

needs_setpriv = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can take rights away, with setpriv",
)


class Manager:
    """What systemd does for the service: holds its socket, hears it and starts it."""

    def __init__(self, folder: Path, prefix: tuple[str, ...] = ()) -> None:
        self.path = folder / "media.sock"
        self._prefix = prefix
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify.sock"))
        self._notify.settimeout(TIMEOUT_S)
        self.path.chmod(0o666)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(*self._prefix, sys.executable, "-m", "appliance.media"),
            *("--listen-fd", str(self._listener.fileno())),
            pass_fds=[self._listener.fileno()],
            env={
                **os.environ,
                "NOTIFY_SOCKET": self._notify.getsockname(),
                "WATCHDOG_USEC": "2000000",
            },
        )

    async def hears(self) -> str:
        return (await asyncio.to_thread(self._notify.recv, 4_096)).decode()

    def open_files(self) -> list[Path]:
        assert self.process is not None
        return [entry.readlink() for entry in Path(f"/proc/{self.process.pid}/fd").iterdir()]

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            assert await self.process.wait() == 0
        self.close()

    def close(self) -> None:
        self._listener.close()
        self._notify.close()


async def test_it_says_that_it_is_ready_and_alive_and_serves_one_daemon_after_another(
    tmp_path: Path,
) -> None:
    manager = Manager(tmp_path)
    try:
        await manager.start()
        assert await manager.hears() == "READY=1"
        async with station(manager.path) as first:
            assert first.client.pid is None
            await first.open("call")
        async with station(manager.path) as second:
            ready = second.client.ready
            assert ready is not None
            assert ready.streams == ("call",)
        assert await manager.hears() == "WATCHDOG=1"
    finally:
        await manager.stop()
    assert manager.path.exists(), "it is the manager's"


async def test_a_daemon_that_comes_first_waits_for_it(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    try:
        coming = asyncio.create_task(_ready_streams(manager.path))
        await asyncio.sleep(0)
        await manager.start()
        assert await coming == ()
    finally:
        await manager.stop()


async def _ready_streams(path: Path) -> tuple[str, ...]:
    async with station(path) as one:
        assert one.client.ready is not None
        return one.client.ready.streams


async def test_a_call_survives_a_restart_of_the_service(tmp_path: Path) -> None:
    manager, record = Manager(tmp_path), tmp_path / "record.wav"
    try:
        await manager.start()
        async with station(manager.path) as one:
            command = replace(
                started("call", await one.open("call")),
                play=silence_file(tmp_path / "silence.wav"),
                record=str(record),
            )
            await one.client.send(command)
            await one.events.first(StreamStats, lambda e: e.packets_sent >= 100)
            await manager.kill()
            await one.warned("call", SoundProblem.MEDIA_GONE)
            await manager.start()
            await one.events.first(MediaReady)
            one.events.all.clear()
            port = await one.open("call")
            again = replace(command, remote_port=port, record=str(tmp_path / "record-2.wav"))
            await one.client.send(again)
            await one.events.first(StreamStats, lambda e: e.packets_sent >= 50)
            await one.client.send(StopStream("call"))
            await one.closed("call")
    finally:
        await manager.stop()
    for name in ("record.wav", "record-2.wav"):
        with wave.open(str(tmp_path / name)) as file:
            assert file.getnframes() >= 48_000, "each part is there, and readable"


@needs_setpriv
async def test_files_that_only_the_daemon_may_reach_are_played_and_recorded(tmp_path: Path) -> None:
    manager, hidden = Manager(tmp_path, _BEREFT), tmp_path / "hidden"
    play, record = _hidden_files(hidden)
    try:
        await manager.start()
        async with station(manager.path) as one:
            command = started("call", await one.open("call"))
            command = replace(command, play=play, record=str(record))
            await one.client.send(command)
            await one.events.first(StreamStats, lambda e: e.packets_sent >= 60)
            await one.client.send(command)  # As with new keys: the files go on where they are.
            await one.events.first(StreamStats, lambda e: e.packets_sent >= 110)
            await one.client.send(StopStream("call"))
            await one.closed("call")
            held = [str(path) for path in manager.open_files() if path.is_relative_to(hidden)]
        problems = {e.problem for e in one.events.all if isinstance(e, SoundWarning)}
    finally:
        await manager.stop()
    with wave.open(str(record)) as file:
        assert file.getnframes() >= 100 * 960
    assert held == [], "every descriptor is given back"
    assert not problems & {SoundProblem.WRONG_FORMAT, SoundProblem.CANNOT_RECORD}


def _hidden_files(folder: Path) -> tuple[str, Path]:
    """A file to play and one to record in a folder that is closed to the service."""
    folder.mkdir(mode=0o700)
    play = silence_file(folder / "silence.wav")
    os.chown(folder, FOREIGN_UID, -1)
    assert subprocess.run([*_BEREFT, "cat", play], stderr=subprocess.DEVNULL).returncode
    return play, folder / "record.wav"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
async def test_other_users_are_turned_away(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    await asyncio.to_thread(tmp_path.chmod, 0o711)
    try:
        await manager.start()
        assert await manager.hears() == "READY=1"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            # From there, since the folders above are for their own user alone.
            with contextlib.chdir(tmp_path):
                os.seteuid(FOREIGN_UID)
                try:
                    stranger.connect(manager.path.name)
                finally:
                    os.seteuid(0)
            stranger.settimeout(TIMEOUT_S)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.to_thread(stranger.recv, 4_096) == b""
    finally:
        await manager.stop()
