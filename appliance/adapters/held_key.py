"""A key, button or foot switch that says when it is let go: Linux's input devices (evdev).

A terminal tells only that a key was pressed.  The kernel tells both, to whoever may read
`/dev/input`; it is asked for the one chosen key alone, where it can do that (EVIOCSMASK), and
everything else is dropped unseen.  Which key is chosen, and what it does, stays out.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/dev/input")

KEYS: Final[dict[str, int]] = {
    "right-ctrl": 97,
    "right-alt": 100,
    "right-meta": 126,
    "menu": 127,
    "pause": 119,
    "scroll-lock": 70,
    "mic-mute": 248,
    "play-pause": 164,
    **{f"f{number}": 170 + number for number in range(13, 25)},
    "button-0": 256,
    "trigger": 288,
}
"""Names and codes (linux/input-event-codes.h) of keys that no terminal passes on by themselves, so
that the screen does not take them for something else."""

LOOK_S: Final = 2.0
"""How often devices that were plugged in are looked for."""

MAX_DEVICES: Final = 64
"""More are not watched."""

_EVENT: Final = struct.Struct("@llHHi")  # struct input_event: time, type, code, value
_EV_KEY: Final = 1
_UP, _DOWN = 0, 1  # 2 is the keyboard's own repetition.
_EVIOCSMASK: Final = 0x40104593  # _IOW('E', 0x93, struct input_mask)
_MASK: Final = struct.Struct("@IIQ")
_MASK_BYTES: Final = 768 // 8


class HeldKey:
    """Watches all input devices for one key."""

    def __init__(self, on_change: Callable[[bool], None], *, folder: Path = FOLDER) -> None:
        """``on_change``: True when it goes down at the first device, False when up at the last."""
        self._on_change = on_change
        self._folder = folder
        self._code: int | None = None
        self._open: dict[str, int] = {}
        self._down: set[str] = set()
        self._rest: dict[str, bytes] = {}
        self._wake = asyncio.Event()

    @property
    def devices(self) -> int:
        """How many are watched."""
        return len(self._open)

    def choose(self, name: str) -> None:
        """Watch for this key of `KEYS` from now on; empty: for none, and read no device."""
        self._code = KEYS[name] if name else None
        self._wake.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        watched: int | None = None
        try:
            while True:
                self._wake.clear()
                if self._code != watched:
                    self._close_all()
                    watched = self._code
                if watched is not None:
                    self._look(watched)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S if watched is not None else None):
                        await self._wake.wait()
        finally:
            self._close_all()

    def _look(self, code: int) -> None:
        try:
            names = {path.name for path in self._folder.glob("event*")}
        except OSError:
            names = set()
        for name in sorted(names - self._open.keys())[: MAX_DEVICES - len(self._open)]:
            try:
                file = os.open(self._folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                continue  # Of another user, or gone again.
            _ask_for(file, code)
            self._open[name] = file
            asyncio.get_running_loop().add_reader(file, self._readable, name, code)

    def _readable(self, name: str, code: int) -> None:
        try:
            data = os.read(self._open[name], 64 * _EVENT.size)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(name)
            return
        data = self._rest.pop(name, b"") + data
        whole = len(data) - len(data) % _EVENT.size
        self._rest[name] = data[whole:]
        for _, _, kind, key, value in _EVENT.iter_unpack(data[:whole]):
            if kind == _EV_KEY and key == code and value in (_UP, _DOWN):
                self._set(name, down=value == _DOWN)

    def _set(self, name: str, *, down: bool) -> None:
        before = bool(self._down)
        if down:
            self._down.add(name)
        else:
            self._down.discard(name)
        if bool(self._down) is not before:
            self._on_change(not before)

    def _close(self, name: str) -> None:
        """A device that is pulled out holds nothing any more."""
        file = self._open.pop(name)
        asyncio.get_running_loop().remove_reader(file)
        os.close(file)
        self._rest.pop(name, None)
        self._set(name, down=False)

    def _close_all(self) -> None:
        for name in list(self._open):
            self._close(name)


def _ask_for(file: int, code: int) -> None:
    """Have the kernel leave out all other keys, and what is no key."""
    nothing = array("B", bytes(_MASK_BYTES))
    wanted = array("B", nothing)
    wanted[code // 8] = 1 << code % 8
    for kind, bits in ((_EV_KEY, wanted), *((kind, nothing) for kind in (2, 3, 4))):
        mask = _MASK.pack(kind, _MASK_BYTES, bits.buffer_info()[0])
        with contextlib.suppress(OSError):  # Kernels before 4.4, and files that are no device.
            fcntl.ioctl(file, _EVIOCSMASK, mask)
