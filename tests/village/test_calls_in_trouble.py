"""Calls between real daemons while links break and two people do the same thing at once."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from mesh_seats import all_list_all, begin_call, hops_become, mesh
from seats import Seat, eventually, talk
from speech import long_speech, needs_speech

from appliance.api.client import Client
from appliance.api.errors import RequestError
from appliance.api.schema import CallInfo

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


@needs_speech
async def test_a_link_that_gets_bad_and_good_again_is_said_and_the_call_lives(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    speech = long_speech(tmp_path / "speech.wav", times=6)
    async with b.diary() as diary:
        await talk(a, b, play=(speech, speech), record=(tmp_path / "a.wav", tmp_path / "b.wav"))
        clean = await diary.first(CallInfo, is_whole)
        await asyncio.to_thread(partial(a.village.link, "a", "b", loss_pct=30))
        worse = await diary.first(CallInfo, is_worse_by_the_link, after=clean)
        heard = await diary.first(CallInfo, lambda c: c.level_out_db > -50, after=worse)
        await asyncio.to_thread(partial(a.village.link, "a", "b", loss_pct=0))
        again = await diary.first(CallInfo, is_whole, after=heard)
        await diary.first(CallInfo, lambda c: c.level_out_db > -50, after=again)
        place = diary.all(CallInfo).index(clean)
        assert {c.state for c in diary.all(CallInfo)[place:]} == {"talking"}


def is_whole(call: CallInfo) -> bool:
    """It is good, or what makes it worse is not lost on the way: a busy machine says so itself."""
    figures = call.details
    lost_pct = 100.0 if figures is None else max(figures.concealed_pct, call.loss_pct)
    return call.quality == "good" or lost_pct < 1.0


def is_worse_by_the_link(call: CallInfo) -> bool:
    return call.quality in {"fair", "bad"} and call.reason == "the link to them"


async def test_both_hang_up_at_once(two: tuple[Seat, Seat], tmp_path: Path) -> None:
    a, b = two
    for _ in range(3):
        ours = await begin_call(a, b, tmp_path)
        theirs = await b.call_in("talking")
        assert theirs is not None
        async with a.diary() as said_here, b.diary() as said_there:
            done = await asyncio.gather(
                a.client.hang_up(ours), b.client.hang_up(theirs.id), return_exceptions=True
            )
            # Who is told of the other's goodbye first has no call left to end.
            late = [answer for answer in done if isinstance(answer, BaseException)]
            assert len(late) < 2
            assert all("no such call any more" in str(answer) for answer in late)
            for diary in (said_here, said_there):
                over = await diary.first(CallInfo, lambda c: c.state == "ended", within_s=3)
                assert over.end_reason in {"hung-up", "they-hung-up"}
    assert await b.ringing() is None


async def test_of_two_clients_the_first_answers_and_the_other_is_told(
    two: tuple[Seat, Seat],
) -> None:
    a, b = two
    second = Client(b.info.api)
    await a.client.call(b.id)
    ringing = await eventually(b.ringing)
    assert ringing is not None
    assert ringing.id in {call.id for call in await second.calls() if call.state == "ringing-here"}
    answers = await asyncio.gather(
        b.client.answer(ringing.id), second.answer(ringing.id), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    (error,) = refused
    assert isinstance(error, RequestError)
    assert error.status == 409
    for client in (b.client, second):
        (call,) = [call for call in await client.calls() if call.id == ringing.id]
        assert call.state in {"connecting", "talking"}
    assert await eventually(partial(a.call_in, "talking"))


@pytest.mark.timeout(120)
async def test_a_call_goes_on_over_another_route(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with mesh(tmp_path_factory.mktemp("v"), "ring:3") as seats:
        await all_list_all(seats)
        a, b = seats["a"], seats["b"]
        await hops_become(a, b, 1)
        async with b.diary() as diary:
            await begin_call(a, b, tmp_path)
            before = await diary.first(CallInfo, lambda c: c.level_out_db > -50)
            await asyncio.to_thread(partial(a.village.link, "a", "b", up=False))
            await hops_become(a, b, 2)
            after = next(reversed(diary.all(CallInfo)))
            sounds = await diary.first(
                CallInfo, lambda c: c.level_out_db > -50 and not c.problems, after=after
            )
            assert (sounds.id, sounds.state) == (before.id, "talking")
            place = diary.all(CallInfo).index(before)
            assert {c.state for c in diary.all(CallInfo)[place:]} == {"talking"}
