"""A key that says when it is let go; the kernel's events come through a pipe of that name.

This machine has no input devices, so nothing here shows that a kernel filters (EVIOCSMASK).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.adapters.held_key import KEYS, HeldKey

CODE = KEYS["right-ctrl"]


def event(kind: int, code: int, value: int) -> bytes:
    return struct.pack("@llHHi", 1, 2, kind, code, value)


class Device:
    """A pipe in a folder like /dev/input, open at both ends."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.path = path

    def say(self, *events: bytes) -> None:
        os.write(self.file, b"".join(events))

    def close(self) -> None:
        os.close(self.file)


@pytest.fixture
async def said(tmp_path: Path) -> AsyncIterator[tuple[HeldKey, asyncio.Queue[bool]]]:
    changes: asyncio.Queue[bool] = asyncio.Queue()
    key = HeldKey(changes.put_nowait, folder=tmp_path)
    running = asyncio.create_task(key.run())
    yield key, changes
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert key.devices == 0


async def soon(changes: asyncio.Queue[bool]) -> bool:
    async with asyncio.timeout(5):
        return await changes.get()


async def test_a_key_is_held_from_down_to_up_and_others_are_nothing(
    tmp_path: Path, said: tuple[HeldKey, asyncio.Queue[bool]]
) -> None:
    key, changes = said
    device = Device(tmp_path / "event0")
    key.choose("right-ctrl")
    try:
        device.say(event(1, 30, 1), event(4, 4, CODE), event(1, CODE, 1), event(0, 0, 0))
        assert await soon(changes) is True
        device.say(event(1, CODE, 2), event(1, 30, 0))  # repetition by the keyboard
        broken = event(1, CODE, 0)
        device.say(broken[:7])
        device.say(broken[7:])
        assert await soon(changes) is False
        assert changes.empty()
    finally:
        device.close()


async def test_nothing_is_read_while_no_key_is_chosen(
    tmp_path: Path, said: tuple[HeldKey, asyncio.Queue[bool]]
) -> None:
    key, changes = said
    device = Device(tmp_path / "event0")
    try:
        await asyncio.sleep(0)
        assert key.devices == 0
        key.choose("right-ctrl")
        device.say(event(1, CODE, 1))
        assert await soon(changes) is True
        key.choose("")
        assert await soon(changes) is False  # what is not watched is not held
        assert key.devices == 0
    finally:
        device.close()


async def test_a_device_that_is_pulled_out_lets_go(
    tmp_path: Path, said: tuple[HeldKey, asyncio.Queue[bool]]
) -> None:
    key, changes = said
    first, second = Device(tmp_path / "event0"), Device(tmp_path / "event1")
    key.choose("right-ctrl")
    first.say(event(1, CODE, 1))
    assert await soon(changes) is True
    second.say(event(1, CODE, 1))
    first.path.unlink()
    first.close()  # The last writer is gone: the end of the file.
    second.say(event(1, CODE, 0))
    assert await soon(changes) is False
    assert key.devices == 1
    second.close()


def test_only_keys_that_no_terminal_passes_on_can_be_chosen() -> None:
    assert KEYS["f13"] == 183
    assert KEYS["f24"] == 194
    with pytest.raises(KeyError):
        HeldKey(lambda _: None).choose("a")
