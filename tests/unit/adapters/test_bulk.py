"""Blobs between two proved stations over real TLS: by hash, with a token, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

import aiohttp
import pytest
from session_ends import KEYS, LIMIT_S, LOOPBACK, End, answering, ends

from appliance.adapters import blobs as blobs_module
from appliance.adapters.acceptor import Limits
from appliance.adapters.blobs import BlobError, Blobs
from appliance.adapters.certificate import client_context, make_certificate

DATA = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def keep(end: End, data: bytes) -> str:
    upload = end.blobs.begin(name_of(data))
    upload.write(data)
    upload.finish()
    upload.close()
    return name_of(data)


def leftovers(end: End) -> list[Path]:
    return list(end.blobs.incoming.iterdir())


def url(end: End, digest: str) -> str:
    return f"https://127.0.0.1:{end.sessions.port}/v1/blobs/{digest}"


async def test_put_and_get(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        bulk = a.sessions.bulk(session)
        source = tmp_path / "source"
        source.write_bytes(DATA)
        await bulk.put(DIGEST, source)
        await bulk.put(DIGEST, source)
        assert b.blobs.path(DIGEST).read_bytes() == DATA
        assert b.blobs._total == len(DATA)
        await bulk.get(DIGEST, a.blobs)
        assert a.blobs.path(DIGEST).read_bytes() == DATA
        with pytest.raises(BlobError) as error:
            await bulk.get(name_of(b"nothing"), a.blobs)
        assert error.value.code == "http-404"
        assert not leftovers(a)
        assert not leftovers(b)
        await b.until(lambda: b.opened)
        with pytest.raises(ValueError):
            b.sessions.bulk(b.opened[0])


async def test_ranges(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b), aiohttp.ClientSession() as http:
        session = await a.dial(b)
        keep(b, DATA)
        token = {"Authorization": f"Bearer {session.proved.send_token.hex()}"}
        for asked, start, end in (("10-19", 10, 20), ("-5", len(DATA) - 5, len(DATA))):
            async with http.get(
                url(b, DIGEST), ssl=client_context(), headers=token | {"Range": f"bytes={asked}"}
            ) as response:
                assert response.status == 206
                assert await response.read() == DATA[start:end]
        async with http.get(
            url(b, DIGEST), ssl=client_context(), headers=token | {"Range": f"bytes={10**9}-"}
        ) as response:
            assert response.status == 416


async def test_nothing_without_the_token_of_a_session_that_stands(tmp_path: Path) -> None:
    limits = Limits(unproved_per_host=32)
    async with ends(tmp_path, limits=limits) as (a, b), aiohttp.ClientSession() as http:
        keep(b, DATA)
        session = await a.dial(b)
        token = session.proved.send_token.hex()
        wrong = ["", "Bearer", f"Bearer {'0' * 32}", f"Basic {token}", f"Bearer {token[:-1]}"]
        wrong.append(f"Bearer {session.proved.take_token.hex()}")
        headers = [{"Authorization": each} for each in wrong] + [{}]

        async def statuses(header: dict[str, str]) -> set[int]:
            found = set()
            for method, digest in (("GET", DIGEST), ("PUT", name_of(b"x")), ("HEAD", DIGEST)):
                async with http.request(
                    method,
                    url(b, digest),
                    ssl=client_context(),
                    headers=header,
                    data=b"x" if method == "PUT" else None,
                ) as response:
                    found.add(response.status)
            return found

        for header in headers:
            assert await statuses(header) == {401}
        good = {"Authorization": f"Bearer {token}"}
        assert await statuses(good) == {200, 201}
        session.end("over")
        await b.until(lambda: b.closed)
        assert await statuses(good) == {401}


async def test_another_key_than_the_proved_one_gets_no_token(tmp_path: Path) -> None:
    """The port that was proved may be somebody else's a moment later."""
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)

        async with answering("M", lambda _: asyncio.sleep(0)) as port:
            object.__setattr__(session.path, "remote_port", port)
            with pytest.raises(aiohttp.ServerFingerprintMismatch):
                await a.sessions.bulk(session).get(DIGEST, a.blobs)
        assert not leftovers(a)


@pytest.mark.parametrize(
    ("digest", "status"),
    [(name_of(b"other"), 422), ("0" * 63, 404), ("G" * 64, 404), ("..%2F..%2Fetc", 404)],
)
async def test_what_is_no_blob_is_refused(tmp_path: Path, digest: str, status: int) -> None:
    async with ends(tmp_path) as (a, b), aiohttp.ClientSession() as http:
        session = await a.dial(b)
        token = {"Authorization": f"Bearer {session.proved.send_token.hex()}"}
        async with http.put(
            url(b, digest), ssl=client_context(), headers=token, data=b"some"
        ) as response:
            assert response.status == status
        assert not leftovers(b)
        assert b.blobs._total == 0
        assert list(b.blobs.root.iterdir()) == [b.blobs.incoming]


async def test_a_blob_that_is_not_what_it_says_is_not_kept(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        b.blobs.path(DIGEST).write_bytes(b"something else")
        with pytest.raises(BlobError) as error:
            await a.sessions.bulk(session).get(DIGEST, a.blobs)
        assert error.value.code == "wrong-hash"
        assert not a.blobs.has(DIGEST)
        assert not leftovers(a)


async def test_an_abandoned_upload_leaves_nothing(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b)
        _, writer = await asyncio.open_connection(*LOOPBACK, b.sessions.port, ssl=client_context())
        writer.write(
            f"PUT /v1/blobs/{DIGEST} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(DATA)}\r\n"
            f"Authorization: Bearer {session.proved.send_token.hex()}\r\n\r\n".encode()
        )
        writer.write(DATA[:100_000])
        await writer.drain()
        async with asyncio.timeout(LIMIT_S):
            while b.blobs._total < 65_536:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
            assert len(leftovers(b)) == 1
            writer.transport.abort()
            while leftovers(b):  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert b.blobs._total == 0
        assert not b.blobs.has(DIGEST)


def test_there_is_only_so_much_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs_module, "MAX_BLOB", 1000)
    monkeypatch.setattr(blobs_module, "MAX_TOTAL", 1500)
    blobs = Blobs(tmp_path / "blobs")
    first, second = blobs.begin(name_of(bytes(1000))), blobs.begin(name_of(bytes(1001)))
    first.write(bytes(1000))
    first.finish()
    first.close()
    second.write(bytes(500))
    with pytest.raises(BlobError) as error:
        second.write(bytes(1))
    assert error.value.code == "disk-full"
    with pytest.raises(BlobError) as error:
        second.write(bytes(501))
    assert error.value.code == "too-large"
    second.close()
    assert blobs._total == 1000
    (tmp_path / "blobs/incoming/leftover").write_bytes(b"from before a crash")
    again = Blobs(tmp_path / "blobs")
    assert again._total == 1000
    assert not list(again.incoming.iterdir())
    monkeypatch.setattr(blobs_module, "MIN_FREE", 1 << 62)
    upload = again.begin(name_of(b""))
    with pytest.raises(BlobError):
        upload.write(b"x")
    upload.close()


def test_two_uploads_of_one_blob_count_once(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    uploads = [blobs.begin(DIGEST), blobs.begin(DIGEST)]
    for upload in uploads:
        upload.write(DATA)
    for upload in uploads:
        upload.finish()
        upload.close()
    assert blobs._total == len(DATA)
    assert not list(blobs.incoming.iterdir())


def test_certificates_follow_from_the_key() -> None:
    """The same at each start, so that a pin holds over restarts."""
    first, second = make_certificate(KEYS["A"]), make_certificate(KEYS["A"])
    assert first == second
    assert first.not_valid_before_utc.year == 1970
    assert first.not_valid_after_utc.year == 9999
    context = client_context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
