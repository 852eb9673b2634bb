"""Push to talk over a grid of real stations: everybody hears, each link carries it once."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from _talkgroup import EVERYONE, channel, count_voice, straight, voice_bytes
from _tone import tone_file
from mesh_seats import Seats, all_list_all, mesh
from seats import Seat, eventually, pid_of
from speech import SHORT, at_48_khz, needs_speech, quality
from talk_seats import all_sound, lose_sound, lost_sound, nobody_talks, what_was_said

pytestmark = [
    pytest.mark.village,
    pytest.mark.usefixtures("may_make_namespaces"),
    pytest.mark.timeout(180),
]

SPEECH_S = 4.5
"""How long the clip takes, and a little."""

LOSS_PCT = 15
"""Of what comes in as sound; without copies it would be PESQ 2.4."""

FIGURES_S = 2.0
"""By then a voice process has said how loud it is now."""


@needs_speech
async def test_everybody_on_a_grid_hears_whoever_has_the_key(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with mesh(tmp_path_factory.mktemp("v"), "grid:3x2") as seats:
        await all_list_all(seats)
        there = {name: (await seat.client.status()).address for name, seat in seats.items()}
        await straight(seats["a"].village, there)
        for seat in seats.values():
            await seat.client.listen(EVERYONE, record=str(tmp_path / f"{seat.name}.wav"))
        clip = at_48_khz(SHORT, tmp_path / "clip.wav")
        await all_hear_and_each_link_carries_it_once(seats, clip, tmp_path)
        await who_turns_it_on_late_hears_the_rest(seats, clip)
        await the_more_urgent_has_the_floor(seats, clip)
        await a_sealed_group_is_heard_by_its_members_alone(seats, clip)
        await a_speaker_that_is_killed_frees_it(seats, clip)


async def all_hear_and_each_link_carries_it_once(seats: Seats, clip: Path, files: Path) -> None:
    a = seats["a"]
    count_voice(a.village)
    await a.client.press(EVERYONE, play=str(clip))
    await all_sound(seats.values(), a)
    await asyncio.sleep(SPEECH_S)
    views = [await channel(seat.client) for seat in seats.values()]
    assert {view.speaker for view in views} == {a.id}
    assert {view.open for view in views} == {True}
    await a.client.release(EVERYONE)
    await eventually(partial(nobody_talks, seats["f"]))
    counted = voice_bytes(a.village)
    # Over which of its cables is its routes' matter, and may change meanwhile.
    copies = {
        name: sum(count for (station, _), count in counted.items() if station == name)
        for name in seats
    }
    assert copies.pop("a") < 0.02 * min(copies.values()), counted
    assert max(copies.values()) < 1.1 * min(copies.values()), counted
    for name in ("b", "f"):
        said = what_was_said(files / f"{name}.wav", files / f"{name}-said.wav")
        assert quality(SHORT, said) > 3.5


async def who_turns_it_on_late_hears_the_rest(seats: Seats, clip: Path) -> None:
    a, f = seats["a"], seats["f"]
    await f.client.listen(EVERYONE, on=False)
    await a.client.press(EVERYONE, play=str(clip))
    heard = [seat for seat in seats.values() if seat is not f]
    await all_sound(heard, a)
    late = await channel(f.client)
    assert (late.speaker, late.listening, late.sounded_at_s) == (a.id, False, None)
    await f.client.listen(EVERYONE)
    await all_sound([f], a)


async def the_more_urgent_has_the_floor(seats: Seats, clip: Path) -> None:
    a, e, f = seats["a"], seats["e"], seats["f"]
    waits = await e.client.press(EVERYONE, play=str(clip))
    assert (waits.key, waits.detail.endswith("is talking.")) == ("waiting", True)
    await f.client.press(EVERYONE, play=str(clip), precedence="emergency")
    await all_sound(seats.values(), f)
    pushed = await channel(a.client)
    assert (pushed.key, pushed.precedence) == ("waiting", "emergency")
    await e.client.release(EVERYONE)
    await f.client.release(EVERYONE)
    # It was only put off.
    await all_sound(seats.values(), a)
    await a.client.release(EVERYONE)
    for seat in seats.values():
        await eventually(partial(nobody_talks, seat))


async def a_speaker_that_is_killed_frees_it(seats: Seats, clip: Path) -> None:
    a, c = seats["a"], seats["c"]
    await c.client.listen(EVERYONE, on=False)
    await c.client.press(EVERYONE, play=str(clip))
    await all_sound(seats.values(), c)
    waits = await a.client.press(EVERYONE, play=str(clip))
    assert waits.key == "waiting"
    c.village.kill(c.name)
    rest = [seat for seat in seats.values() if seat is not c]
    await all_sound(rest, a)
    await a.client.release(EVERYONE)
    await asyncio.to_thread(c.village.start, c.name)
    await eventually(c.client.status)
    # Who presses listens, and that is kept.
    assert (await channel(c.client)).listening


async def a_sealed_group_is_heard_by_its_members_alone(seats: Seats, clip: Path) -> None:
    """The two are in opposite corners, and whoever passes it on is not told of it."""
    a, f = seats["a"], seats["f"]
    made = await a.client.make_group("Medics", [f.id])

    async def invited() -> bool:
        return any(group.state == "invited" for group in await f.client.groups())

    await eventually(invited)
    await f.client.accept(made.id)
    await f.client.listen("Medics")
    await a.client.press("Medics", play=str(clip))
    await all_sound([a, f], a, "Medics")
    sealed = await channel(f.client, "Medics")
    assert (sealed.open, sealed.has_key) == (False, True)
    for name in "bcde":
        (only,) = await seats[name].client.channels()
        assert (only.channel, only.speaker) == (EVERYONE, None)
    await a.client.release("Medics")
    await eventually(partial(nobody_talks, f, "Medics"))


@needs_speech
async def test_two_on_a_cable_talk_without_a_helper_also_where_much_is_lost(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    clip = at_48_khz(SHORT, tmp_path / "clip.wav")
    lose_sound(a, LOSS_PCT)
    for speaker, listener, least in ((a, b, 3.5), (b, a, 3.0)):
        record = tmp_path / f"{listener.name}.wav"
        await listener.client.listen(EVERYONE, record=str(record))
        await speaker.client.press(EVERYONE, play=str(clip))
        await all_sound(two, speaker)
        await asyncio.sleep(SPEECH_S)
        await speaker.client.release(EVERYONE)
        await eventually(partial(nobody_talks, listener))
        said = what_was_said(record, tmp_path / f"{listener.name}-said.wav")
        assert quality(SHORT, said) > least
        assert (lost_sound(listener) > 10) is (listener is a)
        # What was said is there to be heard again.
        await listener.client.replay(EVERYONE)
        await eventually(partial(plays, listener))
        await listener.client.replay(EVERYONE, on=False)


async def test_a_voice_process_that_is_killed_goes_on_in_the_middle_of_a_spurt(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    tone = tone_file(tmp_path / "tone.wav", 60.0)
    await b.client.listen(EVERYONE, record=str(tmp_path / "b.wav"))
    await a.client.press(EVERYONE, play=tone)
    await eventually(partial(is_loud, b))
    for killed in two:
        pid = voice_of(killed)
        killed.village.exec(killed.name, ["kill", "-9", pid], check=True)
        await eventually(partial(has_another_voice, killed, pid))
        await asyncio.sleep(FIGURES_S)
        await eventually(partial(is_loud, b))
    said = await channel(a.client)
    assert (said.key, said.detail) == ("speaking", "")


def voice_of(seat: Seat) -> str:
    """Process id of the daemon's child that is the voice process, inside the village."""
    children = f"cat /proc/{pid_of(seat)}/task/{pid_of(seat)}/children"
    return seat.village.exec(seat.name, ["sh", "-c", children], check=True).stdout.strip()


async def has_another_voice(seat: Seat, before: str) -> bool:
    status = await seat.client.status()
    return status.media.running and voice_of(seat) not in {"", before}


async def is_loud(seat: Seat) -> bool:
    level = (await channel(seat.client)).level_db
    return level is not None and level > -40.0


async def plays(seat: Seat) -> bool:
    return (await channel(seat.client)).replaying
