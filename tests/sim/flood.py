"""A flood of invented stations, and what becomes of the messages of honest ones in it.

Keys are free, so two stations of the net make up thousands of others, and bring cards, messages and
receipts of these, all emergencies, as fast as the links take them.  They are real stations as well,
so nobody knows them from others.  The rest is in three parts: stations that all have compared keys
with, that all have written to, and of whom nothing is known.  The same is run without the flood.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Final
from unittest.mock import patch

from appliance.adapters.store import carried
from appliance.adapters.store.operations import WRITES
from appliance.model.card import Card, Prekey, read_card
from appliance.model.identity import Address, StationKey
from appliance.model.message import DeliveryState, Receipt, Text
from appliance.model.record import (
    Certainty,
    Precedence,
    Record,
    RecordKind,
    Stamp,
    make_record,
    read_record,
)
from appliance.node.ports import SaveStation, StoredStation
from appliance.protocol.carrying import Parcel, encode_parcels
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import seal
from sim.board import Board
from sim.happenings import Letter
from sim.people import People
from sim.scenario import Scenario
from sim.world import World, world

STATIONS: Final = 9
LIARS: Final = (0, 1)
"""On different links; they write nothing of their own, and nobody writes to them."""

PARTS: Final = {"verified": (2, 3, 4), "known": (5, 6), "new": (7, 8)}
"""How far everybody trusts whom, by index."""

CARRIED: Final = 256 * 1024
"""Bytes that a station carries for others here: less than the flood brings, as it is in earnest."""

EVERY_S: Final = 2.0
"""How often each liar brings something over each session."""

AUTHORS: Final = 3_000
"""Stations that are made up."""

CARDS: Final = 0.2
"""Share of these of whom a card is brought too."""

RATE: Final = 4e3
"""Bytes a second that a session takes: less than ..."""

PER_S: Final = 6.0
"""... what a liar has for each, in records a second."""

WRITE_EVERY_S: Final = 3.0
"""Between two honest messages."""

TO_EVERYONE: Final = 0.2

FLOODED_S: Final = 90.0
"""For how long honest stations write; the flood goes on until all has arrived, and then ..."""

PATIENCE_S: Final = 300.0
"""... there are so many seconds."""

MAX_DATABASE: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Arrivals:
    """What became of the honest stations' messages."""

    seconds: dict[str, tuple[float, ...]]
    """From writing to the reader's disk, by how far the author is trusted."""

    missing: tuple[str, ...]
    """What has not arrived."""

    invented: int
    """Records that were made up and sent, each over one session."""

    carried: int
    """Most bytes that a station carries for others in the end."""

    database: int
    """Bytes of the largest database."""

    def typical(self, part: str) -> float:
        """Return the median of a part."""
        return median(self.seconds[part])

    def worst(self, part: str) -> float:
        """Return the slowest of a part."""
        return max(self.seconds[part], default=0.0)


class Flood:
    """Two stations that lie."""

    def __init__(self, made: World, per_s: float) -> None:
        """`per_s`: records a second over each of their sessions."""
        self._world, self._rate = made, per_s
        self._rng = random.Random(f"flood/{made.scenario.seed}")
        self._authors: list[StationKey] = []
        self.sent = 0

    def begin(self) -> None:
        """Make up the first, and go on."""
        self._world.time.after(EVERY_S, self._pour)

    def _pour(self) -> None:
        for index in LIARS:
            board = self._world.boards[index]
            for session in list(board.sessions.values()):
                for _ in range(round(self._rate * EVERY_S)):
                    channel, data = self._lie()
                    session.send(board, channel, data)
                    self.sent += 1
        self._world.time.after(EVERY_S, self._pour)

    def _author(self) -> StationKey:
        if len(self._authors) < AUTHORS:
            self._authors.append(StationKey.from_bytes(self._rng.randbytes(32)))
            return self._authors[-1]
        return self._rng.choice(self._authors)

    def _lie(self) -> tuple[Channel, bytes]:
        key = self._author()
        if self._rng.random() < CARDS:
            return Channel.CARD, self._card(key)
        kind = self._rng.choice((self._to_all, self._to_all, self._to_one, self._to_nobody))
        make = kind if self._rng.random() < 0.8 else self._receipt
        return Channel.CARRY, encode_parcels((Parcel(0, make(key).raw),))

    def _stamp(self) -> Stamp:
        lamport = self._rng.randrange(1 << 20)
        return Stamp(lamport, self._rng.randbytes(8), 0, 0, Certainty.UNSET)

    def _text(self, key: StationKey) -> bytes:
        text = f"lie {self.sent} ".ljust(self._rng.randrange(20, 800), "!")
        self._world.people.attempted[text] = frozenset()
        return Text(key.id, text).encode()

    def _record(
        self,
        key: StationKey,
        content: bytes,
        to: tuple[Address, ...],
        *,
        kind: RecordKind = RecordKind.MESSAGE,
        prekey: bytes | None = None,
    ) -> Record:
        return make_record(
            key,
            kind,
            content,
            stamp=self._stamp(),
            to=to,
            precedence=Precedence.EMERGENCY,
            prekey=prekey,
        )

    def _card(self, key: StationKey) -> bytes:
        prekey = Prekey(self._rng.randbytes(8), self._rng.randbytes(32))
        card = Card(1, f"Rescue {len(self._authors)}", (), prekey)
        return make_record(key, RecordKind.CARD, card.encode(), stamp=self._stamp()).raw

    def _to_all(self, key: StationKey) -> Record:
        return self._record(key, self._text(key), ())

    def _to_one(self, key: StationKey) -> Record:
        reader = self._world.boards[self._rng.choice(_honest())]
        shown = reader.station.card.shown
        if shown is None:
            return self._to_all(key)
        prekey = read_card(read_record(shown[1])).prekey
        content = seal(
            self._text(key),
            author=key.id,
            recipient=reader.id,
            kind=RecordKind.MESSAGE,
            prekey=prekey,
        )
        return self._record(key, content, (Address(reader.id),), prekey=prekey.id)

    def _to_nobody(self, key: StationKey) -> Record:
        nobody = StationKey.from_bytes(self._rng.randbytes(32)).id
        garbage = self._rng.randbytes(self._rng.randrange(50, 1_000))
        return self._record(key, garbage, (Address(nobody),), prekey=self._rng.randbytes(8))

    def _receipt(self, key: StationKey) -> Record:
        ids = tuple(self._rng.randbytes(32) for _ in range(self._rng.randrange(1, 20)))
        author = self._world.boards[self._rng.choice(_honest())].id
        content = Receipt(DeliveryState.DELIVERED, ids).encode()
        return self._record(key, content, (Address(author),), kind=RecordKind.RECEIPT)


class Honest(People):
    """Those who have something to say."""

    def __init__(self, made: World) -> None:
        super().__init__(made)
        self.arrived: dict[tuple[bytes, int], float] = {}
        """When a message came onto a reader's disk, by the reader's index."""

    def begin(self) -> None:
        """Let them begin, when the cards are there."""
        self.world.time.after(20.0, self._somebody)
        self.world.time.after(1.0, self._look)

    def _somebody(self) -> None:
        if self.writing:
            author, to = self.rng.sample(_honest(), 2)
            everyone = self.rng.random() < TO_EVERYONE
            self.write(self.world.boards[author], None if everyone else to)
            self.world.time.after(WRITE_EVERY_S, self._somebody)

    def _look(self) -> None:
        for letter, reader in self.pairs():
            if (letter.id, reader.index) not in self.arrived and letter.id in reader.disk.kept:
                self.arrived[letter.id, reader.index] = self.world.time.now
        self.world.time.after(1.0, self._look)

    def pairs(self) -> Iterator[tuple[Letter, Board]]:
        """Return who has to have what, as long as it is worth something."""
        for letter in self.letters.values():
            for index in _honest() if letter.to is None else (letter.to,):
                if letter.forever and index != letter.author:
                    yield letter, self.world.boards[index]

    def missing(self) -> Iterator[str]:
        """Return what has not arrived."""
        for letter, reader in self.pairs():
            if (letter.id, reader.index) not in self.arrived:
                yield f"{letter.text:.40} of {_part(letter.author)} is not at {reader.name}"


def _honest() -> list[int]:
    return [index for part in PARTS.values() for index in part]


def _part(index: int) -> str:
    return next(name for name, part in PARTS.items() if index in part)


def scenario(seed: int) -> Scenario:
    """Return a calm net of a few links, where nothing goes wrong but the flood."""
    never = 1e9
    return replace(
        Scenario.of(seed, STATIONS, FLOODED_S / 60),
        segment_size=3,
        islands=False,
        couriers=0,
        loss=0.02,
        latency_s=0.02,
        rate=RATE,
        session_s=never,
        crash_every_s=never,
        partition_every_s=never,
        full_every_s=never,
        bad_clocks=0.0,
        lost_for_good=0.0,
        max_database=MAX_DATABASE,
    )


def _acquaint(made: World) -> None:
    """Let all know each other as they shall."""
    for board in made.boards:
        for part, members in PARTS.items():
            for other in (made.boards[index] for index in members):
                if part == "new" or other is board:
                    continue
                name = other.id.default_name if part == "verified" else None
                known = StoredStation(other.id, None, part, name, None, seen_sure=False)
                WRITES[SaveStation](board.disk.db, SaveStation(known))


@contextmanager
def _little_room() -> Iterator[None]:
    with patch.object(carried, "MAX_BYTES", CARRIED):
        yield


def run(seed: int, *, per_s: float) -> Arrivals:
    """Run it once, with so many invented records a second over each session of a liar."""
    with _little_room(), world(scenario(seed), checkers=()) as made:
        made.people = people = Honest(made)
        _acquaint(made)
        flood = Flood(made, per_s)
        for board in made.boards:
            board.start()
        people.begin()
        if per_s:
            flood.begin()
        made.time.run(FLOODED_S)
        people.writing = False
        until = made.time.now + PATIENCE_S
        while made.time.now < until and next(people.missing(), None) is not None:
            made.time.run(5.0)
        return _judge(made, people, flood.sent)


def _judge(made: World, people: Honest, sent: int) -> Arrivals:
    seconds: dict[str, list[float]] = {part: [] for part in PARTS}
    for letter, reader in people.pairs():
        at = people.arrived.get((letter.id, reader.index))
        if at is not None:
            seconds[_part(letter.author)].append(at - letter.at)
    held = [
        board.disk.db.execute("SELECT coalesce(sum(bytes), 0) FROM holds WHERE tier < 3").fetchone()
        for board in made.boards
    ]
    return Arrivals(
        seconds={part: tuple(found) for part, found in seconds.items()},
        missing=tuple(people.missing()),
        invented=sent,
        carried=max(total for (total,) in held),
        database=max(board.disk.size() for board in made.boards),
    )


def table(calm: Arrivals, flooded: Arrivals) -> str:
    """Return both side by side, for people."""
    lines = [f"{flooded.invented} invented records; seconds to arrive, median (worst)"]
    lines += [
        f"  {part:<9} {calm.typical(part):5.1f} ({calm.worst(part):.0f}) without,"
        f" {flooded.typical(part):5.1f} ({flooded.worst(part):.0f}) with the flood"
        for part in PARTS
    ]
    lines += [
        f"  {name}: {len(one.missing)} missing, {one.carried // 1024} KB carried,"
        f" {one.database // 1024} KB on disk"
        for name, one in (("without", calm), ("with", flooded))
    ]
    return "\n".join(lines)
