"""Stores messages without a pause in the store at argv[1], until it is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from appliance.adapters.store import Store
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState, Receipt
from appliance.model.record import Certainty, Precedence, Record, RecordKind, Stamp
from appliance.node.ports import SaveIncoming, StoredMessage

AT_ONCE = 64
AUTHOR = StationId(b"a" * 32)


def record(kind: RecordKind) -> Record:
    """A record that looks like one; the store checks no signature."""
    stamp = Stamp(1, b"bootboot", 0, 0, Certainty.UNSET)
    number = os.urandom(32)
    raw = number * 15
    return Record(
        number, kind, AUTHOR, stamp, (), None, Precedence.ROUTINE, 0, None, raw[:300], raw
    )


def incoming(order: int) -> SaveIncoming:
    """A message as it comes from another station."""
    message = record(RecordKind.MESSAGE)
    stored = StoredMessage(
        id=message.id,
        conversation=AUTHOR,
        author=AUTHOR,
        outgoing=False,
        text="The road to the school is open.",
        line="console",
        precedence=Precedence.ROUTINE,
        order=order,
        written_ms=0,
        written_sure=False,
        received_ms=0,
        received_sure=False,
        unread=True,
    )
    return SaveIncoming(stored, message, receipt_for(message))


def receipt_for(message: Record) -> Record:
    """Our receipt."""
    content = Receipt(DeliveryState.DELIVERED, (message.id,)).encode()
    return replace(record(RecordKind.RECEIPT), content=content)


async def main() -> None:
    store = Store.open(Path(sys.argv[1]))
    order = 0
    while True:
        batch = range(order, order + AT_ONCE)
        await asyncio.gather(*(store.perform(incoming(number)) for number in batch))
        order += AT_ONCE


if __name__ == "__main__":
    asyncio.run(main())
