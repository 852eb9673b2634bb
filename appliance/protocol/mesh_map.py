"""Messages of the MAP channel: "who are your neighbours", and the answer.

Each is a CBOR map whose key 0 says what it is; kinds that a newer station adds are ignored, and so
are keys from 64 on.  An answer is what one station claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.net import LinkKind
from appliance.protocol.frames import MAX_MESSAGE, Channel

ADDRESS_BYTES: Final = 16
MAX_NEIGHBOURS: Final = 256
"""In one answer, the nearest first: 256 of at most 52 bytes fit into a message."""

MAX_NUMBER: Final = 1 << 32
"""Of questions, and of microseconds."""

_ASK, _ANSWER = 0, 1
_KINDS: Final = (LinkKind.ETHERNET, LinkKind.CABLE, LinkKind.RADIO, LinkKind.TUNNEL)
"""By their numbers in a message; a number behind these is a kind that we don't know."""


@dataclass(frozen=True)
class MapAsk:
    """Who are your neighbours?"""

    number: int
    """Comes back with the answer."""


@dataclass(frozen=True)
class MapNeighbour:
    """A neighbour of whoever answers."""

    address: bytes
    """Computed from its key, 16 bytes."""

    kind: LinkKind | None
    """What the link is made of, as far as that is known."""

    cost: int | None
    """Of the link; 65535: it can't be used; None: no routing protocol runs over it."""

    loss_in_pct: int | None
    """Of what the neighbour sends."""

    loss_out_pct: int | None
    """Of what it is sent."""

    rtt_us: int | None
    """Round trip in microseconds."""


@dataclass(frozen=True)
class MapAnswer:
    """These are my neighbours."""

    number: int
    """Of the question."""

    total: int
    """How many there are; `neighbours` may hold fewer."""

    neighbours: tuple[MapNeighbour, ...]
    """At most `MAX_NEIGHBOURS`."""


MapMessage: TypeAlias = MapAsk | MapAnswer


def encode_map(message: MapMessage) -> bytes:
    """Return the bytes of a message."""
    if isinstance(message, MapAsk):
        return encode({0: _ASK, 1: message.number})
    if len(message.neighbours) > MAX_NEIGHBOURS:
        raise ValueError(f"at most {MAX_NEIGHBOURS} neighbours go into one answer")
    neighbours = [_encode_neighbour(one) for one in message.neighbours]
    return encode({0: _ANSWER, 1: message.number, 2: message.total, 3: neighbours})


def _encode_neighbour(one: MapNeighbour) -> dict[int, object]:
    fields: dict[int, object] = {0: one.address}
    numbers = (one.cost, one.loss_in_pct, one.loss_out_pct, one.rtt_us)
    if one.kind is not None:
        fields[1] = _KINDS.index(one.kind)
    fields.update({key: value for key, value in enumerate(numbers, 2) if value is not None})
    return fields


def decode_map(data: bytes) -> MapMessage | None:
    """Read a message; None: of a kind that only newer stations know.  Raises FormatError."""
    fields = Fields(decode(data, limit=MAX_MESSAGE[Channel.MAP]), "map")
    kind = fields.uint(0, below=256)
    if kind not in {_ASK, _ANSWER}:
        return None
    number = fields.uint(1, below=MAX_NUMBER)
    if kind == _ASK:
        fields.end()
        return MapAsk(number)
    total = fields.uint(2, below=MAX_NUMBER)
    items = fields.items(3, limit=MAX_NEIGHBOURS)
    fields.end()
    neighbours = tuple(_decode_neighbour(Fields(item, "neighbour")) for item in items)
    if len({one.address for one in neighbours}) < len(neighbours):
        raise FormatError("map: the same neighbour twice")
    return MapAnswer(number, max(total, len(neighbours)), neighbours)


def _decode_neighbour(fields: Fields) -> MapNeighbour:
    address = fields.data(0, size=ADDRESS_BYTES)
    kind = fields.uint(1, below=256) if fields.has(1) else len(_KINDS)
    bounds = ((2, 1 << 16), (3, 101), (4, 101), (5, MAX_NUMBER))
    cost, loss_in, loss_out, rtt = (
        fields.uint(key, below=below) if fields.has(key) else None for key, below in bounds
    )
    fields.end()
    known = _KINDS[kind] if kind < len(_KINDS) else None
    return MapNeighbour(address, known, cost, loss_in, loss_out, rtt)
