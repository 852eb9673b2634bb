"""What a station must still have after a power cut: its identity and all that it said is kept.

Opens key and store with the station's own code, as its next start would.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from appliance.adapters.store import Store
from appliance.adapters.store.salvage import set_aside
from appliance.daemon.keyfile import load_or_make
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.node.ports import GetMessage, Pending


class LostError(Exception):
    """Something that was said to be kept is not there, or not as it was."""


@dataclass(frozen=True)
class Told:
    """Somebody outside was told that a message is kept."""

    position: int
    """Place in the log of writes by then (`write_log.position_now`)."""

    message: bytes
    """Its id."""


@dataclass(frozen=True)
class StationCheck:
    """The check for `replay.replay`."""

    identity: StationId
    """Whose disk it is."""

    identity_position: int
    """Place in the log of writes when that was first seen outside."""

    written: tuple[Told, ...] = ()
    """Messages of its own, for which its client got an answer."""

    received: tuple[Told, ...] = ()
    """Messages of others, for which their author got a receipt."""

    state: str = "fencewire"
    """The station's directory on the partition."""

    def __call__(self, position: int, mounted: Path) -> None:
        """Raise what is wrong with a station whose power went at `position`."""
        written = [told.message for told in self.written if told.position <= position]
        received = [told.message for told in self.received if told.position <= position]
        identity_is_known = self.identity_position <= position
        directory = mounted / self.state
        if not directory.is_dir() and not (identity_is_known or written or received):
            return
        identity = load_or_make(directory).id
        if identity_is_known and identity != self.identity:
            raise LostError(f"the station has become {identity}")
        database = directory / "station.db"
        asyncio.run(_check_store(database, written, received))
        if (damaged := set_aside(database)) is not None:
            raise LostError(f"the database was damaged: {damaged[1]}")
        with closing(sqlite3.connect(database)) as db:
            problems = [
                *db.execute("PRAGMA integrity_check").fetchall(),
                *db.execute("PRAGMA foreign_key_check").fetchall(),
            ]
        if problems != [("ok",)]:
            raise LostError(f"the database is damaged: {problems[:3]}")


async def _check_store(database: Path, written: list[bytes], received: list[bytes]) -> None:
    store = Store.open(database)
    try:
        waiting: dict[StationId, frozenset[bytes]] = {}
        for message_id in written:
            message = await store.perform(GetMessage(message_id))
            if message is None or not message.outgoing:
                raise LostError(f"message {message_id.hex()} of its own is gone")
            for recipient in message.recipients:
                if recipient.state >= DeliveryState.DELIVERED:
                    continue
                if recipient.station not in waiting:
                    waiting[recipient.station] = await _waiting_for(store, recipient.station)
                if message.id not in waiting[recipient.station]:
                    raise LostError(f"message {message_id.hex()} waits for nobody")
        for message_id in received:
            message = await store.perform(GetMessage(message_id))
            if message is None or message.outgoing:
                raise LostError(f"message {message_id.hex()} is gone, and its author has a receipt")
    finally:
        await store.close()


async def _waiting_for(store: Store, station: StationId) -> frozenset[bytes]:
    pending = await store.perform(Pending(station, awake_s=0, skip=frozenset(), limit=1 << 30))
    return frozenset(record for record, _ in pending)
