"""The store as the event loop sees it: operations go in, answers come back to the loop."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from appliance.adapters.store.database import Database, open_database
from appliance.adapters.store.operations import FROM_PEERS, size_of
from appliance.adapters.store.worker import Answer, Job, Jobs, Worker
from appliance.node.ports import Operation, StoreError

R = TypeVar("R")

MAX_WAITING: Final = 4096
"""Operations that were given and not answered; more are refused."""

MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
"""What these may hold."""

ROOM_BYTES: Final = 256 * 1024
"""For a few of the longest messages, in the log and in the file."""

PEERS_SHARE: Final = 0.75
"""Part of that which other stations can fill; the rest is our operator's."""


class Store:
    """The messages, stations and values of this station.

    Operations take effect in the order in which they were given; all calls come from one event
    loop, and so do all answers.
    """

    def __init__(self, database: Database) -> None:
        """Take over an open database; `open` is what others use."""
        self._directory = database.path.parent
        self._jobs: Jobs = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._waiting_bytes = 0
        self._closing = False
        self._ended = asyncio.Event()
        worker = Worker(database, self._jobs, self._post)
        # A process that ends without `close` loses only what nobody was told is stored.
        self._thread = threading.Thread(target=self._run, args=(worker,), name="store", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store at `path`, or make it; the directory has to be there.

        Raises StoreError: ``in-use``, ``store-corrupt``, ``store-newer``, ``disk-full``,
        ``disk-error`` or ``store-locked``.  What is damaged or too new is left as it is.
        """
        return cls(open_database(path))

    def submit(
        self,
        operation: Operation[R],
        *,
        lazy: bool = False,
        on_applied: Callable[[R], object] | None = None,
        on_durable: Callable[[R], object] | None = None,
        on_failed: Callable[[StoreError], object] | None = None,
    ) -> None:
        """Have an operation carried out; never blocks, and calls nobody before it returns.

        `on_durable` is called with the result once it is on disk; for an operation that only
        reads, once it is done.  A lazy one waits for somebody else's commit, half a second at
        most; `on_applied` is called, for lazy ones alone, as soon as later operations see it.
        `on_failed` is called instead when nothing was stored, even after `on_applied`; its codes
        are ``disk-full``, ``disk-error``, ``store-busy`` (too much waits), ``store-closed``,
        ``store-corrupt``, ``store-locked``, ``store-failed``, ``duplicate``, ``value-too-long``.
        """
        loop = self._bind()
        job = Job(operation, size_of(operation), lazy, on_applied, on_durable, on_failed)
        refusal = self._refusal(job)
        if refusal is not None:
            if on_failed is not None:
                loop.call_soon(on_failed, refusal)
            return
        self._waiting += 1
        self._waiting_bytes += job.size
        self._jobs.put(job)

    async def perform(self, operation: Operation[R]) -> R:
        """Carry out an operation; return its result once it is on disk.

        Raises StoreError.  Who is cancelled while waiting does not stop the operation.
        """
        future: asyncio.Future[R] = self._bind().create_future()

        def durable(result: R) -> None:
            if not future.done():
                future.set_result(result)

        def failed(error: StoreError) -> None:
            if not future.done():
                future.set_exception(error)

        self.submit(operation, on_durable=durable, on_failed=failed)
        return await future

    def has_room(self) -> bool:
        """Tell whether the disk would take some messages more."""
        try:
            disk = os.statvfs(self._directory)
        except OSError:
            return False
        return disk.f_bavail * disk.f_frsize >= ROOM_BYTES

    async def ended(self) -> None:
        """Wait until nothing more is stored: after `close`, or because the thread broke down."""
        await self._ended.wait()

    async def close(self) -> None:
        """Carry out what waits, put all of it into the database file and close it."""
        self._bind()
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        await self._ended.wait()
        self._thread.join()

    def _run(self, worker: Worker) -> None:
        """The thread."""
        worker.run()
        self._post((Answer(self._thread_ended, None, None),))

    def _thread_ended(self, _: None) -> None:
        self._closing = True
        loop = asyncio.get_running_loop()
        # Only if the thread broke down is there anything left.
        with suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None and job.on_failed is not None:
                    # By itself, as in `_deliver`.
                    loop.call_soon(job.on_failed, _closed())
        self._ended.set()

    def _bind(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("a store belongs to the event loop that used it first")
        return loop

    def _refusal(self, job: Job[Any]) -> StoreError | None:
        if self._closing:
            return _closed()
        share = PEERS_SHARE if isinstance(job.operation, FROM_PEERS) else 1.0
        if (
            self._waiting >= share * MAX_WAITING
            or self._waiting_bytes + job.size > share * MAX_WAITING_BYTES
        ):
            return StoreError(
                "store-busy", "The disk is too slow for all there is to store. Try again."
            )
        return None

    def _post(self, answers: Sequence[Answer]) -> None:
        """Hand answers to the loop; called in the thread."""
        if self._loop is None:
            return
        # A loop that is closed has nobody left who could be answered.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._deliver, self._loop, answers)

    def _deliver(self, loop: asyncio.AbstractEventLoop, answers: Sequence[Answer]) -> None:
        for call, value, done in answers:
            if done is not None:
                self._waiting -= 1
                self._waiting_bytes -= done.size
            if call is None:
                continue
            if done is not None and done.lazy:
                # Who could wait for somebody else's commit holds up nothing that it leads to.
                loop.call_soon(call, value)
                continue
            try:
                call(value)
            except Exception as error:  # noqa: BLE001 - the others must not wait for it
                told = {"message": "an answer of the store failed", "exception": error}
                loop.call_exception_handler(told)


def _closed() -> StoreError:
    return StoreError("store-closed", "This station is stopping. Try again when it runs.")
