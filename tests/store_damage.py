"""Stores that are damaged in many ways, and what can be read of them afterwards.

store_damage.py MESSAGES PAGES RUNS   how often something of ours is lost, as a table
"""

import asyncio
import hashlib
import random
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from store_samples import ANN, BOB, CLEO, ME, got, incoming, outgoing, receipt_of, station

from appliance.adapters.store import Store, database
from appliance.adapters.store.pages import PAGE_SIZE
from appliance.model.codec import encode
from appliance.model.message import DeliveryState
from appliance.model.record import Record
from appliance.node.ports import SaveIncoming, SaveOutgoing, SaveStation, SetValue

PAGE = PAGE_SIZE
OWN = 20
"""Messages of ours that wait, among the others."""


def whole(record: Record) -> Record:
    """The same, with the id that its bytes have."""
    return replace(
        record,
        id=hashlib.sha256(record.raw).digest(),
        raw=encode([record.raw, bytes(64)]),
    )


def mine(*, order: int, size: int = 400) -> SaveOutgoing:
    sample = outgoing(BOB, order=order, size=size)
    record = whole(sample.record)
    text = f"our message {order}"
    return replace(sample, record=record, message=replace(sample.message, id=record.id, text=text))


def theirs(*, order: int, size: int = 400) -> SaveIncoming:
    sample = incoming(ANN, order=order, size=size)
    record = whole(sample.record)
    return replace(
        sample,
        record=record,
        message=replace(sample.message, id=record.id, text=f"their message {order}"),
        receipt=whole(receipt_of(sample)),
    )


async def fill(path: Path, messages: int, *, left_open: Path | None = None) -> list[bytes]:
    """Store messages, OWN of them ours and waiting; return the ids of these.

    `left_open`: where to put a copy with its log, as a power cut would leave it.
    """
    store = Store.open(path)
    for of in (ANN, BOB, CLEO):
        await store.perform(SaveStation(station(of, "verified", card=of.key * 8)))
    await store.perform(SetValue("prekey", b"p" * 40))
    waiting: list[bytes] = []
    for order in range(messages):
        size = 9000 if order % 50 == 7 else 400
        if order % (messages // OWN) == 3:
            ours = mine(order=order, size=size)
            waiting.append(ours.record.id)
            await store.perform(ours)
        elif order % 10 == 0:
            ours = mine(order=order, size=size)
            store.submit(ours)
            store.submit(got(BOB, DeliveryState.DELIVERED, ours.record.id))
        else:
            store.submit(theirs(order=order, size=size))
            if order % 256 == 0:
                await store.perform(SetValue("awake", str(order).encode()))
    await store.perform(SetValue("awake", b"7"))
    if left_open is not None:
        for ending in ("", "-wal"):
            source = path.with_name(path.name + ending)
            shutil.copy(source, left_open.with_name(left_open.name + ending))
    await store.close()
    return waiting


def hit(path: Path, pages: list[int], dice: random.Random) -> None:
    """Write garbage over pages; the first is 0."""
    with path.open("r+b") as file:
        for page in pages:
            file.seek(page * PAGE)
            file.write(dice.randbytes(PAGE) if dice.random() < 0.7 else bytes(PAGE))


def opened(path: Path) -> tuple[set[bytes], set[str], Counter[str]]:
    """Open and close a store; return which of ours wait as they should, all texts, and counts."""
    database.open_database(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = db.execute(
            "SELECT id, raw FROM outbox JOIN records ON number = record"
            " WHERE outbox.station = ? AND author = ?",
            (BOB.key, ME.key),
        ).fetchall()
        texts = {text for (text,) in db.execute("SELECT text FROM messages")}
        names = [
            name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE sql NOT NULL")
        ]
        counts = Counter(
            {
                name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                for name in names
                if name in {"records", "messages", "recipients", "outbox", "stations", "vals"}
            }
        )
    return {record_id for record_id, _ in rows}, texts, counts


def main(messages: int, pages: int, runs: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        sound = Path(scratch) / "sound.db"
        waiting = asyncio.run(fill(sound, messages))
        count = sound.stat().st_size // PAGE
        lost, texts, touched, values = Counter[int](), 0, 0, 0
        for seed in range(runs):
            dice = random.Random(seed)
            path = Path(scratch) / str(seed) / "store.db"
            path.parent.mkdir()
            shutil.copy(sound, path)
            hit(path, dice.sample(range(count), pages), dice)
            kept, _, counts = opened(path)
            missing = len(set(waiting) - kept)
            lost[missing] += 1
            texts += messages - counts["messages"]
            touched += path.with_name("store.db.damaged-1").exists()
            values += counts["vals"] < 2
            shutil.rmtree(path.parent)
        print(f"{messages} messages, {count} pages, {pages} damaged, {runs} runs")
        print(f"found to be damaged: {touched}; runs by own waiting messages lost: {dict(lost)}")
        print(f"of {OWN * runs} own waiting: {sum(n * of for n, of in lost.items())} lost")
        print(f"of {messages * runs} messages: {texts} lost; values lost in {values} runs")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
