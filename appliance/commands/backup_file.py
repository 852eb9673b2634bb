"""A backup's own format: a tar with a list of what it holds: a station's keys, its database, files.

Nothing is unpacked but these, each once and of the size and hash that the list says.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final

from appliance import __version__
from appliance.adapters.prekey_files import FOLDER, is_prekey_file
from appliance.api.jsonable import JsonShapeError, from_json, to_json
from appliance.daemon.keyfile import FILE_NAME

KEY: Final = FILE_NAME
DATABASE: Final = "station.db"
"""`daemon.main.STORE_NAME`, which would bring aiohttp along."""

PREKEYS: Final = FOLDER
"""The folder of prekeys."""

MAX_PARTS: Final = 64
"""Files of prekeys in a backup: one for each, and its mark."""

RECORDINGS: Final = "recordings"
"""The folder of voice messages that are not sent yet."""

BLOBS: Final = "blobs"
"""The folder of files that belong to messages."""

MAX_FILES: Final = 17 * 1024
"""In these two: more than the daemon keeps."""

_FILE: Final = re.compile(
    rf"{RECORDINGS}/[0-9a-f]{{16}}-[0-9]{{1,12}}\.opus|{BLOBS}/[0-9a-f]{{64}}\.blob"
)
"""What is whole there."""

_MANIFEST: Final = "manifest.json"
_FOLDER: Final = "fencewire-backup"
_README: Final = "README.txt"
_MAX_MANIFEST: Final = 8 * 1024 * 1024
_MAX_ENTRIES: Final = MAX_FILES + MAX_PARTS + 16
"""In the file, with those that are of no use."""

_MAX_READ: Final = 16 * 1024 * 1024
"""Bytes that are read at once; a header that claims to be longer is none of ours."""

_FORMAT: Final = 1
_PIECE: Final = 1024 * 1024
_NO_BACKUP: Final = (
    KeyError,
    tarfile.TarError,
    EOFError,
    OverflowError,
    ValueError,
    RecursionError,
)
"""What other files bring about."""

_WORDS: Final = """\
This is a backup of a Fencewire station. It holds its SECRET KEY: whoever has it can be this
station and read what is written to it. The messages in it are in the clear. It also holds the
PREKEYS of its day: as long as this file exists, what was sealed to them can be opened, also after
the station itself has destroyed them, and so can the files of messages, whose keys are in the
messages. Destroy the file when it is of no more use.

Where no station is yet:      fencewire backup --restore FILE
In the place of another one:  fencewire backup --restore FILE --replace

Never run a restored station beside the board that the backup was made on.
"""


class BackupError(Exception):
    """A file can't be used as a backup; the message says why."""


@dataclass(frozen=True)
class Part:
    """One file in a backup."""

    bytes: int
    """Its size."""

    sha256: str
    """Of its bytes, hex."""


@dataclass(frozen=True)
class NamedPart:
    """One of several files."""

    name: str
    """Without its folder."""

    part: Part
    """What it holds."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds."""

    format: int
    """1."""

    station: str
    """Station id of the key."""

    made_ms: int
    """Milliseconds since 1970, by the clock of the machine that made it."""

    version: str
    """Of the program that made it."""

    key: Part
    """``station.key``."""

    database: Part
    """``station.db``."""

    prekeys: tuple[NamedPart, ...]
    """The files in ``prekeys``."""

    files: tuple[NamedPart, ...] = ()
    """Recordings and blobs, with their folders."""

    def parts(self) -> tuple[tuple[str, Part], ...]:
        """Return everything that is to be unpacked, by where it goes."""
        others = ((f"{PREKEYS}/{one.name}", one.part) for one in self.prekeys)
        files = ((one.name, one.part) for one in self.files)
        return ((KEY, self.key), (DATABASE, self.database), *others, *files)


def write_backup(
    target: IO[bytes], folder: Path, *, station: str, blobs: Path | None = None
) -> None:
    """Write a backup of the keys, the database and the recordings that lie in `folder`.

    `blobs` is the folder of those that are to be in it.  They never change, so they are read where
    they are; raises FileNotFoundError if one of them is deleted meanwhile.
    """
    prekeys = _listing(folder / PREKEYS)
    files = [*_listing(folder / RECORDINGS), *(_listing(blobs) if blobs is not None else ())]
    where = {f"{path.parent.name}/{path.name}": path for path in files}
    manifest = Manifest(
        format=_FORMAT,
        station=station,
        made_ms=int(time.time() * 1000),
        version=__version__,
        key=_part(folder / KEY),
        database=_part(folder / DATABASE),
        prekeys=tuple(NamedPart(path.name, _part(path)) for path in prekeys),
        files=tuple(
            NamedPart(name, _part(path)) for name, path in where.items() if is_kept_file(name)
        ),
    )
    listed = json.dumps(to_json(manifest), indent=1).encode() + b"\n"
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in ((_README, _WORDS.encode()), (_MANIFEST, listed)):
            tar.addfile(_entry(name, len(data), manifest.made_ms), io.BytesIO(data))
        for name, part in manifest.parts():
            with where.get(name, folder / name).open("rb") as source:
                tar.addfile(_entry(name, part.bytes, manifest.made_ms), source)


def read_backup(file: Path, folder: Path) -> Manifest:
    """Unpack keys and database of a backup into `folder`; raises BackupError.

    Only that they are what the list says is checked here.
    """
    try:
        source = file.open("rb")
    except OSError as error:
        raise BackupError(f"{file} can't be read: {error.strerror}.") from None
    try:
        with source, tarfile.open(fileobj=_InPieces(source, file), mode="r:") as tar:
            members = _members(tar)
            manifest = _manifest(_content(tar, members, _MANIFEST).read(_MAX_MANIFEST), file)
            for name in {PREKEYS, *(one.name.split("/")[0] for one in manifest.files)}:
                (folder / name).mkdir(mode=0o700)
            for name, part in manifest.parts():
                _unpack(_content(tar, members, name), part, folder / name)
    except _NO_BACKUP:
        raise BackupError(f"{file} is no backup of a station, or it is damaged.") from None
    return manifest


def is_kept_file(name: str) -> bool:
    """Tell whether a file, named with its folder, is a recording or a blob that is whole."""
    return _FILE.fullmatch(name) is not None


def _listing(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _entry(name: str, size: int, made_ms: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"{_FOLDER}/{name}")
    entry.size, entry.mode, entry.mtime = size, 0o600, made_ms // 1000
    return entry


def _part(path: Path) -> Part:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(path.stat().st_size, digest)


def _manifest(data: bytes, file: Path) -> Manifest:
    listed = json.loads(data)
    if isinstance(listed, dict) and listed.get("format") != _FORMAT:
        raise BackupError(f"{file} was made by a newer Fencewire. Update this one first.")
    try:
        manifest = from_json(Manifest, listed)
    except JsonShapeError as error:
        raise ValueError(str(error)) from None
    names = {one.name for one in manifest.prekeys}
    if not len(manifest.prekeys) == len(names) <= MAX_PARTS or not all(map(is_prekey_file, names)):
        raise ValueError("these are no prekeys")
    files = {one.name for one in manifest.files}
    if not len(manifest.files) == len(files) <= MAX_FILES or not all(map(is_kept_file, files)):
        raise ValueError("these are no files of messages")
    if any(part.bytes < 0 for _, part in manifest.parts()):
        raise ValueError("nothing has less than no bytes")
    return manifest


class _InPieces(io.RawIOBase):
    """A file of which nobody reads a lot at once, whatever the file says of itself."""

    def __init__(self, source: BinaryIO, path: Path) -> None:
        self._source, self._path = source, path

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise ValueError("a header is too long")
        try:
            return self._source.read(size)
        except OSError as error:
            raise BackupError(f"{self._path} can't be read: {error.strerror}.") from None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()


def _members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Return what is in the file by name, without our folder's."""
    members: dict[str, tarfile.TarInfo] = {}
    for number, member in enumerate(tar):
        if number == _MAX_ENTRIES:
            raise ValueError("there is too much in it")
        members[member.name.removeprefix(f"{_FOLDER}/")] = member
    return members


def _content(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> IO[bytes]:
    member = members[name]
    # What is said to be full of holes can be larger than all disks.
    plain = member.type == tarfile.REGTYPE and not member.issparse()
    content = tar.extractfile(member) if plain else None
    if content is None:
        raise ValueError(f"{name} is no file")
    return content


def _unpack(source: IO[bytes], part: Part, to: Path) -> None:
    digest = hashlib.sha256()
    left = part.bytes
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        while piece := source.read(min(_PIECE, left)):
            target.write(piece)
            digest.update(piece)
            left -= len(piece)
    if left or digest.hexdigest() != part.sha256:
        raise ValueError(f"{to.name} is not what the list says")
