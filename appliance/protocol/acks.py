"""What became of records that a peer sent: the messages of the ACK channel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from appliance.model.codec import FormatError, decode, encode
from appliance.model.record import ID_SIZE

MAX_ACKED: Final = 256
"""Records in one message."""


class Outcome(IntEnum):
    """What became of a record."""

    STORED = 0
    """It is on disk, or was before."""

    REFUSED = 1
    """It will never be taken in this form."""

    LATER = 2
    """It could not be stored just now."""

    CARRIED = 3
    """It is on the disk of somebody who passes it on; whom it is for has not said anything."""


@dataclass(frozen=True)
class Ack:
    """What became of one record."""

    record: bytes
    """Its id."""

    outcome: Outcome
    """What."""


def encode_acks(acks: tuple[Ack, ...]) -> bytes:
    """Return the message; at most 256 acks."""
    if len(acks) > MAX_ACKED:
        raise ValueError(f"at most {MAX_ACKED} acks go into one message")
    return encode([[ack.record, int(ack.outcome)] for ack in acks])


def decode_acks(data: bytes) -> tuple[Ack, ...]:
    """Read the message; raises FormatError.  Outcomes of later versions count as refused."""
    items = decode(data, limit=16 * 1024)
    if type(items) is not list or len(items) > MAX_ACKED:
        raise FormatError("acks: not a list of at most 256")
    acks = []
    for item in items:
        if type(item) is not list or len(item) != 2:
            raise FormatError("acks: not an id and an outcome")
        record, outcome = item
        if type(record) is not bytes or len(record) != ID_SIZE or type(outcome) is not int:
            raise FormatError("acks: not an id and an outcome")
        known = outcome in set(Outcome)
        acks.append(Ack(record, Outcome(outcome) if known else Outcome.REFUSED))
    return tuple(acks)
