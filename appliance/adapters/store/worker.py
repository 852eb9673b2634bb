"""The thread that owns the connection: carries out operations and decides when they are on disk.

What waits is taken together, each operation inside a savepoint of its own, and committed together:
one fsync for all of them.  Lazy operations alone leave the transaction open for a while, since
somebody else's commit will soon take them along.  When a commit fails, everything in it is undone
and everybody who waits for it is told; but what somebody was told is applied has been shown to an
operator, and is carried out again at once, in a transaction that is committed when there is room.

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
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeGuard, TypeVar

from appliance.adapters.store import failures
from appliance.adapters.store.database import WAL_SIZE, Database, suspect
from appliance.adapters.store.operations import READS, SENT, WRITES
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

RETRY_S: Final = 2.0
"""After a commit that failed, until what was shown is tried again, alone."""

MAX_SHOWN: Final = 2 * MAX_BATCH
"""Operations that are shown while commits fail; more are refused before they are shown."""


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
        self._failing: StoreError | None = None
        """Why the last commit failed."""
        self._undone: list[Job[Any]] = []
        """What was shown, is undone, and can't be carried out again just now; in order."""
        self._answers: list[Answer] = []

    def run(self) -> None:
        """Work until told to finish; then leave everything in the database and close it."""
        try:
            while self._turn():
                pass
            self._give_up(self._failing or failures.stopped())
            if self._commits:
                self._copy_log("TRUNCATE")
        except Exception:
            log.exception("the store stopped")
            self._give_up(failures.stopped())
        finally:
            self._database.close()

    def _turn(self) -> bool:
        """Carry out what waits, and commit it if somebody waits for that; False: told to finish."""
        finish = self._take()
        idle = not self._batch
        if self._failing is not None and (finish or self._overdue()):
            # Alone, since the next may be too long for what room there is.
            self._put_back()
            if self._in_transaction:
                self._commit()
        while self._batch:
            self._carry_out(self._batch[0])
            self._batch.popleft()
        # Before the fsync, which nobody who only reads has to wait for.
        self._flush()
        if not self._in_transaction:
            self._roll_back()
            self._commit_at = self._commit_at if self._undone else None
        elif self._must_commit or finish or self._overdue():
            self._commit()
            self._flush()
        self._copy_log_if_due(idle=idle)
        return not finish

    def _give_up(self, error: StoreError) -> None:
        """Tell those who were taken in why nothing more will be stored."""
        self._roll_back()
        for job in (*self._undone, *(job for job, _ in self._in_transaction), *self._batch):
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
            (self._failing is None and len(self._in_transaction) >= MAX_BATCH)
            or time.monotonic() >= self._commit_at
        )

    # -- One operation

    def _carry_out(self, job: Job[Any]) -> None:
        try:
            if type(job.operation) in READS:
                self._read(job)
            else:
                self._write(job)
        except (sqlite3.Error, StoreError) as error:
            if self._loses_all(error):
                self._abandon(error)
            self._fail(job, self._explain(error))

    def _call(self, job: Job[Any]) -> Any:
        """Let the operation have its way; raises sqlite3.Error or StoreError, and nothing else."""
        kind = type(job.operation)
        try:
            return (READS.get(kind) or WRITES[kind])(self._db, job.operation)
        except (sqlite3.Error, StoreError):
            raise
        except Exception as error:
            log.exception("%s failed", kind.__name__)
            text = "A fault in the program stopped this from being stored. Its log says more."
            raise StoreError("store-failed", text) from error

    def _read(self, job: Job[Any]) -> None:
        found = self._call(job)
        if self._must_commit and type(job.operation) in SENT:
            self._in_transaction.append((job, found))
        else:
            # Nothing that waits for the disk, or that leaves us, is in it.
            self._answer(job.on_durable, found, done=job)

    def _write(self, job: Job[Any]) -> None:
        if self._failing is not None and job.lazy and len(self._in_transaction) >= MAX_SHOWN:
            self._fail(job, self._failing)
            return
        if not self._db.in_transaction:
            self._put_back()
            if self._undone and self._failing is not None:
                self._fail(job, self._failing)
                return
        result = self._apply(job)
        if job.lazy:
            self._answer(job.on_applied, result)
        # What is here already, and only asked about again, is worth no commit of its own: else
        # anybody could make this disk write as often as a record can be sent.
        if not job.lazy and not (isinstance(result, Incoming) and not result.new):
            self._must_commit = True
        elif self._commit_at is None:
            self._commit_at = time.monotonic() + LAZY_S

    def _apply(self, job: Job[Any]) -> Any:
        """Let an operation change the database; if it raises, nothing of it is left there."""
        if not self._db.in_transaction:
            if self._disk_full:
                # What room there is goes to the database first; then the log's is free again.
                self._copy_log("TRUNCATE")
            self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("SAVEPOINT operation")
        try:
            result = self._call(job)
        except BaseException:
            # SQLite may have undone the whole transaction already; `_loses_all` sees to that.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO operation")
                self._db.execute("RELEASE operation")
            raise
        self._db.execute("RELEASE operation")
        self._in_transaction.append((job, result))
        return result

    def _loses_all(self, error: Exception) -> TypeGuard[sqlite3.Error]:
        """Tell whether the whole transaction is lost by an error, and not just one operation."""
        return isinstance(error, sqlite3.Error) and (
            failures.loses_transaction(error) or not self._db.in_transaction
        )

    def _explain(self, error: sqlite3.Error | StoreError) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if failures.is_damage(error):
            # Noted at once: the station may not get so far that it looks for damage by itself.
            with suppress(OSError):
                suspect(self._database.path)
            return failures.unreadable(self._database.path)
        return failures.explain(error, self._database.path)

    # -- Transactions

    def _commit(self) -> None:
        """Put what was carried out on disk, and say so, first to those who waited for just that."""
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon(error)
            return
        self._commits += 1
        self._failing = None
        for job, result in sorted(self._in_transaction, key=lambda one: one[0].lazy):
            self._answer(job.on_durable, result, done=job)
        self._forget_transaction()

    def _abandon(self, error: sqlite3.Error) -> None:
        """Undo the transaction, and tell everybody who has something in it that was not shown."""
        self._roll_back()
        why = self._explain(error)
        if self._in_transaction and self._failing is None:
            log.error("%d operations could not be stored: %s", len(self._in_transaction), error)
        for job, result in self._in_transaction:
            # One that changed nothing has shown nothing.
            if job.on_applied is not None and result and why.code != "store-corrupt":
                self._undone.append(job)
            else:
                self._fail(job, why)
        # Kept, so that others who fail again and again can't put off what was shown.
        retry_at = self._commit_at if self._failing is not None else None
        self._forget_transaction()
        self._disk_full, self._failing = why.code == "disk-full", why
        self._put_back(retry_at)

    def _put_back(self, retry_at: float | None = None) -> None:
        """Carry out again what was shown and is undone, so that whoever reads sees it as before.

        It comes first in its transaction, in the order in which it was shown.
        """
        waiting, self._undone = self._undone, []
        if waiting:
            now = time.monotonic()
            due = retry_at is None or retry_at <= now
            self._commit_at = now + RETRY_S if due else retry_at
        for number, job in enumerate(waiting):
            try:
                self._apply(job)
            except (sqlite3.Error, StoreError) as error:
                if self._loses_all(error):
                    self._roll_back()
                    self._undone = [job for job, _ in self._in_transaction] + waiting[number:]
                    self._in_transaction.clear()
                    return
                self._fail(job, self._explain(error))

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
