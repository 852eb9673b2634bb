"""The whole way, with real daemons: two stations that have never met find each other, write, call.

They run without privileges, and everything is asked of them through their API.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from seats import Seat, eventually, meet, pair, talk
from speech import RATE, SHORT, long_speech, needs_speech, quality, samples, silence

from appliance.api.errors import RequestError
from appliance.api.schema import CallInfo, Message
from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

SAID_WITHIN_S = 2.0
"""What makes a call silent is said within this time."""


def only_ipv6(village: Village) -> None:
    for name in village.topology.stations:
        village.exec(name, ["ip", "-4", "address", "flush", "dev", "eth0"], check=True)


def capabilities(seat: Seat) -> str:
    pid = next(s["pid"] for s in seat.village.status()["stations"] if s["name"] == seat.name)
    return seat.village.exec(seat.name, ["cat", f"/proc/{pid}/status"], check=True).stdout


@needs_speech
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4-and-ipv6", "ipv6-only"])
async def test_two_strangers_meet_write_and_talk(
    tmp_path_factory: pytest.TempPathFactory, ipv6: bool
) -> None:
    files = tmp_path_factory.mktemp("f")
    async with pair(tmp_path_factory.mktemp("v"), daemons=False) as (a, b):
        if ipv6:
            only_ipv6(a.village)
        for seat in (a, b):
            a.village.start(seat.name)
        await meet(a, b)
        met = await a.sees(b)
        assert met is not None
        assert met.trust == "new"
        assert met.link == "eth0"
        assert not ipv6 or (met.host or "").startswith("fe80:")
        assert "CapEff:\t0000000000000000" in capabilities(a)

        async with a.diary() as diary:
            sent = await a.client.send(b.id, "Is the road to the mill open?")
            assert sent.state == "queued"
            await diary.first(Message, lambda m: m.state == "delivered")
            (got,) = (await b.client.messages(a.id)).messages
            assert (got.text, got.unread) == (sent.text, True)

            async def counted() -> bool:
                return (await b.client.station(a.id)).unread == 1

            await eventually(counted)  # counts follow what they count
            assert await b.client.mark_read(a.id, up_to=got.order) == 1
            await diary.first(Message, lambda m: m.state == "read")
            steps = [m.state for m in diary.all(Message) if m.id == sent.id]
            assert list(dict.fromkeys(steps)) == ["queued", "delivered", "read"]
            assert steps == sorted(steps, key=["queued", "delivered", "read"].index)

        async def all_read() -> bool:
            return (await b.client.status()).unread == 0

        await eventually(all_read)

        recorded = files / "recorded.wav"
        quiet = silence(files / "silence.wav")
        async with b.diary() as diary:
            ours, theirs = await talk(
                a, b, play=(SHORT, quiet), record=(files / "nothing.wav", recorded)
            )
            # The clip is over when b has heard it begin and end.
            spoke = await diary.first(CallInfo, lambda c: c.level_out_db > -50)
            await diary.first(
                CallInfo,
                lambda c: c.talking_s is not None and c.talking_s > (spoke.talking_s or 0) + 4.5,
            )
            await a.client.hang_up(ours.id)
            over = await diary.first(CallInfo, lambda c: c.state == "ended")
            assert over.end_reason == "they-hung-up"
            assert not [c.problems for c in diary.all(CallInfo) if c.problems]
        assert theirs.station == a.id
        assert quality(SHORT, recorded) >= 4.0


async def test_names_and_what_is_for_everyone(two: tuple[Seat, Seat]) -> None:
    a, b = two
    assert (await a.client.status()).name_is_default
    await a.client.set_name("North Gate")

    async def renamed() -> bool:
        return (await b.client.station(a.id)).name == "North Gate"

    await eventually(renamed)
    assert (await b.client.station("north gate")).id == a.id
    sent = await b.client.send("everyone", "Water at the school.")
    seen = await eventually(partial(b.message_in, sent.id, "delivered"))
    assert seen is not None
    assert (seen.delivered_to, seen.conversation) == (1, "everyone")
    assert await a.texts() == ["Water at the school."]
    with pytest.raises(RequestError, match="No station answers"):
        await a.client.send("nobody", "Hello?")


async def test_who_was_away_gets_it_when_it_returns(two: tuple[Seat, Seat]) -> None:
    a, b = two
    a.village.stop("b")
    await eventually(partial(a.misses, b), within_s=3)
    texts = [f"Message {number}" for number in range(100)]
    sent = [await a.client.send(b.id, text) for text in texts]
    assert (await a.client.message(sent[0].id)).state == "queued"
    a.village.start("b")
    for message in (sent[0], sent[-1]):
        await eventually(partial(a.message_in, message.id, "delivered"))
    page = await b.client.messages(a.id, limit=200)
    assert [message.text for message in page.messages] == texts


async def test_each_way_in_which_a_call_ends_unanswered(two: tuple[Seat, Seat]) -> None:
    a, b = two

    async def ring(caller: Seat, callee: Seat) -> tuple[CallInfo, CallInfo]:
        call = await caller.client.call(callee.id)
        ringing = await eventually(callee.ringing)
        assert ringing is not None
        assert await eventually(partial(caller.call_in, "ringing-there"))
        return call, ringing

    async def ends(seat: Seat) -> str | None:
        over = await eventually(partial(seat.call_in, "ended"), within_s=5)
        return over.end_reason if over is not None else None

    _, theirs = await ring(a, b)
    await b.client.hang_up(theirs.id)
    assert [await ends(a), await ends(b)] == ["they-declined", "declined"]

    ours, _ = await ring(a, b)
    await a.client.hang_up(ours.id)
    assert [await ends(a), await ends(b)] == ["hung-up", "cancelled"]


@needs_speech
async def test_who_talks_is_busy_for_a_third(tmp_path_factory: pytest.TempPathFactory) -> None:
    files = tmp_path_factory.mktemp("f")
    quiet = silence(files / "silence.wav")
    with Village.up("lan:3", directory=tmp_path_factory.mktemp("v")) as village:
        a, b, c = (Seat(village, name) for name in village.topology.stations)
        await meet(a, b, c)
        await talk(a, b, play=(quiet, quiet), record=(files / "a.wav", files / "b.wav"))
        async with c.diary() as diary:
            await c.client.call(b.id)
            over = await diary.first(CallInfo, lambda call: call.state == "ended", within_s=5)
        assert over.end_reason == "busy"
        assert (await a.call_in("talking")) is not None


@needs_speech
async def test_a_muted_microphone_is_silence_and_no_trouble(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    speech = long_speech(tmp_path / "speech.wav", times=4)
    recorded = tmp_path / "recorded.wav"
    async with b.diary() as diary:
        ours, _ = await talk(
            a,
            b,
            play=(speech, silence(tmp_path / "silence.wav")),
            record=(tmp_path / "nothing.wav", recorded),
        )
        loud = await diary.first(CallInfo, lambda c: c.level_out_db > -50)
        assert (await a.client.set_call(ours.id, muted=True)).muted
        mute = await diary.first(CallInfo, lambda c: c.level_out_db < -80, after=loud)
        await diary.first(CallInfo, lambda c: (c.talking_s or 0) > (mute.talking_s or 0) + 3)
        await a.client.hang_up(ours.id)
        await diary.first(CallInfo, lambda c: c.state == "ended")
        assert not [c.problems for c in diary.all(CallInfo) if c.problems]
    heard = samples(recorded)
    assert np.abs(heard).max() > 1000
    assert np.abs(heard[-2 * RATE :]).max() < 10


@needs_speech
async def test_a_call_that_goes_silent_says_so_and_recovers(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    speech = long_speech(tmp_path / "speech.wav", times=4)
    async with a.diary() as diary:
        await talk(a, b, play=(speech, speech), record=(tmp_path / "a.wav", tmp_path / "b.wav"))
        await diary.first(CallInfo, lambda c: c.level_out_db > -50)
        a.village.link("a", "b", loss_pct=100)
        silent = await diary.first(CallInfo, lambda c: bool(c.problems), within_s=SAID_WITHIN_S)
        assert silent.problems[0].code == "no-sound-arriving"
        a.village.link("a", "b", loss_pct=0)

        async def sounds() -> bool:
            call = await a.call_in("talking")
            return call is not None and not call.problems and call.level_out_db > -50

        await eventually(sounds)


@needs_speech
async def test_the_voice_process_dies_in_a_call(two: tuple[Seat, Seat], tmp_path: Path) -> None:
    a, b = two
    speech = long_speech(tmp_path / "speech.wav", times=4)
    async with a.diary() as ours, b.diary() as theirs:
        await talk(a, b, play=(speech, speech), record=(tmp_path / "a.wav", tmp_path / "b.wav"))
        await ours.first(CallInfo, lambda c: c.level_out_db > -50)
        done = b.village.exec("b", ["pkill", "-9", "-f", "appliance[.]media"])
        assert done.returncode in (0, -9), done
        late = asyncio.timeout(SAID_WITHIN_S)
        async with late:
            gone = await theirs.first(CallInfo, lambda c: bool(c.problems))
            await ours.first(CallInfo, lambda c: bool(c.problems))
        assert gone.problems[0].code == "media-gone"

        async def sounds() -> bool:
            calls = [await seat.call_in("talking") for seat in (a, b)]
            return all(call is not None and not call.problems for call in calls)

        await eventually(sounds)


async def test_both_operators_compare_six_digits(two: tuple[Seat, Seat]) -> None:
    a, b = two
    begun = await a.client.verify(b.id)

    async def digits(seat: Seat) -> str | None:
        return next(
            (v.digits for v in await seat.client.verifications() if v.state == "compare"), None
        )

    seen = [await eventually(partial(digits, seat)) for seat in (a, b)]
    assert seen[0] is not None
    assert seen[0] == seen[1]
    assert len(seen[0]) == 6
    (theirs,) = await b.client.verifications()
    await a.client.finish_verification(begun.id, match=True)
    await b.client.finish_verification(theirs.id, match=True)
    assert (await a.client.station(b.id)).trust == "verified"
    assert (await b.client.station(a.id)).trust == "verified"


@asynccontextmanager
async def without_multicast(directory: Path) -> AsyncIterator[tuple[Seat, Seat]]:
    """Two stations that run and never hear of each other."""
    rules = "table inet t { chain c { type filter hook input priority 0; udp dport 5353 drop; }; }"
    async with pair(directory, daemons=False) as (a, b):
        for seat in (a, b):
            a.village.exec(seat.name, ["nft", rules], check=True)
            a.village.start(seat.name)
            await seat.sit()
        yield a, b


async def test_an_address_is_enough_where_multicast_is_blocked(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with without_multicast(tmp_path_factory.mktemp("v")) as (a, b):
        with pytest.raises(RequestError, match=r"10\.0\.1\.77"):
            await a.client.add_peer("10.0.1.77", timeout_s=1)
        station = await a.client.add_peer(b.info.addresses[0])
        assert (station.id, station.trust) == (b.id, "new")
        await meet(a, b)
        # What the operator gave is remembered.
        a.village.restart("a")
        await meet(a, b)
        with pytest.raises(RequestError, match="this station"):
            await a.client.add_peer(a.info.addresses[0])


async def test_two_that_dial_each_other_at_once_keep_one_session(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with without_multicast(tmp_path_factory.mktemp("v")) as (a, b):

        async def one_connection() -> bool:
            argv = ["ss", "-Htn", "state", "established", "sport", "=", ":18950"]
            taken = [a.village.exec(name, argv, check=True).stdout for name in "ab"]
            return sum(len(text.splitlines()) for text in taken) == 1

        for _ in range(3):
            await asyncio.gather(
                *(s.client.add_peer(o.info.addresses[0]) for s, o in ((a, b), (b, a)))
            )
            await meet(a, b)
            await eventually(one_connection)
            assert [(await seat.client.status()).reach for seat in (a, b)] == [1, 1]
            message = await a.client.send(b.id, "One is enough.")
            await eventually(partial(a.message_in, message.id, "delivered"))
            for name in "ab":
                a.village.kill(name)
            for name in "ab":
                a.village.start(name)
