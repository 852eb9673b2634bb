"""Messages, receipts and stations for tests of the store, which checks no signature."""

import hashlib
import itertools

from appliance.model.identity import StationId
from appliance.model.message import DeliveryState, Receipt
from appliance.model.record import Certainty, Precedence, Record, RecordKind, Stamp
from appliance.node.ports import (
    Moment,
    SaveIncoming,
    SaveOutgoing,
    SaveReceipt,
    StoredMessage,
    StoredStation,
)

ME, ANN, BOB, CLEO = (StationId(letter * 32) for letter in (b"m", b"a", b"b", b"c"))
NOW = Moment(wall_ms=1_700_000_000_000, sure=True, awake_s=100.0)

_serial = itertools.count(1)


def record(
    author: StationId,
    *,
    kind: RecordKind = RecordKind.MESSAGE,
    content: bytes = b"",
    precedence: Precedence = Precedence.ROUTINE,
    lamport: int = 1,
    size: int = 200,
    seed: bytes | None = None,
) -> Record:
    """A record that is unlike all others, or unlike those of other seeds."""
    seed = next(_serial).to_bytes(8, "big") if seed is None else seed
    digest = hashlib.sha256(seed).digest()
    return Record(
        id=digest,
        kind=kind,
        author=author,
        stamp=Stamp(lamport, b"bootboot", 0, 0, Certainty.UNSET),
        to=(),
        group=None,
        precedence=precedence,
        lifetime_s=0,
        prekey=None,
        content=content,
        raw=digest * (size // 32 + 1),
    )


def message(
    of: Record,
    conversation: StationId | None,
    *,
    order: int,
    text: str = "hello",
    expires_awake_s: float | None = None,
) -> StoredMessage:
    """A record as clients see it."""
    outgoing = of.author == ME
    return StoredMessage(
        id=of.id,
        conversation=conversation,
        author=of.author,
        outgoing=outgoing,
        text=text,
        line="console",
        precedence=of.precedence,
        order=order,
        written_ms=5,
        written_sure=False,
        received_ms=6,
        received_sure=True,
        unread=not outgoing,
        expires_awake_s=expires_awake_s,
    )


def outgoing(
    to: StationId | None,
    *,
    order: int = 1,
    precedence: Precedence = Precedence.ROUTINE,
    expires_awake_s: float | None = None,
    size: int = 200,
    seed: bytes | None = None,
) -> SaveOutgoing:
    """Something that our operator wrote."""
    written = record(ME, precedence=precedence, size=size, seed=seed)
    shown = message(written, to, order=order, expires_awake_s=expires_awake_s)
    return SaveOutgoing(shown, written, () if to is None else (to,))


def receipt(state: DeliveryState, *ids: bytes, lamport: int = 1) -> Record:
    """Our own receipt."""
    content = Receipt(state, ids).encode()
    return record(ME, kind=RecordKind.RECEIPT, content=content, lamport=lamport)


def incoming(
    author: StationId,
    *,
    everyone: bool = False,
    order: int = 1,
    size: int = 200,
    text: str = "hello",
    seed: bytes | None = None,
) -> SaveIncoming:
    """Something that arrived, with our receipt for it."""
    arrived = record(author, size=size, seed=seed)
    shown = message(arrived, None if everyone else author, order=order, text=text)
    return SaveIncoming(shown, arrived, receipt(DeliveryState.DELIVERED, arrived.id))


def receipt_of(operation: SaveIncoming) -> Record:
    """The receipt that is stored with what arrived."""
    assert operation.receipt is not None
    return operation.receipt


def got(station: StationId, state: DeliveryState, *ids: bytes) -> SaveReceipt:
    """A station says how far messages of ours came."""
    return SaveReceipt(station, state, ids, NOW)


def station(of: StationId, trust: str = "new", *, card: bytes | None = None) -> StoredStation:
    """What is known of a station."""
    return StoredStation(of, card, trust, None, None, seen_sure=False)
