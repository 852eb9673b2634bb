"""Blobs fetched over real sessions: from whoever has them, past breaks, liars and full disks."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from session_ends import LIMIT_S, End, ends

from appliance.adapters import blob_parts
from appliance.adapters.blobs import BlobLimits, Blobs
from appliance.adapters.bulk import BulkClient, BulkError, Tail
from appliance.daemon.transfers import BlobTransfers
from appliance.model.attachment import CHUNK, Attachment
from appliance.model.identity import StationId
from appliance.node import under_way
from appliance.node.ports.blobs import BlobArrived, BlobNews, BlobTrouble, Fetch, RunEnd
from appliance.node.transfers import Transfers
from appliance.node.wanted import Want

DATA = Random(1).randbytes(12 * CHUNK + 1000)


class Fetcher:
    """An end that wants blobs."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.news: list[BlobNews] = []
        self._told = asyncio.Event()
        core = Transfers(end.id, Random(1).random)
        self.transfers = BlobTransfers(core, end.blobs, client=self._client, tell=self._tell)

    def _client(self, peer: StationId) -> BulkClient | None:
        ended = [session for session, _ in self.end.closed]
        for session in self.end.opened:
            if session.proved.peer == peer and session not in ended:
                return self.end.sessions.bulk(session)
        return None

    def _tell(self, news: BlobNews) -> None:
        self.news.append(news)
        self._told.set()

    async def meet(self, *others: End) -> None:
        for other in others:
            await self.end.dial(other)
            self.transfers.do(partial(self.transfers.core.session_up, other.id))

    def want(self, attachment: Attachment, *sources: End) -> None:
        blob = attachment.blob
        want = Want(blob.root, blob.size, sources=tuple(source.id for source in sources))
        self.transfers.do(lambda now: self.transfers.core.wanted(want, now))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._told.clear()
                await self._told.wait()

    async def arrived(self, attachment: Attachment) -> bytes:
        await self.until(lambda: BlobArrived(attachment.root) in self.news)
        return b"".join(self.end.blobs.plain(attachment))


@asynccontextmanager
async def fetching(directory: Path, names: str = "AB") -> AsyncIterator[tuple[Fetcher, list[End]]]:
    async with ends(directory, names) as (first, *others):
        fetcher = Fetcher(first)
        try:
            yield fetcher, others
        finally:
            await fetcher.transfers.close()


def keep(end: End, data: bytes = DATA, *, sealed: bool = True) -> Attachment:
    added = end.blobs.add(io.BytesIO(data), len(data), sealed=sealed)
    return Attachment(added.root, added.size, "a", key=added.key)


def copy(attachment: Attachment, source: End, target: End) -> None:
    name = f"{attachment.root.hex()}.blob"
    (target.blobs.directory / name).write_bytes((source.blobs.directory / name).read_bytes())
    target.blobs = target.sessions._bulk._blobs = Blobs(target.blobs.directory)


@pytest.mark.parametrize("size", [1, CHUNK // 2, CHUNK, len(DATA)])
async def test_what_is_wanted_arrives(tmp_path: Path, size: int) -> None:
    async with fetching(tmp_path) as (a, (b,)):
        attachment = keep(b, DATA[:size])
        a.want(attachment, b)
        await a.meet(b)
        assert await a.arrived(attachment) == DATA[:size]
        assert not a.transfers.core.in_use(b.id)
        assert a.transfers.core.progress(attachment.root) is None
        a.want(attachment)
        await a.until(lambda: a.news.count(BlobArrived(attachment.root)) == 2)


async def test_any_neighbour_may_have_it(tmp_path: Path) -> None:
    async with fetching(tmp_path, "ABM") as (a, (b, m)):
        attachment = keep(m)
        await a.meet(b, m)
        a.want(attachment, b)
        assert await a.arrived(attachment) == DATA


async def test_after_a_break_only_the_rest_is_fetched(tmp_path: Path) -> None:
    async with fetching(tmp_path) as (a, (b,)):
        attachment = keep(b)
        served: list[int] = []
        read = b.blobs.read

        def slow(root: bytes, start: int, length: int) -> bytes | None:
            served.append(start)
            if len(served) == 6:
                for accepted in b.sessions._acceptor._accepted.values():
                    accepted.over.set()
            return read(root, start, length)

        b.blobs.read = slow  # type: ignore[method-assign]
        await a.meet(b)
        a.want(attachment, b)
        await a.end.until(lambda: a.end.closed)
        b.blobs.read = read  # type: ignore[method-assign]
        await a.transfers.close()
        # The board is started again; what was there counts, and nothing is asked for twice.
        a.end.blobs = Blobs(a.end.blobs.directory)
        again = Fetcher(a.end)
        part = Blobs(a.end.blobs.directory).resume(attachment.root, attachment.blob.size)
        assert part is not None
        part.close()
        assert 0 < len(part.missing) < 13
        again.want(attachment, b)
        requests: list[int] = []

        def counted(root: bytes, start: int, length: int) -> bytes | None:
            requests.append(length)
            return read(root, start, length)

        b.blobs.read = counted  # type: ignore[method-assign]
        await again.meet(b)
        assert await again.arrived(attachment) == DATA
        assert sum(requests) <= len(part.missing) * CHUNK
        await again.transfers.close()


async def test_a_chunk_that_has_begun_goes_on_with_somebody_else(tmp_path: Path) -> None:
    async with fetching(tmp_path, "ABM") as (a, (b, m)):
        attachment = keep(b)
        begun = b.blobs.read(attachment.root, 0, 1000)
        assert begun is not None
        starts: list[int] = []
        read = b.blobs.read

        def noted(root: bytes, start: int, length: int) -> bytes | None:
            starts.append(start)
            return read(root, start, length)

        b.blobs.read = noted  # type: ignore[method-assign]
        a.transfers._tails[attachment.root, 0] = Tail(0, m.id, bytearray(begun))
        await a.meet(b)
        a.want(attachment, b)
        assert await a.arrived(attachment) == DATA
        assert 1000 in starts
        assert 0 not in starts


@pytest.mark.parametrize("size", [1000, len(DATA)])
async def test_who_goes_on_after_a_liar_is_not_blamed(
    tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with fetching(tmp_path, "ABM") as (a, (b, m)):
        attachment = keep(b, DATA[:size])
        a.transfers._tails[attachment.root, 0] = Tail(0, m.id, bytearray(b"a lie"))
        await a.meet(b)
        a.want(attachment, b)
        assert await a.arrived(attachment) == DATA[:size]
        assert "something else" not in caplog.text


class Breaking:
    """The way to a station that sends something else and breaks off in the middle of a chunk."""

    def __init__(self, client: BulkClient) -> None:
        self.manifest = client.manifest

    async def chunks(
        self, root: bytes, size: int, first: int, count: int, tail: Tail
    ) -> AsyncIterator[tuple[int, bytes]]:
        tail.data += b"a lie"
        if size:
            raise BulkError("broken", "it ended too soon")
        yield first, b""


async def test_who_ends_a_chunk_that_a_liar_has_gone_on_with_is_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with fetching(tmp_path, "ABM") as (a, (b, m)):
        attachment = keep(b)
        copy(attachment, b, m)
        begun = b.blobs.read(attachment.root, 0, 1000)
        assert begun is not None
        a.transfers._tails[attachment.root, 0] = Tail(0, b.id, bytearray(begun))
        true = a._client

        def client(peer: StationId) -> BulkClient | Breaking | None:
            found = true(peer)
            return Breaking(found) if found is not None and peer == m.id else found

        monkeypatch.setattr(a.transfers, "_client", client)
        a.want(attachment, b)
        await a.meet(m)
        async with asyncio.timeout(LIMIT_S):
            while "ended too soon" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        await a.meet(b)
        assert await a.arrived(attachment) == DATA
        assert "something else" not in caplog.text


@pytest.mark.parametrize(("size", "more"), [(len(DATA), 1), (len(DATA), CHUNK), (1000, 1)])
async def test_nobody_is_blamed_for_a_size_that_others_claim(
    tmp_path: Path, size: int, more: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with fetching(tmp_path) as (a, (b,)):
        attachment = keep(b, DATA[:size])
        await a.meet(b)
        claimed = Want(attachment.root, attachment.blob.size + more, sources=(b.id,))
        a.transfers.do(lambda now: a.transfers.core.wanted(claimed, now))
        async with asyncio.timeout(LIMIT_S):
            while "a blob from" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert "something else" not in caplog.text
        assert not a.transfers.core._lies
        a.transfers.do(lambda now: a.transfers.core.dropped(attachment.root, now))
        a.want(attachment, b)
        assert await a.arrived(attachment) == DATA[:size]


async def test_nobody_is_blamed_for_what_our_disk_has_failed_to_take(tmp_path: Path) -> None:
    async with fetching(tmp_path) as (a, (b,)):
        attachment = keep(b)
        size = attachment.blob.size
        chunk = b.blobs.read(attachment.root, 0, CHUNK)
        assert chunk is not None
        # Another fetch of the same blob has found the disk broken, and the part is gone.
        fetch = Fetch(attachment.root, size, b.id, 0, 1)
        with pytest.raises(BulkError, match="not wanted"):
            await a.transfers._store(fetch, 0, chunk, [], blame=True)


async def test_a_disk_that_refuses_once_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way, "NO_ROOM_S", 0.05)
    async with fetching(tmp_path) as (a, (b,)):
        await a.meet(b)
        for method, size in (("resume", len(DATA)), ("finish", 1000)):
            attachment = keep(b, DATA[:size])
            refused: list[int] = []
            real = getattr(a.end.blobs, method)

            def once(*words: object, real: Any = real, refused: list[int] = refused) -> object:
                if not refused:
                    refused.append(1)
                    raise OSError(30, "Read-only file system")
                return real(*words)

            monkeypatch.setattr(a.end.blobs, method, once)
            a.want(attachment, b)
            assert await a.arrived(attachment) == DATA[:size]
            assert refused


async def test_a_liar_is_found_out_and_another_is_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fetching(tmp_path, "ABM") as (a, (b, m)):
        attachment = keep(b)
        copy(attachment, b, m)
        with (m.blobs.directory / f"{attachment.root.hex()}.blob").open("r+b") as file:
            for index in range(13):
                file.seek(index * CHUNK + 5)
                file.write(b"a lie")
        a.want(attachment, m)
        await a.meet(m)
        async with asyncio.timeout(LIMIT_S):
            while "something else" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        await a.meet(b)
        assert await a.arrived(attachment) == DATA
        small = keep(b, DATA[:1000])
        copy(small, b, m)
        with (m.blobs.directory / f"{small.root.hex()}.blob").open("r+b") as file:
            file.write(b"a lie")
        a.want(small, m)
        assert await a.arrived(small) == DATA[:1000]


async def test_a_full_disk_is_told_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fetching(tmp_path) as (a, (b,)):
        attachment = keep(b)
        await a.meet(b)
        with monkeypatch.context() as full:
            full.setattr(blob_parts, "MIN_FREE", 1 << 62)
            full.setattr(under_way, "NO_ROOM_S", 0.05)
            a.want(attachment, b)
            await a.until(lambda: BlobTrouble(attachment.root, RunEnd.NO_ROOM) in a.news)
        assert not a.end.blobs.has(attachment.root)
        assert await a.arrived(attachment) == DATA


async def test_what_the_operator_does_not_allow_is_not_fetched(tmp_path: Path) -> None:
    async with fetching(tmp_path) as (a, (b,)):
        attachment = keep(b)
        a.end.blobs.limits = BlobLimits(each=CHUNK)
        await a.meet(b)
        a.want(attachment, b)
        await a.until(lambda: BlobTrouble(attachment.root, RunEnd.REFUSED) in a.news)
        assert a.end.blobs.roots() == set()


async def test_what_is_dropped_while_it_comes_leaves_nothing(tmp_path: Path) -> None:
    async with fetching(tmp_path) as (a, (b,)):
        attachment = keep(b)
        await a.meet(b)
        a.want(attachment, b)
        await a.until(lambda: a.news)
        a.transfers.do(lambda now: a.transfers.core.dropped(attachment.root, now))
        async with asyncio.timeout(LIMIT_S):
            while a.transfers._chains:
                await asyncio.wait(a.transfers._chains.values())
        assert list(a.end.blobs.directory.iterdir()) == []
        assert not a.transfers._fetches
        # And it can be wanted again.
        a.want(attachment, b)
        assert await a.arrived(attachment) == DATA
