"""What a store has promised, and whether the one that is found afterwards keeps it.

Promises are lines of words (see `Promises.note`), so that a process that dies can leave them in a
pipe.  A check opens the store as the next start of a station would.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from store_samples import ME

from appliance.adapters.store.database import open_database
from appliance.adapters.store.operations import READS
from appliance.model.message import DeliveryState
from appliance.node.ports import GetMessage

READ_WHOLE: Final = 20
"""Of the latest messages, so many are also read as a screen would."""


class LostError(Exception):
    """Something that was promised is not there, or something is there by half."""


@dataclass
class Promises:
    """What has to be found."""

    wrote: dict[str, str] = field(default_factory=dict)
    """Messages of ours, and for whom; ``-``: everyone."""

    arrived: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Messages of others, our receipt for each, and their author."""

    came: set[str] = field(default_factory=set)
    """Messages of others that may have no receipt yet."""

    seen: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The same for what our operator has seen."""

    states: dict[tuple[str, str], int] = field(default_factory=dict)
    """How far a message came with whom, at least."""

    carried: set[str] = field(default_factory=set)
    """What is carried, or known if it had to go."""

    known: set[str] = field(default_factory=set)
    """What nobody may bring again."""

    held: set[tuple[str, str]] = field(default_factory=set)
    """Messages of ours, and neighbours that hold them."""

    values: dict[str, int] = field(default_factory=dict)
    """How far counters were, at least."""

    met: set[str] = field(default_factory=set)
    """Stations that our operator has compared keys with."""

    shown: dict[tuple[str, str], int] = field(default_factory=dict)
    """How far a message was seen to have come, though nothing was promised."""

    let: set[tuple[str, str]] = field(default_factory=set)
    """Receipts that may wait for an author no longer."""

    def note(self, word: str, *rest: str) -> None:
        """Understand a line."""
        match word, rest:
            case "wrote", (message, to):
                self.wrote[message] = to
            case "arrived", (message, receipt, author):
                self.arrived[message] = receipt, author
            case "came", (message,):
                self.came.add(message)
            case "seen", (message, receipt, author):
                self.seen[message] = receipt, author
            case "state", (message, station, state):
                grow(self.states, (message, station), int(state))
            case "shown", (message, station, state):
                grow(self.shown, (message, station), int(state))
            case "carried", (record,):
                self.carried.add(record)
            case "known", (record,):
                self.known.add(record)
            case "held", (message, station):
                self.held.add((message, station))
            case "value", (name, number):
                grow(self.values, name, int(number))
            case "met", (station,):
                self.met.add(station)
            case "let", (receipt, author):
                self.let.add((receipt, author))
            case _:
                raise ValueError(f"no promise: {word} {rest}")

    def hold_to_what_was_shown(self) -> None:
        """Take it for promised: nothing happened to the process, and no state may go back."""
        for key, state in self.shown.items():
            grow(self.states, key, state)

    def __len__(self) -> int:
        """Return the number of things that have to be found."""
        sizes = len(self.wrote) + len(self.arrived) + len(self.seen) + len(self.states)
        sizes += len(self.came)
        return sizes + len(self.carried) + len(self.known) + len(self.held) + len(self.values)

    def check(self, path: Path) -> None:
        """Open the store at `path` and raise LostError with all that is wrong."""
        if not path.exists() and not len(self):
            return
        problems = list(self._problems(path))
        if problems:
            more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
            raise LostError("; ".join(problems[:10]) + more)

    def _problems(self, path: Path) -> Iterator[str]:
        if not path.exists():
            yield "the store is gone"
            return
        database = open_database(path)
        try:
            yield from (f"it was mended: {one.name}" for one in path.parent.glob("*.damaged-*"))
            for pragma in ("integrity_check", "foreign_key_check"):
                found = database.connection.execute(f"PRAGMA {pragma}").fetchall()
                yield from (f"{pragma}: {row}" for row in found if row != ("ok",))
            yield from by_halves(database.connection, self.let)
            yield from self._broken(database.connection)
        finally:
            database.close()

    def _broken(self, db: sqlite3.Connection) -> Iterator[str]:
        """Yield the promises that are not kept."""
        found = Found(db)
        yield from missing("message of ours", self.wrote, found.ours)
        yield from missing("message of others", self.came.union(self.arrived), found.theirs)
        yield from missing("receipt", [ours for ours, _ in self.arrived.values()], found.records)
        yield from missing("receipt", [ours for ours, _ in self.seen.values()], found.records)
        yield from missing("word that it was seen", self.seen, found.seen)
        yield from missing("record to be carried", self.carried, found.carried | found.known)
        yield from missing("word that it was carried", self.known, found.known)
        yield from missing("holder", self.held, found.held)
        yield from missing("station", self.met, found.met)
        for (message, station), state in self.states.items():
            if found.states.get((message, station), -1) < state:
                yield f"message {message} went back behind {DeliveryState(state).name}"
        for name, number in self.values.items():
            if found.values.get(name, -1) < number:
                yield f"{name} went back behind {number} to {found.values.get(name)}"
        for message in [*self.wrote, *self.arrived][-READ_WHOLE:]:
            whole = READS[GetMessage](db, GetMessage(bytes.fromhex(message)))
            if whole is None or whole.outgoing != (message in self.wrote):
                yield f"message {message} can't be read"


K = TypeVar("K")


def grow(values: dict[K, int], key: K, value: int) -> None:
    """Note a value that never goes back."""
    values[key] = max(value, values.get(key, 0))


def missing(what: str, promised: Iterable[object], found: Iterable[object]) -> Iterator[str]:
    yield from (f"{what} {one} is gone" for one in set(promised) - set(found))


class Found:
    """What there is, by the names that promises have for it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        def column(query: str) -> set[str]:
            with closing(db.execute(query)) as rows:
                return {row[0].lower() for row in rows}

        messages = "SELECT hex(id) FROM records JOIN messages USING (number) WHERE"
        self.records = column("SELECT hex(id) FROM records")
        self.ours = column(f"{messages} outgoing")
        self.theirs = column(f"{messages} NOT outgoing")
        self.seen = column(f"{messages} NOT outgoing AND NOT unread")
        self.carried = column("SELECT hex(id) FROM carried JOIN records ON number = record")
        self.known = column("SELECT hex(id) FROM known")
        self.met = column("SELECT hex(id) FROM stations WHERE trust = 'verified'")
        self.held = {
            (message.lower(), station.lower())
            for message, station in db.execute(
                "SELECT hex(id), hex(station) FROM holders JOIN records ON number = message"
            )
        }
        self.states = {
            (message.lower(), station.lower()): state
            for message, station, state in db.execute(
                "SELECT hex(id), hex(station), state FROM recipients"
                " JOIN records ON number = message"
            )
        }
        self.values = {
            name: int(value) for name, value in db.execute("SELECT name, value FROM vals")
        }


HALVES: Final = {
    "a record is not as it was stored": """
        SELECT hex(id) FROM records WHERE substr(raw, 1, 32) != id OR substr(raw, -32) != id
    """,
    "a message has no receipt of ours": """
        SELECT hex(id) FROM records JOIN messages USING (number)
        WHERE NOT outgoing AND conversation != x'' AND delivered_by IS NULL
    """,
    "a message was seen and has no receipt for that, or the other way round": """
        SELECT hex(id) FROM records JOIN messages USING (number)
        WHERE NOT outgoing AND unread != (read_by IS NULL)
    """,
    "a message of ours has no recipient": """
        SELECT hex(id) FROM records JOIN messages USING (number)
        WHERE outgoing AND conversation != x''
        AND NOT EXISTS (SELECT 1 FROM recipients WHERE message = number)
    """,
    "a message of ours has not arrived and waits for nobody, or the other way round": f"""
        SELECT hex(id) FROM records JOIN messages USING (number)
        JOIN recipients ON message = number AND recipients.station = conversation
        WHERE outgoing AND (state < {int(DeliveryState.DELIVERED)})
        != EXISTS (SELECT 1 FROM outbox WHERE outbox.record = number AND station = conversation)
    """,
    "a record is kept for nothing": """
        SELECT hex(id) FROM records WHERE NOT kept
        AND NOT EXISTS (SELECT 1 FROM outbox WHERE record = number)
        AND NOT EXISTS (SELECT 1 FROM carried WHERE record = number)
    """,
    "what is carried is counted wrong": """
        SELECT * FROM (SELECT tier, came_from, precedence, sum(bytes) FROM carried GROUP BY 1, 2, 3
        EXCEPT SELECT * FROM holds) UNION ALL
        SELECT * FROM (SELECT * FROM holds
        EXCEPT SELECT tier, came_from, precedence, sum(bytes) FROM carried GROUP BY 1, 2, 3)
    """,
    "something is both carried and known to be gone": """
        SELECT hex(id) FROM known WHERE id IN
        (SELECT id FROM carried JOIN records ON number = record)
    """,
}
"""What there must be none of, whatever was promised."""

_WAITS_NOT: Final = """
    SELECT lower(hex(receipts.id)), lower(hex(messages.author))
    FROM messages JOIN records AS receipts
    ON receipts.number IN (messages.delivered_by, messages.read_by) WHERE NOT EXISTS
    (SELECT 1 FROM outbox WHERE record = receipts.number AND station = messages.author)
"""


def by_halves(db: sqlite3.Connection, let: set[tuple[str, str]]) -> Iterator[str]:
    """Yield what was stored without what belongs to it."""
    for what, query in HALVES.items():
        yield from (f"{what}: {row}" for row in db.execute(query))
    for receipt in db.execute(_WAITS_NOT):
        if receipt not in let:
            yield f"a receipt waits for nobody: {receipt}"
    strangers = db.execute("SELECT count(*) FROM messages WHERE outgoing != (author = ?)", [ME.key])
    if (count := strangers.fetchone()[0]) != 0:
        yield f"{count} messages have the wrong author"
