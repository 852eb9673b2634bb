"""Many records that a station carries for somebody who is away, put into its store by hand."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from appliance.adapters.store import Store
from appliance.model.cargo import Load, Tier
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.record import Certainty, Record, RecordKind, Stamp, make_record
from appliance.node.carry import LIFETIME_S
from appliance.node.ports.carrying import ShipAll

AUTHORS = 100
SEALED_BYTES = 330
"""Of a short text."""

_TOGETHER = 500


def records(count: int, *, seed: int) -> list[Record]:
    """Messages of many to somebody who is away."""
    rng = random.Random(seed)
    keys = [StationKey.from_bytes(rng.randbytes(32)) for _ in range(AUTHORS)]
    away = Address(StationKey.from_bytes(rng.randbytes(32)).id)
    stamp = Stamp(1, bytes(8), 0, 0, Certainty.UNSET)
    return [
        make_record(
            keys[number % AUTHORS],
            RecordKind.MESSAGE,
            rng.randbytes(SEALED_BYTES),
            stamp=stamp,
            to=(away,),
            prekey=bytes(8),
        )
        for number in range(count)
    ]


async def load(path: Path, cargo: Sequence[Record]) -> None:
    """Put records into the store of a station that does not run, as if others had brought them."""
    store = Store.open(path)
    try:
        for start in range(0, len(cargo), _TOGETHER):
            parts = cargo[start : start + _TOGETHER]
            shipped = await store.perform(ShipAll(tuple(map(_load, parts))))
            assert all(one.taken for one in shipped)
    finally:
        await store.close()


def _load(record: Record) -> Load:
    carrier = StationId(bytes([record.id[0]]) * 32)
    return Load(record, record.to[0].station, (), carrier, Tier.KNOWN, 0.0, LIFETIME_S, 0.0)


def carried(path: Path) -> int:
    """How many records a station carries on its disk."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM carried").fetchone()[0])
