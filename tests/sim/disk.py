"""A station's disk: the store's real operations on SQLite in memory.

It does what the store's worker does in its thread: what waits is carried out together and committed
together, lazy operations wait for somebody else's commit, and what was shown is carried out again
when a commit has failed.  The worker itself reads the machine's clock and blocks, and nothing can
come between its steps; here a crash can come between any two.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from appliance.adapters.store import schema
from appliance.adapters.store.operations import READS, SENT, WRITES
from appliance.adapters.store.worker import LAZY_S, MAX_BATCH, MAX_SHOWN, RETRY_S
from appliance.node.effects import Transact
from appliance.node.own_card import RESTORED_VALUE
from appliance.node.ports import (
    GetMessage,
    Incoming,
    Operation,
    SaveIncoming,
    SaveReceipt,
    SetValue,
    StoreError,
)
from sim.happenings import Confirmed

if TYPE_CHECKING:
    from sim.board import Board

TURN_S: Final = 0.0005
"""Until what was submitted is looked at."""

FULL: Final = "The disk is full."

SPILLS: Final = 0.1
"""Share of the operations for which a full disk fails at once, not just when they are committed."""


def new_database(template: bytes | None = None) -> sqlite3.Connection:
    """Return a database with the tables, copied from another where there is one."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    if template is None:
        schema.migrate(db)
    else:
        db.deserialize(template)
    return db


class Disk:
    """What was submitted, what is in the open transaction, and what is on disk."""

    def __init__(self, board: Board, db: sqlite3.Connection, *, fsync_s: float) -> None:
        self._board, self.db, self._fsync_s = board, db, fsync_s
        self.full = False
        """Nothing can be stored just now."""

        self.commits = 0
        """Each is one fsync."""

        self.kept: set[bytes] = set()
        """Messages of others that are on disk."""

        self.forgotten: set[bytes] = set()
        """Messages of others that were, before it was restored."""

        self._waiting: deque[Transact[Any]] = deque()
        self._open: list[tuple[Transact[Any], Any]] = []
        """What is in the transaction, with its result."""

        self._busy = self._must_commit = self._failing = False
        self._commit_at: float | None = None

    def had(self, message: bytes) -> bool:
        """Tell whether a message of somebody else is, or was, on disk."""
        return message in self.kept or message in self.forgotten

    def read(self, operation: Operation[Any]) -> Any:
        """Carry out an operation that only reads, at once."""
        return READS[type(operation)](self.db, operation)

    def cut(self) -> None:
        """Lose all that is not on disk."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        for some in (self._waiting, self._open):
            some.clear()
        self._busy = self._must_commit = self._failing = False
        self._commit_at = None

    def restore(self, database: bytes) -> None:
        """Take another database, as `backup --restore` puts it in place."""
        # A connection would still have statements for the former one.
        self.db.close()
        self.db = new_database(database)
        WRITES[SetValue](self.db, SetValue(RESTORED_VALUE, b"{}"))
        lost = {one for one in self.kept if self.read(GetMessage(one)) is None}
        self.kept -= lost
        self.forgotten |= lost

    def submit(self, effect: Transact[Any]) -> None:
        """Let an operation wait for its turn."""
        self._waiting.append(effect)
        if not self._busy:
            self._busy = True
            self._board.later(TURN_S, self._turn)

    # -- Turns, as in the worker

    def _turn(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]
        answers: list[tuple[Any, Any]] = []
        for effect in batch:
            self._board.boundary()
            if type(effect.operation) in READS:
                found = self.read(effect.operation)
                if self._must_commit and type(effect.operation) in SENT:
                    self._open.append((effect, found))
                else:
                    answers.append((effect.then, found))
            else:
                self._write(effect, answers)
        self._answer(answers)
        overdue = self._commit_at is not None and self._board.world.time.now >= self._commit_at
        if self._must_commit or overdue:
            self._board.later(self._fsync_s, self._commit)
        else:
            self._rest()

    def _rest(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            self._board.later(TURN_S, self._turn)
        elif self._open and self._commit_at is None:
            delay = RETRY_S if self._failing else LAZY_S
            self._commit_at = at = self._board.world.time.now + delay
            self._board.later(delay, lambda: self._overdue(at))

    def _overdue(self, at: float) -> None:
        if self._commit_at == at and not self._busy:
            self._busy = True
            self._board.later(self._fsync_s, self._commit)

    def _write(self, effect: Transact[Any], answers: list[tuple[Any, Any]]) -> None:
        if effect.lazy and self._failing and len(self._open) >= MAX_SHOWN:
            answers.append((effect.failed, FULL))
            return
        if self.full and self._board.rng.random() < SPILLS:
            self._abandon(answers)
            answers.append((effect.failed, FULL))
            return
        try:
            result = self._apply(effect)
        except StoreError as error:
            answers.append((effect.failed, str(error)))
        else:
            if effect.lazy:
                answers.append((effect.early, result))
            elif not (isinstance(result, Incoming) and not result.new):
                self._must_commit = True

    def _apply(self, effect: Transact[Any]) -> Any:
        """Carry out an operation in a transaction; raises StoreError."""
        if not self.db.in_transaction:
            self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("SAVEPOINT operation")
        try:
            result = WRITES[type(effect.operation)](self.db, effect.operation)
        except StoreError:
            self.db.execute("ROLLBACK TO operation")
            self.db.execute("RELEASE operation")
            raise
        self.db.execute("RELEASE operation")
        self._open.append((effect, result))
        return result

    def _abandon(self, answers: list[tuple[Any, Any]]) -> None:
        """Undo the transaction, but not what was shown: that is carried out again at once.

        It needs no room before it is committed, being too little to spill.
        """
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        undone, self._open = self._open, []
        self._must_commit, self._failing, self._commit_at = False, True, None
        for effect, result in undone:
            if not (effect.lazy and result):
                answers.append((effect.failed, FULL))
                continue
            try:
                self._apply(effect)
            except StoreError as error:
                answers.append((effect.failed, str(error)))

    def _commit(self) -> None:
        answers: list[tuple[Any, Any]] = []
        self._board.boundary()
        if self.full:
            self._abandon(answers)
        else:
            if self.db.in_transaction:
                self.db.execute("COMMIT")
            self.commits += 1
            done, self._open = self._open, []
            self._must_commit, self._failing, self._commit_at = False, False, None
            for effect, result in done:
                if isinstance(effect.operation, SaveIncoming):
                    self.kept.add(effect.operation.record.id)
                elif isinstance(effect.operation, SaveReceipt):
                    receipt = effect.operation
                    self._board.world.tell(
                        Confirmed(self._board, receipt.station, result, receipt.state)
                    )
                answers.append((effect.then, result))
            # It is on disk now, and nobody was told.
            self._board.boundary()
        self._answer(answers)
        self._rest()

    def _answer(self, answers: list[tuple[Any, Any]]) -> None:
        for call, value in answers:
            self._board.carry_out(call(value))

    def size(self) -> int:
        """Return the bytes of the database."""
        (pages,) = self.db.execute("PRAGMA page_count").fetchone()
        (page,) = self.db.execute("PRAGMA page_size").fetchone()
        return int(pages) * int(page)
