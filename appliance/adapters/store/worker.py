"""The thread that owns the connection: carries out operations and decides when they are on disk.

What waits is taken together, each operation inside a savepoint of its own, and committed together:
one fsync for all of them.  Lazy operations alone leave the transaction open for a while, since
somebody else's commit will soon take them along.  When a commit fails, everything in it is undone
and everybody who waits for it is told.

Copying the log into the database (a checkpoint) costs two more fsyncs and is done when nothing
waits.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from appliance.adapters.store import failures
from appliance.adapters.store.database import WAL_SIZE, Database
from appliance.adapters.store.operations import READS, SENT, WRITES, Handler
from appliance.node.ports import Incoming, Operation, StoreError

log = logging.getLogger(__name__)

R = TypeVar("R")

MAX_BATCH: Final = 128
"""Operations in one commit; bounds how long the first of them waits for the last."""

LAZY_S: Final = 0.5
"""How long a lazy operation waits at most for somebody else's commit."""

IDLE_S: Final = 2.0
"""Without anything to do, after which the log is copied, if there is enough in it."""

MIN_COMMITS: Final = 32
"""Commits that are enough.  Pages that many of them changed are then copied only once."""

WAL_LIMIT: Final = 4 * WAL_SIZE
"""Bytes of the log at which it is copied even though others wait."""


@dataclass(frozen=True)
class Job(Generic[R]):
    """An operation, and who waits for it."""

    operation: Operation[R]
    """What."""

    size: int
    """Bytes that it keeps in memory."""

    lazy: bool
    """It may wait for somebody else's commit."""

    on_applied: Callable[[R], object] | None
    """Lazy only: called when later operations see it."""

    on_durable: Callable[[R], object] | None
    """Called when it is on disk; for an operation that only reads, when it is done."""

    on_failed: Callable[[StoreError], object] | None
    """Called when nothing of it was stored."""


class Answer(NamedTuple):
    """Something to be called where the operations come from."""

    call: Callable[[Any], object] | None
    """What, if anybody wants to know."""

    value: Any
    """With this."""

    done: Job[Any] | None
    """The job that ends with this."""


Jobs: TypeAlias = "queue.SimpleQueue[Job[Any] | None]"
"""What waits, in order; None: finish."""


class Worker:
    """Carries out jobs; `run` is the thread's function."""

    def __init__(
        self, database: Database, jobs: Jobs, post: Callable[[Sequence[Answer]], None]
    ) -> None:
        """`post` is called in the thread with answers that are due, in order."""
        self._database = database
        self._db = database.connection
        self._jobs = jobs
        self._post = post
        self._batch: deque[Job[Any]] = deque()
        """What was taken and is not carried out yet."""
        self._in_transaction: list[tuple[Job[Any], Any]] = []
        """What was carried out and waits for the commit, with its result."""
        self._commit_at: float | None = None
        """When the oldest lazy operation has waited long enough; monotonic seconds."""
        self._must_commit = False
        self._commits = 0
        """Since the log was last copied."""
        self._disk_full = False
        """The last transaction found no room."""
        self._answers: list[Answer] = []

    def run(self) -> None:
        """Work until told to finish; then leave everything in the database and close it."""
        try:
            while self._turn():
                pass
            if self._commits:
                self._copy_log("TRUNCATE")
        except Exception:
            log.exception("the store stopped")
            self._give_up()
        finally:
            self._database.close()

    def _turn(self) -> bool:
        """Carry out what waits, and commit it if somebody waits for that; False: told to finish."""
        finish = self._take()
        idle = not self._batch
        while self._batch:
            self._carry_out(self._batch[0])
            self._batch.popleft()
        # Before the fsync, which nobody who only reads has to wait for.
        self._flush()
        if not self._in_transaction:
            self._roll_back()
        elif self._must_commit or finish or self._overdue():
            self._commit()
            self._flush()
        self._copy_log_if_due(idle=idle)
        return not finish

    def _give_up(self) -> None:
        """Tell those who were taken in that nothing more will be stored."""
        error = StoreError("store-failed", "The store has stopped. Restart this station.")
        for job in (*(job for job, _ in self._in_transaction), *self._batch):
            self._fail(job, error)
        self._flush()

    def _take(self) -> bool:
        """Wait for jobs and take those that are there, none if something else is due.

        Returns whether to finish.
        """
        try:
            job = self._jobs.get(timeout=self._patience_s())
            while job is not None:
                self._batch.append(job)
                if len(self._batch) == MAX_BATCH:
                    return False
                job = self._jobs.get_nowait()
        except queue.Empty:
            return False
        return True

    def _patience_s(self) -> float | None:
        if self._commit_at is not None:
            return max(self._commit_at - time.monotonic(), 0)
        return IDLE_S if self._commits >= MIN_COMMITS else None

    def _overdue(self) -> bool:
        return self._commit_at is not None and (
            len(self._in_transaction) >= MAX_BATCH or time.monotonic() >= self._commit_at
        )

    # -- One operation

    def _carry_out(self, job: Job[Any]) -> None:
        kind = type(job.operation)
        reader = READS.get(kind)
        try:
            if reader is not None:
                self._read(job, reader)
            else:
                self._write(job, WRITES[kind])
        except sqlite3.Error as error:
            self._failed(job, error)
        except StoreError as error:
            self._fail(job, error)
        except Exception:
            log.exception("%s failed", kind.__name__)
            text = "A fault in the program stopped this from being stored. Its log says more."
            self._fail(job, StoreError("store-failed", text))

    def _read(self, job: Job[Any], reader: Handler) -> None:
        found = reader(self._db, job.operation)
        if self._must_commit and type(job.operation) in SENT:
            self._in_transaction.append((job, found))
        else:
            # Nothing that waits for the disk, or that leaves us, is in it.
            self._answer(job.on_durable, found, done=job)

    def _write(self, job: Job[Any], writer: Handler) -> None:
        if not self._db.in_transaction:
            if self._disk_full:
                # What room there is goes to the database first; then the log's is free again.
                self._copy_log("TRUNCATE")
            self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("SAVEPOINT operation")
        try:
            result = writer(self._db, job.operation)
        except BaseException:
            # SQLite may have undone the whole transaction already; `_failed` sees to that.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO operation")
                self._db.execute("RELEASE operation")
            raise
        self._db.execute("RELEASE operation")
        self._in_transaction.append((job, result))
        if job.lazy:
            self._answer(job.on_applied, result)
        # What is here already, and only asked about again, is worth no commit of its own: else
        # anybody could make this disk write as often as a record can be sent.
        if not job.lazy and not (isinstance(result, Incoming) and not result.new):
            self._must_commit = True
        elif self._commit_at is None:
            self._commit_at = time.monotonic() + LAZY_S

    def _failed(self, job: Job[Any], error: sqlite3.Error) -> None:
        if failures.loses_transaction(error) or not self._db.in_transaction:
            self._abandon(error)
        self._fail(job, failures.explain(error, self._database.path))

    # -- Transactions

    def _commit(self) -> None:
        """Put what was carried out on disk, and say so."""
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon(error)
            return
        self._commits += 1
        for job, result in self._in_transaction:
            self._answer(job.on_durable, result, done=job)
        self._forget_transaction()

    def _abandon(self, error: sqlite3.Error) -> None:
        """Undo the transaction and tell everybody who has something in it."""
        self._roll_back()
        why = failures.explain(error, self._database.path)
        if self._in_transaction and not self._disk_full:
            log.error("%d operations could not be stored: %s", len(self._in_transaction), error)
        for job, _ in self._in_transaction:
            self._fail(job, why)
        self._forget_transaction()
        self._disk_full = why.code == "disk-full"

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error as error:
                # In memory it is undone all the same, and what is in the log does not count.
                log.warning("could not roll back: %s", error)

    def _forget_transaction(self) -> None:
        self._in_transaction.clear()
        self._must_commit = False
        self._commit_at = None

    # -- The log

    def _copy_log_if_due(self, *, idle: bool) -> None:
        if self._db.in_transaction or not self._commits:
            return
        size = self._wal_size()
        if (
            size > WAL_LIMIT
            or (size > WAL_SIZE and self._commits >= MIN_COMMITS and self._jobs.empty())
            or (idle and self._commits >= MIN_COMMITS)
        ):
            self._copy_log("PASSIVE")

    def _wal_size(self) -> int:
        """Return what is in the log, if it is more than WAL_SIZE.

        The file is cut to WAL_SIZE by the first commit after the log was copied.
        """
        try:
            return self._database.wal_path.stat().st_size
        except OSError:
            # A disk that can't say this fails the next commit, which is where it is told.
            return 0

    def _copy_log(self, mode: str) -> None:
        self._commits = 0
        try:
            self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
            self._disk_full = False
        except sqlite3.Error as error:
            # Nothing is lost: it stays in the log, and the next time comes.
            if not self._disk_full:
                log.warning("could not copy the log into the database: %s", error)

    # -- Answers

    def _answer(
        self, call: Callable[[Any], object] | None, value: Any, *, done: Job[Any] | None = None
    ) -> None:
        if call is not None or done is not None:
            self._answers.append(Answer(call, value, done))

    def _fail(self, job: Job[Any], error: StoreError) -> None:
        if job.on_failed is None:
            log.error("%s was not stored: %s", type(job.operation).__name__, error)
        self._answer(job.on_failed, error, done=job)

    def _flush(self) -> None:
        if self._answers:
            self._post(tuple(self._answers))
            self._answers.clear()
