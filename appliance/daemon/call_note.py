"""The note of the answered calls, in a file beside the local API's socket.

That is in memory on the image and wherever there is a runtime directory: the note is for the
seconds in which a program that has died is started again, so it is neither synced nor of any worth
after the machine was.  Keys are not in it.  A file that can't be read or written is as good as
none: the calls end then, as the other side is told when it asks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from pathlib import Path
from typing import Final

from appliance.model.kept_call import KeptCall, KeptCalls
from appliance.node.active_call import AWAY_S
from appliance.protocol.kept_calls import MAX_BYTES, KeptCallsError, decode, encode

log = logging.getLogger(__name__)

ALIVE_EVERY_S: Final = 2.0
"""How often it is written that the station still runs, while there is a call."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def note_path(api: Path) -> Path:
    """Return where the note is of the daemon at the socket `api`."""
    return api.with_suffix(".calls")


class CallNote:
    """One station's note."""

    def __init__(self, path: Path | None) -> None:
        """`path` None: calls are not noted."""
        self._path = path
        self._calls: tuple[KeptCall, ...] = ()
        self._troubled = False

    def keep(self, calls: tuple[KeptCall, ...]) -> None:
        """Write down which calls there are."""
        self._calls = calls
        self._write()

    async def keep_alive(self) -> None:
        """Write again and again that the station runs."""
        while True:
            await asyncio.sleep(ALIVE_EVERY_S)
            if self._calls:
                self._write()

    def find(self) -> tuple[tuple[KeptCall, ...], float]:
        """Return the calls of a station that has died just now, and its age in seconds."""
        if self._path is None:
            return (), 0.0
        try:
            note = decode(_read(self._path))
            age_s = _even_s() - note.alive_at
            fresh = note.machine_boot == _machine_boot() and 0 <= age_s < AWAY_S + ALIVE_EVERY_S
        except FileNotFoundError:
            return (), 0.0
        except (OSError, KeptCallsError) as error:
            log.warning("what calls there were can't be read: %s", error)
            return (), 0.0
        return (note.calls, age_s) if fresh else ((), 0.0)

    def _write(self) -> None:
        if self._path is None:
            return
        draft = self._path.with_suffix(".calls.new")
        try:
            if not self._calls:
                self._path.unlink(missing_ok=True)
                return
            data = encode(KeptCalls(_machine_boot(), _even_s(), self._calls))
            draft.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                file.write(data)
            draft.replace(self._path)
        except (OSError, KeptCallsError) as error:
            if not self._troubled:
                log.warning("calls can't be noted, so they end when this program does: %s", error)
            self._troubled = True


def _read(path: Path) -> bytes:
    """Read a note of our own; raises OSError for what others may have put there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if about.st_uid != os.geteuid() or not stat.S_ISREG(about.st_mode):
            raise OSError(f"{path} is not ours")
        return file.read(MAX_BYTES + 1)


def _even_s() -> float:
    """Seconds since the machine's start, with those in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _machine_boot() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()
