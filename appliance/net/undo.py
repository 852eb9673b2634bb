"""The journal of what we change in the kernel, by which all of it is put back.

Each change is written down before it is made, and the line is on disk before `note` returns.  What
is in the journal is undone, newest first: on a clean stop, and at the next start after a crash.  A
line may stand for a change that was not made any more, so undoing looks first: what is not as we
left it is somebody else's by now and stays.

The kernel's state ends with the boot and belongs to one network namespace; a journal of another one
is void.  One process at a time holds the journal.

What stays out: how a kind of change is undone.  Whoever makes changes of a kind says so by `knows`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

log = logging.getLogger(__name__)

MAX_CHANGES: Final = 4096
"""Ten per interface would be much; more is a fault of ours, and is refused."""

SPARE_LINES: Final = 256
"""The file is written anew when it has this many lines more than twice what it holds."""

Fact: TypeAlias = str | int
Facts: TypeAlias = Mapping[str, Fact]
Undoer: TypeAlias = Callable[[Facts], Awaitable[None]]
"""Puts one change back where it is still as we left it; raises UndoError or OSError if it can't."""


class UndoError(Exception):
    """The journal can't be used, or a change can't be undone; the message says why."""


@dataclass(frozen=True)
class Change:
    """A change that was made, or is about to be."""

    number: int
    """Its place in the order of changes."""

    kind: str
    """Who knows how to undo it."""

    facts: Facts
    """What is needed for that: names, numbers, the value before and after."""


def this_kernel() -> str:
    """Name the boot and the network namespace that we are in."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    namespace = Path("/proc/self/ns/net").stat()
    return f"{boot}/{namespace.st_dev}-{namespace.st_ino}"


class Undo:
    """The journal, open.  Changes of an earlier process of this kernel are in it from the start."""

    def __init__(self, path: Path, *, where: str) -> None:
        """Open or make the journal at `path`; `where` is `this_kernel()`.

        Raises UndoError if another process holds it or it can't be written.
        """
        self._path = path
        self._where = where
        self._undoers: dict[str, Undoer] = {}
        self._changes: dict[int, Change] = {}
        self._lines = 0
        self._file = -1
        try:
            # The lock is of its own, since the journal itself is replaced from time to time.
            self._lock = os.open(
                path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise UndoError(f"The journal can't be kept in {path.parent}: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
            self._rewrite()
        except BlockingIOError:
            os.close(self._lock)
            raise UndoError(f"Another network helper uses {path.parent}.") from None
        except OSError as error:
            if self._file >= 0:
                os.close(self._file)
            os.close(self._lock)
            raise UndoError(f"The journal can't be kept in {path.parent}: {error}") from error

    @property
    def changes(self) -> tuple[Change, ...]:
        """What would be undone, oldest first."""
        return tuple(self._changes.values())

    def knows(self, kind: str, undoer: Undoer) -> None:
        """Say how changes of a kind are undone."""
        self._undoers[kind] = undoer

    def note(self, kind: str, **facts: Fact) -> Change:
        """Write down a change that is about to be made; OSError or UndoError: do not make it.

        A change that is written down already is not written again.
        """
        for change in self._changes.values():
            if change.kind == kind and change.facts == facts:
                return change
        if len(self._changes) >= MAX_CHANGES:
            raise UndoError("Too many changes to the network to remember them all.")
        change = Change(max(self._changes, default=0) + 1, kind, facts)
        self._append({"n": change.number, "kind": kind, "facts": facts})
        self._changes[change.number] = change
        return change

    def forget(self, change: Change) -> None:
        """Say that a change needs no undoing any more: it is undone, or its object is gone."""
        if self._changes.pop(change.number, None) is None:
            return
        try:
            if self._lines > 2 * len(self._changes) + SPARE_LINES:
                self._rewrite()
            else:
                self._append({"n": change.number})
        except OSError as error:  # undoing it once more at the next start does no harm
            log.warning("the journal of changes can't be written: %s", error)

    async def undo(self, change: Change) -> None:
        """Put one change back and forget it; one that can't be undone is logged and stays."""
        undoer = self._undoers.get(change.kind)
        if undoer is None:
            log.warning("nobody knows how to undo a change of the kind %s", change.kind)
            return
        try:
            await undoer(change.facts)
        except (OSError, UndoError) as error:
            log.warning("could not undo %s %s: %s", change.kind, dict(change.facts), error)
            return
        self.forget(change)

    async def undo_all(self, *, kinds: frozenset[str] | None = None) -> None:
        """Put everything back, or all changes of some kinds, newest first."""
        for change in reversed(self.changes):
            # Undoing one may forget another.
            if change.number in self._changes and (kinds is None or change.kind in kinds):
                await self.undo(change)

    def close(self) -> None:
        """Let go of the journal; an empty one is removed."""
        if not self._changes:
            self._path.unlink(missing_ok=True)
        os.close(self._file)
        os.close(self._lock)

    def _read(self) -> None:
        """Take over what an earlier process left; lines that are damaged cost only themselves."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        # The last piece is empty, or a line that was being written when the process died: the
        # change was to follow, so there is none.
        for number, line in enumerate(lines[:-1]):
            try:
                entry = json.loads(line)
                if number == 0:
                    if entry["where"] != self._where:
                        return
                else:
                    self._take(entry)
            except (ValueError, TypeError, KeyError):
                log.warning("line %d of the journal of changes is damaged", number + 1)
                if number == 0:
                    return

    def _take(self, entry: dict[str, object]) -> None:
        number, kind, facts = entry["n"], entry.get("kind"), entry.get("facts")
        if not isinstance(number, int):
            raise TypeError
        if kind is None:
            self._changes.pop(number, None)
            return
        if not isinstance(kind, str) or not isinstance(facts, dict):
            raise TypeError
        self._changes[number] = Change(number, kind, facts)

    def _append(self, entry: dict[str, object]) -> None:
        line = _line(entry)
        size = os.fstat(self._file).st_size
        try:
            _write_all(self._file, line)
        except OSError:
            os.ftruncate(self._file, size)  # else the next line would be glued to half of this
            raise
        os.fsync(self._file)
        self._lines += 1

    def _rewrite(self) -> None:
        """Replace the file by one that holds just what is to be undone."""
        entries: list[dict[str, object]] = [{"where": self._where}]
        entries += [
            {"n": change.number, "kind": change.kind, "facts": change.facts}
            for change in self._changes.values()
        ]
        fresh = self._path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        file = os.open(fresh, flags, 0o600)
        try:
            _write_all(file, b"".join(_line(entry) for entry in entries))
            os.fsync(file)
            fresh.replace(self._path)
        except OSError:
            os.close(file)
            raise
        # From here on it is the journal, whatever follows: lines that went to the one before would
        # go nowhere.
        if self._file >= 0:
            os.close(self._file)
        self._file, self._lines = file, len(entries)
        _sync_directory(self._path.parent)


def _line(entry: dict[str, object]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _write_all(file: int, data: bytes) -> None:
    """Write it at once, as files take it until the disk is full; part of it counts as nothing."""
    if os.write(file, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
