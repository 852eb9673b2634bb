"""Carries out what the transfers of blobs want: bytes between the network and the disk.

Hashing and the disk are in threads, and a few chunks may wait for them, so that neither holds up
the network nor a call beside it.  What is to be done with one blob is done in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

from appliance.adapters.blob_parts import BlobError, Part
from appliance.adapters.blobs import Blobs
from appliance.adapters.bulk import BulkClient, BulkError, Tail
from appliance.model.identity import StationId
from appliance.node.ports.blobs import (
    BlobEffect,
    BlobNews,
    Fetch,
    Finish,
    Leave,
    Look,
    RunEnd,
    StopFetch,
)
from appliance.node.transfers import Transfers
from appliance.protocol.chunks import ChunkError, Manifest, chunk_count, digest_of

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 4
"""Chunks of one fetch that wait for the disk."""

MAX_TAILS: Final = 16
"""Beginnings of chunks that are remembered; the oldest are dropped."""

_ENDS: Final = {
    "misfit": RunEnd.DONE,
    "has-not": RunEnd.HAS_NOT,
    "busy": RunEnd.BUSY,
    "broken": RunEnd.BROKEN,
    "odd": RunEnd.HAS_NOT,
    "disk-full": RunEnd.NO_ROOM,
    "disk-failed": RunEnd.NO_ROOM,
    "too-many": RunEnd.NO_ROOM,
    "too-large": RunEnd.REFUSED,
}


class _LieError(Exception):
    """These bytes are not what the root stands for."""


class BlobTransfers:
    """Blobs on their way here."""

    def __init__(
        self,
        core: Transfers,
        blobs: Blobs,
        *,
        client: Callable[[StationId], BulkClient | None],
        tell: Callable[[BlobNews], None],
    ) -> None:
        """`client` gives the way to ask a station; None: no session stands with it."""
        self.core = core
        self.blobs = blobs
        self._client, self._tell = client, tell
        self._loop = asyncio.get_running_loop()
        self._parts: dict[bytes, Part] = {}
        self._fetches: dict[tuple[bytes, StationId], asyncio.Task[None]] = {}
        self._chains: dict[bytes, asyncio.Task[None]] = {}
        """What is being done on the disk with each blob."""

        self._tails: dict[tuple[bytes, int], Tail] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def do(self, what: Callable[[float], Iterable[BlobEffect]]) -> None:
        """Give the core an input with the time, and carry out what follows."""
        if not self._closed:
            self._carry_out(what(self._loop.time()))

    def at_work(self, root: bytes) -> bool:
        """Tell whether something is being done on the disk with a blob."""
        return root in self._chains

    async def settled(self, roots: Iterable[bytes]) -> None:
        """Wait until all is done on the disk with these blobs."""
        await asyncio.gather(
            *(self._chains[root] for root in roots if root in self._chains), return_exceptions=True
        )

    async def close(self) -> None:
        """Leave everything as it is; it goes on at the next start."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for fetch in list(self._fetches.values()):
            fetch.cancel()
        await asyncio.gather(
            *self._fetches.values(), *self._chains.values(), return_exceptions=True
        )
        for part in self._parts.values():
            self.blobs.leave(part)
        self._parts.clear()

    def _carry_out(self, effects: Iterable[BlobEffect]) -> None:
        for effect in effects:
            match effect:
                case Look(root):
                    self._chain(root, partial(self._look, effect))
                case Fetch(root, _, peer):
                    fetch = self._loop.create_task(self._fetch(effect), name="bulk-fetch")
                    self._fetches[root, peer] = fetch
                    fetch.add_done_callback(partial(self._fetched, root, peer))
                case StopFetch(root, peer):
                    if (root, peer) in self._fetches:
                        self._fetches[root, peer].cancel()
                case Finish(root):
                    self._chain(root, partial(self._finish, root))
                case Leave(root):
                    # At once, so that none of them begins anew what is removed next.
                    for key, fetch in self._fetches.items():
                        if key[0] == root:
                            fetch.cancel()
                    self._chain(root, partial(self._leave, effect))
                case _:
                    self._tell(effect)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self.core.next_wakeup()
        self._timer = (
            self._loop.call_at(at, self.do, self.core.wakeup)
            if at is not None and not self._closed
            else None
        )

    # -- The disk

    def _chain(self, root: bytes, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Do something with a blob after all else that is to be done with it."""
        before = self._chains.get(root)

        async def follow() -> None:
            if before is not None:
                await asyncio.wait([before])
            await work()

        def done(task: asyncio.Task[None]) -> None:
            if self._chains.get(root) is task:
                del self._chains[root]
            _log_fault(task)

        self._chains[root] = task = self._loop.create_task(follow(), name="bulk-disk")
        task.add_done_callback(done)
        return task

    async def _look(self, look: Look) -> None:
        whole = self.blobs.size(look.root) == look.size
        part: Part | None = None
        if not whole:
            with contextlib.suppress(BlobError, OSError):  # then it is fetched anew, or that fails
                part = await asyncio.to_thread(self.blobs.resume, look.root, look.size)
        if part is not None:
            self._parts[look.root] = part
        missing = set(part.missing) if part is not None else None
        self.do(lambda now: self.core.looked(look.root, missing, now, whole=whole))

    async def _finish(self, root: bytes) -> None:
        part = self._parts.get(root)
        kept = False
        if part is not None:
            try:
                await asyncio.to_thread(self.blobs.finish, part)
                kept = self.blobs.has(root)
            except (BlobError, OSError) as error:
                log.warning("a blob was not kept: %s", error)
            self._close_part(root)
        self.do(lambda now: self.core.finished(root, now, kept=kept))

    async def _leave(self, leave: Leave) -> None:
        fetches = [task for (root, _), task in self._fetches.items() if root == leave.root]
        await asyncio.gather(*fetches, return_exceptions=True)
        self._close_part(leave.root)
        if leave.drop:
            await asyncio.to_thread(self.blobs.delete, leave.root)

    def _close_part(self, root: bytes) -> None:
        part = self._parts.pop(root, None)
        if part is not None:
            self.blobs.leave(part)
        for key in [key for key in self._tails if key[0] == root]:
            del self._tails[key]

    # -- The network

    def _fetched(self, root: bytes, peer: StationId, task: asyncio.Task[None]) -> None:
        if self._fetches.get((root, peer)) is task:
            del self._fetches[root, peer]
        _log_fault(task)

    async def _fetch(self, fetch: Fetch) -> None:
        """Fetch chunks and report how it ended."""
        stored: list[int] = []
        end = RunEnd.BROKEN
        try:
            client = self._client(fetch.peer)
            if client is not None:
                if fetch.root not in self._parts and chunk_count(fetch.size) > 1:
                    await self._begin(await _manifest(client, fetch))
                await self._fetch_chunks(client, fetch, stored)
                end = RunEnd.DONE
        except (BulkError, BlobError) as error:
            end = _ENDS.get(error.code, RunEnd.BROKEN)
            log.info("a blob from %s: %s", fetch.peer.tag, error)
            if error.code in {"disk-failed", "closed"}:
                await self._begin_anew(fetch.root)
        except (ChunkError, _LieError):
            log.warning("%s sent something else under a blob's name", fetch.peer.tag)
            end = RunEnd.LIED
        finally:
            # Also when it was stopped: the core counts what is under way.
            count = len(stored)
            self._fetches.pop((fetch.root, fetch.peer), None)
            self.do(lambda now: self.core.over(fetch.root, fetch.peer, end, now, stored=count))

    async def _begin(self, manifest: Manifest) -> None:
        """Make a part, and see it through even when the fetch is stopped; raises BlobError."""
        failed: list[BlobError] = []

        async def begin() -> None:
            try:
                part = await asyncio.to_thread(self.blobs.begin, manifest)
            except BlobError as error:
                failed.append(error)
                return
            self._parts[part.root] = part
            missing = set(part.missing)
            self.do(lambda now: self.core.looked(part.root, missing, now))

        await asyncio.shield(self._chain(manifest.root, begin))
        if failed:
            raise failed[0]

    async def _begin_anew(self, root: bytes) -> None:
        """What the disk has failed to take is not known: nothing of it counts."""

        async def drop() -> None:
            self._close_part(root)
            await asyncio.to_thread(self.blobs.delete, root)
            self.do(lambda now: self.core.looked(root, None, now))

        await asyncio.shield(self._chain(root, drop))

    async def _fetch_chunks(self, client: BulkClient, fetch: Fetch, stored: list[int]) -> None:
        tail = self._tails.pop((fetch.root, fetch.first), None) or Tail(fetch.first, fetch.peer)
        foreign = tail.source != fetch.peer and bool(tail.data)
        tail.source = None if foreign else fetch.peer
        room = asyncio.Semaphore(IN_FLIGHT)
        writing: set[asyncio.Task[None]] = set()
        chunks = client.chunks(fetch.root, fetch.size, fetch.first, fetch.count, tail)
        try:
            async with contextlib.aclosing(chunks):
                async for index, chunk in chunks:
                    tail.source = fetch.peer
                    await room.acquire()
                    blame = not (foreign and index == fetch.first)
                    work = self._store(fetch, index, chunk, stored, blame=blame)
                    task = self._loop.create_task(work)
                    writing.add(task)
                    task.add_done_callback(lambda _: room.release())
                    for done in [each for each in writing if each.done()]:
                        writing.discard(done)
                        done.result()
            await asyncio.gather(*writing)
        except BaseException:
            if tail.data and tail.index < fetch.first + fetch.count:
                self._tails[fetch.root, tail.index] = tail
                if len(self._tails) > MAX_TAILS:
                    del self._tails[next(iter(self._tails))]
            raise
        finally:
            # A thread that writes can't be stopped, and what it writes counts.
            await asyncio.gather(*writing, return_exceptions=True)

    async def _store(
        self, fetch: Fetch, index: int, chunk: bytes, stored: list[int], *, blame: bool
    ) -> None:
        """Check a chunk and keep it.

        `blame`: all of it is from this station, so it lies when the chunk is wrong; else the chunk
        is asked for once more.
        """
        if fetch.root not in self._parts and chunk_count(fetch.size) == 1:
            digest = await asyncio.to_thread(digest_of, chunk)
            try:
                await self._begin(Manifest.read(fetch.root, fetch.size, digest))
            except ChunkError:
                if blame:
                    raise
                raise BulkError("misfit", "the two parts of a chunk do not fit") from None
        part = self._parts.get(fetch.root)
        if part is None:
            raise BulkError("broken", "it is not wanted any more")
        if not await asyncio.to_thread(part.write, index, chunk):
            if blame:
                raise _LieError
            raise BulkError("misfit", "the two parts of a chunk do not fit")
        stored.append(index)
        self.do(lambda now: self.core.stored(fetch.root, fetch.peer, index, now))


async def _manifest(client: BulkClient, fetch: Fetch) -> Manifest:
    """Get the manifest; raises BulkError, also where it is of another blob.

    Then whoever named the blob may have lied about its size: nobody is to blame for sure.
    """
    digests = await client.manifest(fetch.root, fetch.size)
    try:
        return Manifest.read(fetch.root, fetch.size, digests)
    except ChunkError as error:
        raise BulkError("odd", str(error)) from None


def _log_fault(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a transfer failed", exc_info=task.exception())
