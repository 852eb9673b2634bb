"""Sessions whose other side is gone, does not listen, or says too much."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from session_ends import LIMIT_S, ends

from appliance.adapters import session as session_module
from appliance.adapters.session import Session
from appliance.protocol import keepalive
from appliance.protocol.frames import Channel
from appliance.protocol.keepalive import Control, ControlKind


async def test_an_aborted_session_ends_at_once_and_says_why(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b, wanted=b)
        session.abort("link-down")
        await a.until(lambda: a.closed)
        assert a.closed == [(session, "link-down")]
        await b.until(lambda: b.closed)


async def test_a_goodbye_to_somebody_who_does_not_read_ends_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "BYE_GRACE_S", 0.2)
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b, wanted=b)
        await b.until(lambda: b.opened)
        # What keeps b from reading keeps its sockets' buffers full and a's writing stuck.
        taken = asyncio.Event()
        b.opened[0]._socket.receive = taken.wait  # type: ignore[method-assign,assignment]
        b.opened[0].send(Channel.RECORD, b"and it still talks")
        while session.send(Channel.RECORD, bytes(60_000)):  # noqa: ASYNC110
            await asyncio.sleep(0)
        session.end("enough")
        await a.until(lambda: a.closed)
        assert a.closed == [(session, "enough")]


async def test_who_is_asked_and_does_not_answer_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b, wanted=b)
        await b.until(lambda: b.opened)
        session.ask()
        while session.rtt_s is None:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        assert not a.closed
        monkeypatch.setattr(keepalive, "ANSWER_S", 0.05)
        monkeypatch.setattr(b.opened[0], "_control", lambda _: None)  # hears, and says nothing
        session.ask()
        await a.until(lambda: a.closed)
        assert a.closed == [(session, "silent")]


async def test_a_flood_leaves_others_their_turn(tmp_path: Path) -> None:
    async with ends(tmp_path) as (a, b):
        turns: list[int] = []
        heard = 0
        over = asyncio.Event()

        def slow(_: Session, __: Channel, data: bytes) -> None:
            nonlocal heard
            heard += 1
            until = asyncio.get_running_loop().time() + 0.001
            while asyncio.get_running_loop().time() < until:
                pass
            if data == b"last":
                over.set()

        async def others() -> None:
            while True:
                turns.append(heard)
                await asyncio.sleep(0)

        session = await a.dial(b, wanted=b)
        await b.until(lambda: b.opened)
        b.opened[0]._on_message = slow
        for _ in range(300):
            session.send(Channel.RECORD, b"x")
        session.send(Channel.RECORD, b"last")
        other = asyncio.create_task(others())
        async with asyncio.timeout(LIMIT_S):
            await over.wait()
        other.cancel()
        assert max(later - earlier for earlier, later in pairwise(turns)) < 30


@pytest.mark.parametrize(("given", "noted"), [("stopping", "stopping"), ("a\nb: fake", "closed")])
async def test_only_a_word_is_taken_as_the_other_sides_reason(
    tmp_path: Path, given: str, noted: str
) -> None:
    async with ends(tmp_path) as (a, b):
        session = await a.dial(b, wanted=b)
        session.send(Channel.CONTROL, Control(ControlKind.BYE, reason=given).encode())
        await b.until(lambda: b.closed)
        assert [reason for _, reason in b.closed] == [noted]


async def test_an_end_that_is_not_answered_leaves_no_number_in_the_loop(tmp_path: Path) -> None:
    """Else the next connection with the same file descriptor would never be read."""
    async with ends(tmp_path) as (a, b):
        async with asyncio.timeout(LIMIT_S):
            await a.dial(b, wanted=b)
        await b.until(lambda: b.opened)
        (accepted,) = b.sessions._acceptor._accepted.values()
        number = accepted.sock.fileno()
        # The other side's answers to TLS's goodbye do not come: a cut cable.
        loop = asyncio.get_running_loop()
        ours = a.opened[0]._socket.get_extra_info("socket")  # type: ignore[attr-defined]
        loop._remove_reader(ours.fileno())  # type: ignore[attr-defined]
        b.opened[0].abort("link-down")
        await b.until(lambda: b.closed)
        await b.until_held(lambda held: held == 0)
        watched = number in loop._selector.get_map()  # type: ignore[attr-defined]
        assert accepted.sock.fileno() == number or not watched
        a.opened[0].abort("over")
