"""Records: signed things that spread.

A record on the wire and on disk is a CBOR list of its body and the author's signature over the
body.  The body is a map; its hash is the record's id.  Version 1 of the body:

    0  format version         6  claimed wall time, ms        11  lifetime, s
    1  kind                   7  certainty of that time       12  prekey id, if sealed
    2  author's key           8  to: list of [key, line]      13  content, plain or sealed
    3  Lamport counter        9  group id, if any
    4  boot id               10  precedence
    5  uptime, ms                                             64  blobs, if any: list of
                                                                  [root, bytes]

A record whose "to" is empty and that has no group is for everyone.  Nothing orders by wall time:
it is what the author claims, and key 7 says how sure it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model import signing
from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.identity import Address, IdentityError, StationId, StationKey

FORMAT_VERSION: Final = 1
MAX_RECORD: Final = 96 * 1024
"""Bytes of an encoded record: the longest text, sealed, and room for what is to come."""

MAX_BLOBS: Final = 16
"""Blobs that one record refers to."""

MAX_BLOB_SIZE: Final = 1 << 40

MAX_RECIPIENTS: Final = 32
ID_SIZE: Final = 32
GROUP_SIZE: Final = 32
PREKEY_ID_SIZE: Final = 8
BOOT_SIZE: Final = 8
MAX_LAMPORT: Final = 1 << 62
MAX_LIFETIME_S: Final = 366 * 24 * 3600


class UnknownRecordError(FormatError):
    """A record of a format version or kind that only newer stations know."""

    def __init__(self, record: bytes, text: str) -> None:
        super().__init__(text)
        self.record = record
        """Its id.  Whether its signature is right has not been looked at."""


class RecordKind(IntEnum):
    """What a record is.  Unknown kinds are refused until a version knows them."""

    CARD = 1
    MESSAGE = 2
    RECEIPT = 3
    GROUP = 4
    RESEAL = 5


class Precedence(IntEnum):
    """How urgent the author says it is."""

    ROUTINE = 0
    WELFARE = 1
    PRIORITY = 2
    EMERGENCY = 3


class Certainty(IntEnum):
    """How sure an author is of its wall clock."""

    UNSET = 0
    """A board without a clock that nobody has told the time."""

    PEERS = 1
    """Agreed with other stations."""

    SYNCED = 2
    """From a satellite or network time source."""


@dataclass(frozen=True)
class Stamp:
    """When an author says it wrote something."""

    lamport: int
    """Higher than all that the author had seen."""

    boot: bytes
    """8 random bytes of the author's start."""

    uptime_ms: int
    """Since that start, monotonic."""

    wall_ms: int
    """Milliseconds since 1970 by its clock; may be badly wrong."""

    certainty: Certainty
    """How sure it was."""


@dataclass(frozen=True)
class BlobRef:
    """Bulk data that belongs to a record, as carriers see it."""

    root: bytes
    """32 bytes: names the data and lets anybody check it."""

    size: int
    """Bytes as it travels."""


@dataclass(frozen=True)
class Record:
    """One signed thing, read and its signature checked."""

    id: bytes
    """SHA-256 of the signed bytes."""

    kind: RecordKind
    """What it is."""

    author: StationId
    """Who signed it."""

    stamp: Stamp
    """When."""

    to: tuple[Address, ...]
    """Whom it is for; empty: everyone, or the group."""

    group: bytes | None
    """Which group it is for."""

    precedence: Precedence
    """How urgent."""

    lifetime_s: int
    """For how long it is worth carrying; 0: no limit of its own."""

    prekey: bytes | None
    """To which prekey of the recipient, or key of the group, it is sealed; None: not at all."""

    content: bytes
    """By kind; sealed if `prekey` is set."""

    raw: bytes
    """Body and signature as they travel."""

    blobs: tuple[BlobRef, ...] = ()
    """Bulk data that belongs to it."""

    @property
    def for_everyone(self) -> bool:
        """Neither stations nor a group are named."""
        return not self.to and self.group is None


def make_record(
    key: StationKey,
    kind: RecordKind,
    content: bytes,
    *,
    stamp: Stamp,
    to: tuple[Address, ...] = (),
    group: bytes | None = None,
    precedence: Precedence = Precedence.ROUTINE,
    lifetime_s: int = 0,
    prekey: bytes | None = None,
    blobs: tuple[BlobRef, ...] = (),
) -> Record:
    """Write and sign a record."""
    fields: dict[int, object] = {
        0: FORMAT_VERSION,
        1: int(kind),
        2: key.id.key,
        3: stamp.lamport,
        4: stamp.boot,
        5: stamp.uptime_ms,
        6: stamp.wall_ms,
        7: int(stamp.certainty),
        8: [[address.station.key, address.line] for address in to],
        10: int(precedence),
        11: lifetime_s,
        13: content,
    }
    if group is not None:
        fields[9] = group
    if prekey is not None:
        fields[12] = prekey
    if blobs:
        fields[64] = [[blob.root, blob.size] for blob in blobs]
    body = encode(fields)
    raw = encode([body, key.sign(signing.RECORD_CONTEXT, body)])
    if len(raw) > MAX_RECORD:
        raise ValueError(f"a record has at most {MAX_RECORD} bytes")
    return Record(
        id=hashlib.sha256(body).digest(),
        kind=kind,
        author=key.id,
        stamp=stamp,
        to=to,
        group=group,
        precedence=precedence,
        lifetime_s=lifetime_s,
        prekey=prekey,
        content=content,
        raw=raw,
        blobs=blobs,
    )


def read_record(raw: bytes) -> Record:
    """Read a record and check its signature; raises FormatError, or UnknownRecordError."""
    outer = decode(raw, limit=MAX_RECORD)
    if type(outer) is not list or len(outer) != 2:
        raise FormatError("record: not a body and a signature")
    body, signature = outer
    if type(body) is not bytes or type(signature) is not bytes:
        raise FormatError("record: not a body and a signature")
    fields = Fields(decode(body, limit=MAX_RECORD), "record")
    version, kind_number = fields.uint(0), fields.uint(1)
    record_id = hashlib.sha256(body).digest()
    if version != FORMAT_VERSION or kind_number not in set(RecordKind):
        raise UnknownRecordError(record_id, f"record: version {version}, kind {kind_number}")
    kind = RecordKind(kind_number)
    try:
        author = StationId(fields.data(2, size=32))
        stamp = Stamp(
            lamport=fields.uint(3, below=MAX_LAMPORT),
            boot=fields.data(4, size=BOOT_SIZE),
            uptime_ms=fields.uint(5),
            wall_ms=fields.uint(6, below=1 << 53),
            certainty=Certainty(fields.uint(7)),
        )
        to = tuple(_address(item) for item in fields.items(8, limit=MAX_RECIPIENTS))
        precedence = Precedence(fields.uint(10))
    except (ValueError, IdentityError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"record: {error}") from None
    record = Record(
        id=record_id,
        kind=kind,
        author=author,
        stamp=stamp,
        to=to,
        group=fields.data(9, size=GROUP_SIZE) if fields.has(9) else None,
        precedence=precedence,
        lifetime_s=fields.uint(11, below=MAX_LIFETIME_S + 1),
        prekey=fields.data(12, size=PREKEY_ID_SIZE) if fields.has(12) else None,
        content=fields.data(13, limit=MAX_RECORD),
        raw=raw,
        blobs=_blobs(fields) if fields.has(64) else (),
    )
    fields.end()
    if not signing.verify(author.key, signature, signing.RECORD_CONTEXT, body):
        raise FormatError("record: its signature is wrong")
    return record


def record_id_of(raw: bytes) -> bytes:
    """Return the id of an encoded record, of which nothing else is checked; raises FormatError."""
    outer = decode(raw, limit=MAX_RECORD)
    if type(outer) is not list or len(outer) != 2 or type(outer[0]) is not bytes:
        raise FormatError("record: not a body and a signature")
    return hashlib.sha256(outer[0]).digest()


def _blobs(fields: Fields) -> tuple[BlobRef, ...]:
    blobs = []
    for item in fields.items(64, limit=MAX_BLOBS):
        if type(item) is not list or len(item) != 2:
            raise FormatError("record: a blob is a root and a size")
        root, size = item
        if type(root) is not bytes or len(root) != ID_SIZE or type(size) is not int:
            raise FormatError("record: a blob is a root and a size")
        if not 0 < size <= MAX_BLOB_SIZE:
            raise FormatError("record: a blob of a size that none can have")
        blobs.append(BlobRef(root, size))
    return tuple(blobs)


def _address(item: object) -> Address:
    if type(item) is not list or len(item) != 2:
        raise FormatError("record: an address is a key and a line")
    key, line = item
    if type(key) is not bytes or type(line) is not str:
        raise FormatError("record: an address is a key and a line")
    return Address(StationId(key), line)
