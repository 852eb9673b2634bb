"""Wrote `vectors/store`: databases of released versions, each once, and what was read back.

The files are the truth and this is how they came about: they never change, whatever becomes of the
code.  It is run with the code and the tests of the version, and refuses to write over what is
there:

``PYTHONPATH=CHECKOUT:CHECKOUT/tests python -P tests/store_release.py v0.1.0``
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from store_samples import ANN, BOB, CLEO, got, incoming, outgoing, receipt, station

from appliance.adapters.store import Store
from appliance.model.group import conversation_key
from appliance.model.message import DeliveryState
from appliance.model.record import Precedence
from appliance.node.ports import (
    CountUnread,
    GetMessages,
    GetStations,
    GetValue,
    MarkRead,
    NoteProblem,
    Pending,
    SaveStation,
    SetValue,
)


async def fill(store: Store) -> None:
    """Store some of everything, in all states."""
    for of, trust in ((ANN, "verified"), (BOB, "known"), (CLEO, "new")):
        await store.perform(SaveStation(station(of, trust, card=b"card of " + of.key[:1])))
    delivered, read, waiting = (outgoing(ANN, order=order, size=64) for order in (1, 2, 3))
    hopeless = outgoing(BOB, order=4, size=64, expires_awake_s=1e6)
    to_all = outgoing(None, order=5, precedence=Precedence.EMERGENCY, size=64)
    for written in (delivered, read, waiting, hopeless, to_all):
        await store.perform(written)
    await store.perform(got(ANN, DeliveryState.DELIVERED, delivered.record.id))
    await store.perform(got(ANN, DeliveryState.READ, read.record.id))
    await store.perform(got(CLEO, DeliveryState.DELIVERED, to_all.record.id))
    await store.perform(NoteProblem(BOB, (hopeless.record.id,), "full"))
    unread, seen = (incoming(CLEO, order=order, size=64, text="héllo") for order in (6, 7))
    for arrived in (unread, seen, incoming(BOB, everyone=True, order=8, size=64)):
        await store.perform(arrived)
    answer = receipt(DeliveryState.READ, seen.record.id)
    await store.perform(MarkRead((seen.record.id,), ((CLEO, answer),)))
    await store.perform(SetValue("awake", b"123456"))


async def read_back(store: Store, **more: bool) -> dict[str, object]:
    """Return what clients and other stations are answered from it.

    `more`: what later versions have to be told to answer the same.
    """
    waiting = {
        of.key.hex(): await store.perform(Pending(of, 200.0, frozenset(), 100, **more))
        for of in (ANN, BOB, CLEO)
    }
    unread = await store.perform(CountUnread())
    return {
        "messages": [asdict(one) for one in await store.perform(GetMessages(None, True, None, 99))],
        "stations": [asdict(one) for one in await store.perform(GetStations())],
        "pending": waiting,
        "unread": {conversation_key(of).hex(): count for of, count in unread.items()},
        "awake": await store.perform(GetValue("awake")),
    }


async def make(path: Path) -> dict[str, object]:
    """Make the database; return what is in it."""
    store = Store.open(path)
    await fill(store)
    found = await read_back(store)
    await store.close()
    return found


def as_json(found: object) -> str:
    """Write answers down, bytes in hexadecimal."""
    return json.dumps(found, indent=1, default=lambda value: value.hex()) + "\n"


def main(version: str) -> None:
    """Write both files."""
    here = Path(__file__).parent / "vectors" / "store" / version
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "station.db"
        found = asyncio.run(make(path))
        with closing(sqlite3.connect(path)) as db:
            marks = [
                f"PRAGMA {name} = {db.execute(f'PRAGMA {name}').fetchone()[0]};"
                for name in ("application_id", "user_version")
            ]
            dump = "\n".join([*marks, *db.iterdump()])
    with here.with_name(f"{version}.sql").open("x") as file:
        file.write(f"{dump}\n")
    with here.with_name(f"{version}.json").open("x") as file:
        file.write(as_json(found))


if __name__ == "__main__":
    main(sys.argv[1])
