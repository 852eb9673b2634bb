"""Prekeys in files of their own, beside the station's key: a damaged database does not lose them.

    prekeys/0123456789abcdef.prekey    one prekey, written once, never changed
    prekeys/0123456789abcdef.retired   when it was last told to others

A prekey is written under another name, synced, and then given its own.  To destroy one, its file is
overwritten and synced before its name goes.  Nothing else ever holds the secret: so the mark is a
file of its own.  Whether what was overwritten is gone from the card is up to card and file system:
one that writes each block to a new place, as flash does inside, keeps it for a while.

A file that is damaged is destroyed: what was sealed to it is sealed anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from appliance.model.record import PREKEY_ID_SIZE
from appliance.model.secret import Secret
from appliance.node.ports import StoreError
from appliance.node.ports.prekeys import (
    MAX_KEPT,
    SECRET_SIZE,
    DestroyPrekey,
    KeepPrekey,
    KeptPrekey,
    PrekeyOperation,
    RetirePrekey,
)

log = logging.getLogger(__name__)

FOLDER: Final = "prekeys"
_PREKEY: Final = ".prekey"
_RETIRED: Final = ".retired"
_NEW: Final = ".new"
_MAGIC: Final = b"fencewire prekey 1\n"
_MARK_MAGIC: Final = b"fencewire retired 1\n"
_TIME_SIZE: Final = 8
_CHECK_SIZE: Final = 8
_SIZE: Final = len(_MAGIC) + PREKEY_ID_SIZE + SECRET_SIZE + _TIME_SIZE + _CHECK_SIZE
_OVERWRITTEN: Final = 64 * 1024
"""Bytes, at most: no file of ours has so many."""

_MARK_SIZE: Final = len(_MARK_MAGIC) + PREKEY_ID_SIZE + _TIME_SIZE + _CHECK_SIZE


class PrekeyFiles:
    """The folder of prekeys in a state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / FOLDER
        self._turn = asyncio.Lock()

    async def perform(self, operation: PrekeyOperation) -> None:
        """Carry out an operation; it is on disk when this returns.  Raises StoreError."""
        async with self._turn:
            await asyncio.to_thread(self.carry_out, operation)

    def carry_out(self, operation: PrekeyOperation) -> None:
        """Carry out an operation on this thread; raises StoreError."""
        try:
            match operation:
                case KeepPrekey(prekey):
                    self._make_folder()
                    self._write(_name(prekey.id, _PREKEY), _encoded(prekey))
                    if prekey.retired_s is not None:
                        self._mark(prekey.id, prekey.retired_s)
                case RetirePrekey(prekey_id, retired_s):
                    self._mark(prekey_id, retired_s)
                case DestroyPrekey(prekey_id):
                    _destroy(self.folder / _name(prekey_id, _PREKEY))
                    (self.folder / _name(prekey_id, _RETIRED)).unlink(missing_ok=True)
                    _sync(self.folder)
        except OSError as error:
            raise _explained(self.folder, error) from error

    def load(self) -> tuple[KeptPrekey, ...]:
        """Return what is there, and tidy up what a power cut has left; raises StoreError.

        Call it when nobody else uses the folder.
        """
        try:
            names = sorted(path.name for path in self.folder.iterdir())
            found = [self._look(name) for name in names]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _explained(self.folder, error) from error
        return self._fewer([kept for kept in found if kept is not None])

    def _look(self, name: str) -> KeptPrekey | None:
        """Return the prekey that a file holds; destroys what holds none."""
        path = self.folder / name
        try:
            if name.endswith(_PREKEY):
                kept = _decoded(_read(path, _SIZE), name)
                if kept is not None:
                    return replace(kept, retired_s=self._retired(kept.id))
                log.warning("the prekey %s is damaged, and destroyed", path)
                _destroy(path)
            elif name.endswith(_NEW):
                _destroy(path)
            elif name.endswith(_RETIRED) and not path.with_suffix(_PREKEY).exists():
                path.unlink()
        except PermissionError:
            raise
        except OSError as error:
            # A bad block must not keep the station from starting.
            log.warning("the prekey %s can't be read: %s", path, error)
        return None

    def _fewer(self, found: list[KeptPrekey]) -> tuple[KeptPrekey, ...]:
        """Keep to the bound; those in use and those retired last stay."""
        found.sort(key=lambda one: (one.retired_s is not None, -_latest(one), one.id))
        for one in found[MAX_KEPT:]:
            log.warning("there are too many prekeys; one is destroyed")
            self.carry_out(DestroyPrekey(one.id))
        return tuple(found[:MAX_KEPT])

    def _retired(self, prekey_id: bytes) -> float | None:
        try:
            data = _read(self.folder / _name(prekey_id, _RETIRED), _MARK_SIZE)
        except FileNotFoundError:
            return None
        except PermissionError:
            raise
        except OSError as error:
            log.warning("when the prekey %s was retired can't be read: %s", prekey_id.hex(), error)
            return None  # as below
        body, check = data[:-_CHECK_SIZE], data[-_CHECK_SIZE:]
        if len(data) != _MARK_SIZE or _check(body) != check:
            return None  # it is retired again, and kept for longer
        return int.from_bytes(body[-_TIME_SIZE:], "big") / 1000

    def _mark(self, prekey_id: bytes, retired_s: float) -> None:
        body = _MARK_MAGIC + prekey_id + _milliseconds(retired_s)
        self._write(_name(prekey_id, _RETIRED), body + _check(body))

    def _make_folder(self) -> None:
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)
            _sync(self.folder.parent)

    def _write(self, name: str, data: bytes) -> None:
        """Put a whole file in its place, or none."""
        draft = self.folder / f"{name}{_NEW}"
        if draft.exists():
            _destroy(draft)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self.folder / name)
        except BaseException:
            with suppress(OSError):
                _destroy(draft)
            raise
        _sync(self.folder)


def is_prekey_file(name: str) -> bool:
    """Tell whether a file of this name can be one of ours that is whole."""
    return re.fullmatch(f"[0-9a-f]{{{2 * PREKEY_ID_SIZE}}}({_PREKEY}|{_RETIRED})", name) is not None


def latest_s(kept: tuple[KeptPrekey, ...]) -> float:
    """Return for how long this station has been awake at least, in all its life."""
    return max((_latest(one) for one in kept), default=0.0)


def _latest(kept: KeptPrekey) -> float:
    return max(kept.created_s, kept.retired_s or 0.0)


def _name(prekey_id: bytes, ending: str) -> str:
    return f"{prekey_id.hex()}{ending}"


def _milliseconds(seconds: float) -> bytes:
    return int(max(seconds, 0.0) * 1000).to_bytes(_TIME_SIZE, "big")


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"fencewire/prekey-file\0" + body).digest()[:_CHECK_SIZE]


def _encoded(kept: KeptPrekey) -> bytes:
    body = _MAGIC + kept.id + kept.secret.value + _milliseconds(kept.created_s)
    return body + _check(body)


def _decoded(data: bytes, name: str) -> KeptPrekey | None:
    body, check = data[:-_CHECK_SIZE], data[-_CHECK_SIZE:]
    if len(data) != _SIZE or not body.startswith(_MAGIC) or _check(body) != check:
        return None
    rest = body[len(_MAGIC) :]
    prekey_id, rest = rest[:PREKEY_ID_SIZE], rest[PREKEY_ID_SIZE:]
    if name != _name(prekey_id, _PREKEY):
        return None
    secret, created_ms = Secret(rest[:SECRET_SIZE]), int.from_bytes(rest[SECRET_SIZE:], "big")
    return KeptPrekey(prekey_id, secret, created_ms / 1000)


def _read(path: Path, size: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)


def _destroy(path: Path) -> None:
    """Overwrite a file where it is, and then let it go."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(bytes(min(os.fstat(file.fileno()).st_size, _OVERWRITTEN)))
        os.fsync(file.fileno())
    path.unlink()
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explained(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        "prekeys",
        f"The prekeys in {folder} can't be read or written: {error.strerror}. Make room on the "
        "disk, or give the user who runs Fencewire the right to use them.",
    )
