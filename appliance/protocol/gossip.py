"""Messages of the GOSSIP channel: which cards two neighbours have, and which they want.

A summary is a hash over all cards that its sender has.  Whoever has others answers with a list of
its own; the first then sends what the other lacks and asks for what itself lacks.  The cards go
over the CARD channel.  Equal summaries, the usual case, cost one small message.

    summary: {0: 0, 1: digest}    list: {0: 1, 1: [[start of key, sequence], ...]}
    want:    {0: 2, 1: [start of key, ...]}
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from appliance.model.codec import Fields, FormatError, decode, encode

MAX_LISTED: Final = 2_048
"""Cards in one list; more than a station remembers."""

MAX_MESSAGE: Final = 64 * 1024
START_SIZE: Final = 8
"""Bytes of a station's key that name it here.  Two keys that begin alike only hide one another's
cards from gossip."""

DIGEST_SIZE: Final = 16


@dataclass(frozen=True)
class Summary:
    """All cards in one hash."""

    digest: bytes
    """16 bytes."""


@dataclass(frozen=True)
class Listing:
    """All cards by station."""

    cards: tuple[tuple[bytes, int], ...]
    """The start of each station's key, and its card's sequence number."""


@dataclass(frozen=True)
class Want:
    """Please send these cards."""

    cards: tuple[bytes, ...]
    """The starts of the stations' keys."""


GossipMessage: TypeAlias = Summary | Listing | Want


def digest_of(cards: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the hash of a list; its order does not matter."""
    ordered = sorted(cards)
    return hashlib.sha256(encode([list(card) for card in ordered])).digest()[:DIGEST_SIZE]


def encode_gossip(message: GossipMessage) -> bytes:
    """Return a message as bytes."""
    match message:
        case Summary(digest):
            return encode({0: 0, 1: digest})
        case Listing(cards):
            return encode({0: 1, 1: [list(card) for card in cards]})
        case Want(starts):
            return encode({0: 2, 1: list(starts)})


def decode_gossip(data: bytes) -> GossipMessage | None:
    """Read a message; None for a kind that only newer stations know; raises FormatError."""
    fields = Fields(decode(data, limit=MAX_MESSAGE), "gossip")
    kind = fields.uint(0)
    message: GossipMessage
    if kind == 0:
        message = Summary(fields.data(1, size=DIGEST_SIZE))
    elif kind == 1:
        message = Listing(tuple(_card(item) for item in fields.items(1, limit=MAX_LISTED)))
    elif kind == 2:
        message = Want(tuple(_start(item) for item in fields.items(1, limit=MAX_LISTED)))
    else:
        return None
    fields.end()
    return message


def _card(item: object) -> tuple[bytes, int]:
    if type(item) is not list or len(item) != 2:
        raise FormatError("gossip: not a key and a number")
    start, sequence = item
    if type(sequence) is not int or not 0 <= sequence < 1 << 63:
        raise FormatError("gossip: not a sequence number")
    return _start(start), sequence


def _start(item: object) -> bytes:
    if type(item) is not bytes or len(item) != START_SIZE:
        raise FormatError("gossip: not the start of a key")
    return item
