"""The pages of a database file and of its log, read without SQLite: for what SQLite gives up on.

The format is SQLite's own (sqlite.org/fileformat2.html, sections in brackets).  Every page of rows
can be read by itself, whatever else of the file is lost; nothing here raises for what is on disk.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, TypeAlias

Value: TypeAlias = int | float | str | bytes | None

MAGIC: Final = b"SQLite format 3\0"
PAGE_SIZE: Final = 2048
"""Bytes of a page, of new databases.  A message alone changes some ten pages, and a card wears out
by what is written to it: with pages of 4096 that is 60 % more."""

FORMER_PAGE_SIZE: Final = 4096
"""Of databases that version 0.2 has made."""

_TREE_PAGES: Final = frozenset({2, 5, 10, 13})
"""With which a page of a table or index begins."""

LOG_HEADER: Final = 32
"""Bytes before the first frame of a log (4.1)."""

FRAME_HEADER: Final = 24
"""Bytes before the page in a frame (4.1)."""

MAX_PAYLOAD: Final = 1024 * 1024
"""Bytes of a row; a longer one is a length gone wrong."""

_INTERIOR_INDEX, _INTERIOR_TABLE, _LEAF_INDEX, _LEAF_TABLE = 0x02, 0x05, 0x0A, 0x0D
_INTERIOR: Final = frozenset({_INTERIOR_INDEX, _INTERIOR_TABLE})
_TABLE: Final = frozenset({_INTERIOR_TABLE, _LEAF_TABLE})
_KINDS: Final = _INTERIOR | {_LEAF_INDEX, _LEAF_TABLE}
_HEADER_1: Final = 100
"""Bytes of the file's header, which comes before the content of page 1 (1.3)."""

_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of whole numbers by serial type (2.1)."""


class _DamagedError(Exception):
    """This cell can't be read."""


@dataclass(frozen=True)
class Row:
    """One row of a table, or one entry of an index."""

    rowid: int | None
    """Its number; None in an index, and in a table without such numbers."""

    values: tuple[Value, ...]
    """In the order in which they are stored."""


@dataclass(frozen=True)
class Page:
    """One page of a tree of rows."""

    table: bool
    """Its rows have numbers."""

    children: tuple[int, ...]
    """Pages below it."""

    rows: tuple[Row, ...]
    """Those that could be read."""


class Pages:
    """The pages of a file that nobody has open, each as the log has it, or else the file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._log: Log | None = None
        try:
            with suppress(FileNotFoundError):
                self._log = Log(path.with_name(f"{path.name}-wal"))
                self._log.read_frames()
            header = _read(self._file, 0, _HEADER_1)
            size = int.from_bytes(header[16:18], "big")
            sound = header.startswith(MAGIC) and (size == 1 or _is_page_size(size))
            if sound:
                self._size = 65536 if size == 1 else size
            else:
                self._size = (
                    self._log.page_size if self._log is not None else _likely_size(self._file)
                )
            # None are set apart at the end of a page, whatever the header says: see `PAGE_SIZE`.
            self._usable = self._size
            in_log = self._log.pages if self._log is not None else {}
            length = os.fstat(self._file).st_size
            self.count = max([-(-length // self._size), *in_log])
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Pages:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the files."""
        os.close(self._file)
        if self._log is not None:
            self._log.close()

    def read(self, number: int) -> bytes:
        """Return a page; what is not there is zero."""
        if self._log is not None and number in self._log.pages:
            return self._log.page(self._log.pages[number])
        return _read(self._file, (number - 1) * self._size, self._size)

    def free(self) -> set[int]:
        """Return the pages that are not in use, as far as the list of them can be read (1.5)."""
        found: set[int] = set()
        first = self.read(1)
        trunk = int.from_bytes(first[32:36], "big") if first.startswith(MAGIC) else 0
        while 1 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            data = self.read(trunk)
            trunk, count = struct.unpack_from(">II", data)
            if count > self._usable // 4 - 2:
                break
            leaves = struct.unpack_from(f">{count}I", data, 8)
            found.update(leaf for leaf in leaves if 1 < leaf <= self.count)
        return found

    def parse(self, number: int) -> Page | None:
        """Return what can be read of a page; None if it is no page of rows (1.6)."""
        if not 1 <= number <= self.count:
            return None
        data = self.read(number)
        start = _HEADER_1 if number == 1 else 0
        kind = data[start]
        if kind not in _KINDS:
            return None
        (count,) = struct.unpack_from(">H", data, start + 3)
        array = start + (12 if kind in _INTERIOR else 8)
        if array + 2 * count > self._usable:
            return None
        children: list[int] = []
        rows: list[Row] = []
        for at in struct.unpack_from(f">{count}H", data, array):
            # What is read past the end, or makes no sense, is a cell that is lost.
            with suppress(_DamagedError, IndexError, struct.error, ValueError):
                if kind in _INTERIOR:
                    children.append(int(struct.unpack_from(">I", data, at)[0]))
                if kind != _INTERIOR_TABLE:
                    rows.append(self._row(data, at + 4 * (kind in _INTERIOR), kind))
        if kind in _INTERIOR:
            children.append(int(struct.unpack_from(">I", data, start + 8)[0]))
        return Page(kind in _TABLE, tuple(children), tuple(rows))

    def _row(self, data: bytes, at: int, kind: int) -> Row:
        size, at = _varint(data, at)
        rowid = None
        if kind == _LEAF_TABLE:
            rowid, at = _varint(data, at)
            if rowid >= 1 << 63:
                rowid -= 1 << 64
        return Row(rowid, _values(self._payload(data, at, size, table=kind == _LEAF_TABLE)))

    def _payload(self, data: bytes, at: int, size: int, *, table: bool) -> bytes:
        """Return a row's bytes, of which the page holds the first (1.6: overflow pages, 1.7)."""
        usable = self._usable
        most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
        if size > MAX_PAYLOAD:
            raise _DamagedError
        if size <= most:
            if at + size > usable:
                raise _DamagedError
            return data[at : at + size]
        least = (usable - 12) * 32 // 255 - 23
        here = least + (size - least) % (usable - 4)
        if here > most:
            here = least
        if at + here + 4 > usable:
            raise _DamagedError
        parts = [data[at : at + here]]
        (page,) = struct.unpack_from(">I", data, at + here)
        missing = size - here
        while missing > 0:
            if not 1 < page <= self.count:
                raise _DamagedError
            more = self.read(page)
            page = int.from_bytes(more[:4], "big")
            parts.append(more[4 : min(4 + missing, usable)])
            missing -= len(parts[-1])
        return b"".join(parts)


def _likely_size(file: int) -> int:
    """Return the page size of a file that does not say it: where do pages begin?"""
    small, large = PAGE_SIZE, FORMER_PAGE_SIZE
    length = os.fstat(file).st_size
    begins = [at for at in range(0, length, small) if _read(file, at, 1)[0] in _TREE_PAGES]
    between = sum(at % large != 0 for at in begins)
    return small if 4 * between >= len(begins) else large


class _Frame(NamedTuple):
    """What stands before a page in a log."""

    number: int
    """The first is 0."""

    page: int
    """Which."""

    ends: bool
    """It is the last of a commit."""

    follows: bool
    """It is as it was written, and so is what was written before it."""

    may_be_left: bool
    """It may be of a commit that failed, of which a shorter one in its place has left the end: that
    stands behind the last frame of a commit, does not follow from it, and is of one commit."""


class Log:
    """A write-ahead log, also one with a hole in it, after which SQLite sees nothing (4)."""

    def __init__(self, path: Path) -> None:
        """Open it; raises OSError."""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        header = _read(self._file, 0, LOG_HEADER)
        magic, _, size = struct.unpack_from(">III", header)
        self._words = ">" if magic == 0x377F0683 else "<"
        self.page_size = size if _is_page_size(size) else PAGE_SIZE
        self._salt = self._most_frequent_salt() if magic >> 1 != 0x377F0682 >> 1 else header[16:24]
        self.pages: dict[int, int] = {}
        """The last committed frame of each page, by `read_frames`; the first frame is 0."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def page(self, frame: int) -> bytes:
        """Return the page in a frame."""
        return _read(self._file, self._offset(frame) + FRAME_HEADER, self.page_size)

    def misses_commits(self, start: int) -> bool:
        """Tell whether there are commits that were on disk from a frame on, the first bad one."""
        sure = together = 0
        for frame in self._frames(start):
            together = (together if frame.follows else 0) + frame.ends
            sure += frame.ends and not frame.may_be_left
            if sure > 1 or together > 1:
                return True
        return False

    def _offset(self, frame: int) -> int:
        return LOG_HEADER + frame * (FRAME_HEADER + self.page_size)

    def _headers(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        length = os.fstat(self._file).st_size
        frame = start
        while self._offset(frame + 1) <= length:
            yield frame, _read(self._file, self._offset(frame), FRAME_HEADER)
            frame += 1

    def _frames(self, start: int = 0) -> Iterator[_Frame]:
        """Yield the frames of this log.

        A frame's checksum goes on from that of the frame before, which is written there, so each
        can be checked by itself.
        """
        before = _read(self._file, 24 if start == 0 else self._offset(start - 1) + 16, 8)
        ended = start - 1 if start else None
        may_be_left = False
        for number, header in self._headers(start):
            sums = struct.unpack(">II", before)
            before = header[16:24]
            if header[8:16] != self._salt:
                continue
            summed = header[:8] + self.page(number)
            follows = struct.pack(">II", *_checksum(summed, sums, self._words)) == before
            if not follows:
                may_be_left = ended == number - 1
            ends = any(header[4:8])
            yield _Frame(number, int.from_bytes(header[:4], "big"), ends, follows, may_be_left)
            if ends:
                ended = number

    def _most_frequent_salt(self) -> bytes:
        salts = Counter(header[8:16] for _, header in self._headers())
        return salts.most_common(1)[0][0] if salts else bytes(8)

    def read_frames(self) -> None:
        """Note the pages of all frames that are as they were written, of commits that are sure."""
        uncommitted: dict[int, int] = {}
        unsure: dict[int, int] = {}
        together = 0
        for frame in self._frames():
            together = (together if frame.follows else 0) + frame.ends
            if frame.follows:
                uncommitted[frame.page] = frame.number
            if frame.ends:
                unsure |= uncommitted
                uncommitted.clear()
                if not frame.may_be_left or together > 1:
                    self.pages |= unsure
                    unsure.clear()


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0


def _read(file: int, at: int, size: int) -> bytes:
    """Return bytes of a file; zeros where there is nothing, or where the disk can't read."""
    data = b""
    with suppress(OSError):
        data = os.pread(file, size, at)
    return data.ljust(size, b"\0")


def _checksum(data: bytes, sums: tuple[int, int], words: str) -> tuple[int, int]:
    """Go on with the checksum of a log (4.2)."""
    one, two = sums
    numbers = iter(struct.unpack(f"{words}{len(data) // 4}I", data))
    for first, second in zip(numbers, numbers, strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of 1 to 9 bytes and where it ends (1.6)."""
    value = 0
    for end in range(at, at + 8):
        byte = data[end]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, end + 1
    return value << 8 | data[at + 8], at + 9


def _values(payload: bytes) -> tuple[Value, ...]:
    """Return the values of a row (2.1)."""
    end, at = _varint(payload, 0)
    if end > len(payload):
        raise _DamagedError
    data = end
    values: list[Value] = []
    while at < end:
        kind, at = _varint(payload, at)
        value, data = _value(payload, data, kind)
        values.append(value)
    if at != end or data != len(payload):
        raise _DamagedError
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in {8, 9}:
        return kind - 8, at
    if kind == 7:
        return float(struct.unpack_from(">d", payload, at)[0]), at + 8
    if kind in _INTEGERS:
        size = _INTEGERS[kind]
        return int.from_bytes(payload[at : at + size], "big", signed=True), at + size
    if kind < 12:
        raise _DamagedError
    end = at + (kind - 12) // 2
    if end > len(payload):
        raise _DamagedError
    found = payload[at:end]
    return (found.decode() if kind % 2 else found), end
