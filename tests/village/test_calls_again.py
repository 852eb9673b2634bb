"""A call that breaks comes back by itself: the same call, in real daemons and voice processes."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from seats import Seat, eventually, meet, pair, pid_of, talk
from speech import long_speech, needs_speech

from appliance.api.schema import CallInfo
from appliance.village import launch

pytestmark = [
    pytest.mark.village,
    pytest.mark.usefixtures("may_make_namespaces"),
    needs_speech,
]

SAID_WITHIN_S = 2.5
"""What makes a call silent is said within this time; the figures come once a second."""

LOUD_DB = -50.0

COUNTED_WITHIN_S = 6.0
"""A session that does not answer ends after 4 s."""

GIVEN_UP_S = 15.0
"""So long after the last sound a call is over."""

DOWN_S = 10.0
"""How long the link is away; a call is given up after 15 s."""


async def in_call(a: Seat, b: Seat, tmp_path: Path) -> tuple[CallInfo, CallInfo]:
    speech = long_speech(tmp_path / "speech.wav", times=4)
    record = (tmp_path / "a.wav", tmp_path / "b.wav")
    return await talk(a, b, play=(speech, speech), record=record)


async def same_call(seat: Seat, call: CallInfo) -> CallInfo | None:
    """The call as it is now, if it is going on, undisturbed, and the other side is heard."""
    found = next((one for one in await seat.client.calls() if one.id == call.id), None)
    if found is None or found.state != "talking" or found.problems or found.lost_in_s is not None:
        return None
    return found if found.level_out_db > LOUD_DB else None


async def goes_on(a: Seat, b: Seat, ours: CallInfo, theirs: CallInfo, within_s: float) -> None:
    until = time.monotonic() + within_s
    for seat, call in ((a, ours), (b, theirs)):
        left_s = max(until - time.monotonic(), 0.1)
        found = await eventually(partial(same_call, seat, call), within_s=left_s)
        assert found is not None
        assert (found.talking_s or 0) > (call.talking_s or 0)
        assert {one.id for one in await seat.client.calls()} == {call.id}


async def hang_up(a: Seat, b: Seat, ours: CallInfo, theirs: CallInfo) -> None:
    """End it, and see that it is one call in the record of both, whatever happened to it."""
    await a.client.hang_up(ours.id)
    for seat, call in ((a, ours), (b, theirs)):
        await eventually(partial(is_over, seat, call), within_s=5)
        recorded = await eventually(partial(in_record, seat), within_s=5)
        assert [one.id for one in recorded] == [call.id]
        assert recorded[0].end_reason in {"hung-up", "they-hung-up"}
        assert not recorded[0].missed
        assert (recorded[0].talking_s or 0) > 1


async def in_record(seat: Seat) -> tuple[CallInfo, ...]:
    return (await seat.client.past_calls()).calls


async def is_over(seat: Seat, call: CallInfo) -> bool:
    return all(one.state == "ended" for one in await seat.client.calls() if one.id == call.id)


@pytest.mark.parametrize("victim", ["a", "b"])
async def test_the_daemon_of_either_side_is_killed(
    two: tuple[Seat, Seat], tmp_path: Path, victim: str
) -> None:
    a, b = two
    other = b if victim == "a" else a
    ours, theirs = await in_call(a, b, tmp_path)
    async with other.diary() as diary:
        loud = await diary.first(CallInfo, lambda call: call.level_out_db > LOUD_DB)
        a.village.kill(victim)
        said = await diary.first(
            CallInfo,
            lambda call: call.lost_in_s is not None and bool(call.problems),
            after=loud,
            within_s=SAID_WITHIN_S,
        )
        assert said.state == "talking"
        assert 10 < (said.lost_in_s or 0) <= 15
        a.village.start(victim)
        await goes_on(a, b, ours, theirs, within_s=12)
    await hang_up(a, b, ours, theirs)


async def test_the_daemons_of_both_sides_are_killed_at_once(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    ours, theirs = await in_call(a, b, tmp_path)
    await eventually(partial(same_call, a, ours))
    for name in "ab":
        a.village.kill(name)
    for name in "ab":
        a.village.start(name)
    await goes_on(a, b, ours, theirs, within_s=14)
    await hang_up(a, b, ours, theirs)


async def test_who_hangs_up_while_the_other_is_down_is_not_called_back(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    ours, theirs = await in_call(a, b, tmp_path)
    await eventually(partial(same_call, a, ours))
    a.village.kill("b")
    await a.client.hang_up(ours.id)
    a.village.start("b")
    await eventually(partial(is_over, b, theirs), within_s=14)
    (known,) = (await b.client.past_calls()).calls
    assert known.end_reason == "they-hung-up"


@pytest.mark.parametrize("victim", ["a", "b"])
async def test_the_voice_process_of_either_side_is_killed(
    two: tuple[Seat, Seat], tmp_path: Path, victim: str
) -> None:
    a, b = two
    seat = a if victim == "a" else b
    ours, theirs = await in_call(a, b, tmp_path)
    async with seat.diary() as diary:
        loud = await diary.first(CallInfo, lambda call: call.level_out_db > LOUD_DB)
        kill_voice(seat)
        await diary.first(
            CallInfo,
            lambda call: any(one.code == "media-gone" for one in call.problems),
            after=loud,
            within_s=SAID_WITHIN_S,
        )
        await goes_on(a, b, ours, theirs, within_s=8)
    await hang_up(a, b, ours, theirs)


def kill_voice(seat: Seat) -> None:
    """Kill the child of the daemon that is the voice process, seen from inside of the village."""
    children = f"cat /proc/{pid_of(seat)}/task/{pid_of(seat)}/children"
    (child,) = seat.village.exec(seat.name, ["sh", "-c", children], check=True).stdout.split()
    seat.village.exec(seat.name, ["kill", f"-{int(signal.SIGKILL)}", child], check=True)


async def test_the_link_goes_away_for_ten_seconds(two: tuple[Seat, Seat], tmp_path: Path) -> None:
    a, b = two
    ours, theirs = await in_call(a, b, tmp_path)
    await eventually(partial(same_call, a, ours))
    up_at = time.monotonic() + DOWN_S
    set_link(b, "down")
    # Whose cable it is knows; the other one hears nothing, and misses its answers later.
    await eventually(partial(is_away, b, theirs), within_s=5)
    await eventually(partial(is_silent, a, ours), within_s=5)
    await eventually(partial(has_come, up_at), within_s=DOWN_S + 1)
    set_link(b, "up")
    await goes_on(a, b, ours, theirs, within_s=10)
    await hang_up(a, b, ours, theirs)
    await meet(a, b)


async def test_a_link_that_is_cut_in_silence_is_said_at_once_and_counted_from_then(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    ours, theirs = await in_call(a, b, tmp_path)
    async with a.diary() as here, b.diary() as there:
        begun = [await diary.first(CallInfo, is_loud) for diary in (here, there)]
        cut_at = time.monotonic()
        await asyncio.to_thread(partial(a.village.link, "a", "b", loss_pct=100))
        for diary, loud in zip((here, there), begun, strict=True):
            await diary.first(CallInfo, hears_nothing, after=loud, within_s=2 * SAID_WITHIN_S)
        for diary in (here, there):
            counted = await diary.first(
                CallInfo, lambda call: call.lost_in_s is not None, within_s=COUNTED_WITHIN_S
            )
            assert counted.lost_in_s is not None
            over_at = time.monotonic() + counted.lost_in_s
            # From the session's end, which took 10 s or more to notice, it would be 25 s.
            assert GIVEN_UP_S - 2 < over_at - cut_at < GIVEN_UP_S + 5
        await asyncio.to_thread(partial(a.village.link, "a", "b", loss_pct=0))
        await goes_on(a, b, ours, theirs, within_s=10)
    await hang_up(a, b, ours, theirs)


def is_loud(call: CallInfo) -> bool:
    return call.level_out_db > LOUD_DB


def hears_nothing(call: CallInfo) -> bool:
    return any(one.code == "no-sound-arriving" for one in call.problems)


async def is_away(seat: Seat, call: CallInfo) -> bool:
    return any(
        one.id == call.id and one.lost_in_s is not None and bool(one.problems)
        for one in await seat.client.calls()
    )


async def is_silent(seat: Seat, call: CallInfo) -> bool:
    return any(one.id == call.id and bool(one.problems) for one in await seat.client.calls())


async def has_come(moment: float) -> bool:
    return time.monotonic() >= moment


def set_link(seat: Seat, how: str) -> None:
    seat.village.exec(seat.name, ["ip", "link", "set", "eth0", how], check=True)
    if how == "up":
        address = f"{seat.info.addresses[0]}/24"
        words = ["ip", "address", "replace", address, "dev", "eth0"]
        seat.village.exec(seat.name, words, check=True)


SERVICE = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
listener.set_inheritable(True)
if os.fork():
    sys.exit()
os.setsid()
for number in (0, 1, 2):
    os.dup2(os.open(os.devnull, os.O_RDWR), number)
words = ["-P", "-m", "appliance.media", "--listen-fd", str(listener.fileno())]
os.execv(sys.executable, [sys.executable, *words])
"""
"""What a service manager does for the voice process."""


async def test_the_sound_never_stops_where_the_voice_process_is_a_service(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    media = tmp_path / "b-media.sock"
    with_service = 'if [ "$0" = b ]; then export FENCEWIRE_MEDIA="$1"; fi; shift; exec "$@"'
    command = ["sh", "-c", with_service, "{name}", str(media), *launch.daemon_command()]
    async with pair(tmp_path_factory.mktemp("v"), daemons=False, command=command) as (a, b):
        a.village.exec("b", [sys.executable, "-c", SERVICE, str(media)], check=True)
        for seat in (a, b):
            seat.village.start(seat.name)
        await meet(a, b)
        ours, theirs = await in_call(a, b, tmp_path)
        async with a.diary() as diary:
            loud = await diary.first(CallInfo, lambda call: call.level_out_db > LOUD_DB)
            a.village.kill("b")
            until = time.monotonic() + 2 * SAID_WITHIN_S
            await diary.first(CallInfo, lambda call: call.lost_in_s is not None, after=loud)
            await eventually(partial(has_come, until))
            heard = [call for call in diary.all(CallInfo) if call.id == ours.id]
            assert not any(call.problems for call in heard), "\n".join(map(str, heard))
            assert any(call.level_out_db > LOUD_DB for call in heard[-4:])
            a.village.start("b")
            await goes_on(a, b, ours, theirs, within_s=12)
        await hang_up(a, b, ours, theirs)
