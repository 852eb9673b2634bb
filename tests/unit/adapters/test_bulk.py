"""Blobs between two proved stations over real TLS: with a token, from a proved key, bit by bit."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
from dataclasses import replace
from pathlib import Path
from random import Random

import aiohttp
import pytest
from session_ends import KEYS, End, answering, ends

from appliance.adapters import bulk as bulk_module
from appliance.adapters.acceptor import Limits
from appliance.adapters.bulk import BulkError, StationPin, Tail
from appliance.adapters.certificate import client_context, make_certificate
from appliance.adapters.session import Session
from appliance.model.attachment import CHUNK
from appliance.protocol.chunks import Manifest, chunk_size

SIZE = 2 * CHUNK + 1000
DATA = Random(1).randbytes(SIZE)


def keep(end: End, data: bytes = DATA) -> bytes:
    return end.blobs.add(io.BytesIO(data), len(data), sealed=False).root


def url(end: End, path: str) -> str:
    return f"https://127.0.0.1:{end.sessions.port}/v1/blobs/{path}"


def refused(code: str) -> pytest.RaisesExc[BulkError]:
    return pytest.RaisesExc(BulkError, check=lambda error: error.code == code)


async def fetched(
    end: End, session: Session, root: bytes, first: int, count: int, tail: Tail | None = None
) -> list[tuple[int, bytes]]:
    if tail is None:
        tail = Tail(first, session.proved.peer)
    chunks = end.sessions.bulk(session).chunks(root, SIZE, first, count, tail)
    async with contextlib.aclosing(chunks):
        return [chunk async for chunk in chunks]


async def test_both_sides_of_a_session_can_ask(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        called = await a.dial(b)
        await b.until(lambda: b.opened)
        for asking, session, having in ((a, called, b), (b, b.opened[0], a)):
            root = keep(having)
            client = asking.sessions.bulk(session)
            manifest = Manifest.read(root, SIZE, await client.manifest(root, SIZE))
            chunks = await fetched(asking, session, root, 0, 3)
            assert [index for index, _ in chunks] == [0, 1, 2]
            assert b"".join(data for _, data in chunks) == DATA
            assert all(manifest.fits(index, data) for index, data in chunks)
            assert await fetched(asking, session, root, 1, 1) == [chunks[1]]
            with refused("has-not"):
                await client.manifest(bytes(32), SIZE)
            with refused("has-not"):
                await fetched(asking, session, bytes(32), 0, 1)
            with refused("odd"):
                await client.manifest(root, SIZE + CHUNK)


async def test_who_serves_is_told_that_the_session_is_in_use(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        root = keep(b)
        asked: list[Session] = []
        b.sessions._hooks = replace(b.sessions._hooks, on_bulk=asked.append)
        await a.sessions.bulk(session).manifest(root, SIZE)
        assert asked == b.opened


async def test_a_chunk_goes_on_where_it_was(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        root = keep(b)
        tail = Tail(1, b.id, bytearray(DATA[CHUNK : CHUNK + 1000]))
        assert await fetched(a, session, root, 1, 2, tail) == [
            (1, DATA[CHUNK : 2 * CHUNK]),
            (2, DATA[2 * CHUNK :]),
        ]


async def test_what_came_before_a_break_is_kept(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        # More than sockets and buffers hold, so that the answer is not over before it breaks.
        data = Random(2).randbytes(48 * CHUNK)
        root = keep(b, data)
        tail = Tail(0, b.id)
        whole: list[int] = []
        with refused("broken"):
            async for index, _ in a.sessions.bulk(session).chunks(root, len(data), 0, 48, tail):
                whole.append(index)
                for accepted in b.sessions._acceptor._accepted.values():
                    accepted.over.set()
        assert whole == list(range(len(whole)))
        assert tail.index == len(whole) < 48
        assert data[tail.index * CHUNK :].startswith(bytes(tail.data))


async def test_ranges(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b), aiohttp.ClientSession() as http:
        session = await a.dial(b)
        name = keep(b).hex()
        token = {"Authorization": f"Bearer {session.proved.send_token.hex()}"}
        for asked, start, end in (
            ("bytes=10-19", 10, 20),
            ("bytes=-5", SIZE - 5, SIZE),
            (f"bytes={SIZE - 1}-{SIZE * 2}", SIZE - 1, SIZE),
        ):
            async with http.get(
                url(b, name), ssl=client_context(), headers=token | {"Range": asked}
            ) as response:
                assert response.status == 206
                assert await response.read() == DATA[start:end]
                assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
        for asked in (f"bytes={SIZE}-", "bytes=9-3", "lines=1-2", "bytes=a-b"):
            async with http.get(
                url(b, name), ssl=client_context(), headers=token | {"Range": asked}
            ) as response:
                assert response.status == 416
        for wrong in ("0" * 63, "G" * 64, "..%2F..%2Fetc", "0" * 64):
            for path in (wrong, f"{wrong}/manifest"):
                async with http.get(url(b, path), ssl=client_context(), headers=token) as response:
                    assert response.status == 404


async def test_nothing_without_the_token_of_a_session_that_stands(tmp_path: Path) -> None:
    limits = Limits(unproved_per_host=32)
    async with ends(tmp_path, limits=limits) as (a, b), aiohttp.ClientSession() as http:
        name = keep(b).hex()
        session = await a.dial(b)
        token = session.proved.send_token.hex()
        wrong = ["", "Bearer", f"Bearer {'0' * 32}", f"Basic {token}", f"Bearer {token[:-1]}"]
        wrong.append(f"Bearer {session.proved.take_token.hex()}")
        headers = [{"Authorization": each} for each in wrong] + [{}]

        async def statuses(header: dict[str, str]) -> set[int]:
            found = set()
            for path in (name, f"{name}/manifest", "0" * 64):
                async with http.get(url(b, path), ssl=client_context(), headers=header) as response:
                    found.add(response.status)
            return found

        for header in headers:
            assert await statuses(header) == {401}
        good = {"Authorization": f"Bearer {token}"}
        assert await statuses(good) == {206, 200, 404}
        for method in ("PUT", "POST", "DELETE"):
            async with http.request(
                method, url(b, name), ssl=client_context(), headers=good, data=b"x"
            ) as response:
                assert response.status == 405
        session.end("over")
        await b.until(lambda: b.closed)
        assert await statuses(good) == {401}


async def test_another_key_than_the_proved_one_gets_no_token(tmp_path: Path) -> None:
    """The port that was proved may be somebody else's a moment later."""
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        async with answering("M", lambda _: asyncio.sleep(0)) as port:
            object.__setattr__(session.path, "remote_port", port)
            with refused("broken"):
                await a.sessions.bulk(session).manifest(bytes(32), SIZE)
        assert StationPin(a.id) == StationPin(a.id) != StationPin(b.id)


async def test_who_asks_for_too_much_at_a_time_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "MAX_SERVED_EACH", 1)
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        size = 48 * CHUNK
        root = keep(b, bytes(size))
        client = a.sessions.bulk(session)
        first = client.chunks(root, size, 0, 48, Tail(0, b.id))
        async with contextlib.aclosing(first):
            assert len((await anext(first))[1]) == chunk_size(size, 0)
            with refused("busy"):
                await anext(client.chunks(root, size, 0, 1, Tail(0, b.id)))
        async with asyncio.timeout(10):
            while b.sessions._bulk._served:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert len(await fetched_all(client.chunks(root, size, 0, 1, Tail(0, b.id)))) == 1


async def test_who_takes_nothing_makes_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "MAX_SERVED", 2)
    async with ends(tmp_path, "ABM") as (a, b, m):
        size = 48 * CHUNK
        root = keep(b, bytes(size))
        silent = a.sessions.bulk(await a.dial(b))
        other = m.sessions.bulk(await m.dial(b))
        held = [silent.chunks(root, size, 0, 48, Tail(0, b.id)) for _ in range(2)]
        for each in held:
            await anext(each)
        with refused("busy"):
            await anext(other.chunks(root, size, 0, 1, Tail(0, b.id)))
        monkeypatch.setattr(bulk_module, "SLOW_S", 0.0)
        assert len(await fetched_all(other.chunks(root, size, 0, 1, Tail(0, b.id)))) == 1
        rest = await asyncio.gather(*map(fetched_all, held), return_exceptions=True)
        assert sorted(isinstance(each, BulkError) for each in rest) == [False, True]
        assert 47 in [len(each) for each in rest if isinstance(each, list)], "it was left alone"
        assert len(await fetched_all(silent.chunks(root, size, 1, 47, Tail(1, b.id)))) == 47


async def fetched_all(chunks: object) -> list[object]:
    return [chunk async for chunk in chunks]  # type: ignore[attr-defined]


async def test_a_blob_that_is_dropped_meanwhile_ends_the_answer(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        size = 48 * CHUNK
        root = keep(b, bytes(size))
        with refused("broken"):
            async for _ in a.sessions.bulk(session).chunks(root, size, 0, 48, Tail(0, b.id)):
                b.blobs.delete(root)


def test_certificates_follow_from_the_key() -> None:
    first, second = make_certificate(KEYS["A"]), make_certificate(KEYS["A"])
    assert first == second
    assert first.not_valid_before_utc.year == 1970
    assert first.not_valid_after_utc.year == 9999
    context = client_context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
