"""What gpsd says, also when it is no gpsd; and the kernel's word on its clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from appliance.adapters import time_sources
from appliance.adapters.time_sources import Fix, machine_clock, satellite_time, time_of_report

NOON = b'"time":"2026-11-23T12:00:00.000Z"'
NOON_S = 1_795_435_200.0
FIX = b'{"class":"TPV","device":"/dev/ttyACM0","mode":3,' + NOON + b',"lat":46.1}\n'
VERSION = b'{"class":"VERSION","release":"3.25","proto_major":3,"proto_minor":15}\n'


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (FIX, NOON_S),
        (b'{"class":"TPV","mode":2,' + NOON + b"}", NOON_S),
        (b'{"class":"TPV","mode":2,"time":"2026-11-23T13:00:00+01:00"}', NOON_S),
        (b'{"class":"TPV","mode":1,' + NOON + b"}", None),
        (b'{"class":"TPV","mode":true,' + NOON + b"}", None),
        (b'{"class":"TPV","mode":NaN,' + NOON + b"}", None),
        (b'{"class":"TPV",' + NOON + b"}", None),
        (b'{"class":"TPV","mode":3}', None),
        (b'{"class":"TPV","mode":3,"time":1795435200}', None),
        (b'{"class":"TPV","mode":3,"time":"2026-11-23T12:00:00"}', None),
        (b'{"class":"TPV","mode":3,"time":"9999-12-31T23:59:60Z"}', None),
        (b'{"class":"SKY","mode":3,' + NOON + b"}", None),
        (VERSION, None),
        (b"[3]", None),
        (b"[" * 9000, None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_a_report(line: bytes, found: float | None) -> None:
    assert time_of_report(line) == found


@asynccontextmanager
async def daemon(*said: bytes, ends: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Somebody on gpsd's port, and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in said:
            writer.write(piece)
        if not ends:
            while heard := await reader.read(1000):
                asked.append(heard)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()
        await server.wait_closed()


async def test_gpsd_is_asked_and_its_first_fix_taken() -> None:
    async with daemon(VERSION, b'{"class":"TPV","mode":1}\n', FIX, b"more") as (port, asked):
        assert await satellite_time("127.0.0.1", port) == Fix(NOON_S, time_sources.FIX_ERROR_S)
        assert asked == [time_sources.WATCH]
    assert await satellite_time("127.0.0.1", port) is None


@pytest.mark.parametrize("said", [b"", b"x" * 100_000, VERSION * 1000, b"\0" * 5000 + b"\n"])
async def test_what_is_no_gpsd_gives_no_time(said: bytes) -> None:
    async with daemon(said, ends=True) as (port, _):
        assert await satellite_time("127.0.0.1", port) is None


async def test_silence_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_sources, "ANSWER_S", 0.05)
    async with daemon(VERSION) as (port, _):
        assert await satellite_time("127.0.0.1", port) is None


def test_the_kernel_is_asked() -> None:
    error_s = machine_clock()
    assert error_s is None or 0.0 <= error_s < 3600.0
