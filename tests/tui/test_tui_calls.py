"""What the operator sees of calls: broken ones, bad ones, missed ones, and what is offered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_client import DISK_FULL, FakeClient
from fake_history import as_daemon
from screen import Screen, screen_of
from shapes import at, call, station

from appliance.api.calls import CallDetails
from appliance.api.errors import RequestError
from appliance.api.schema import CallInfo, Link, Problem
from appliance.tui.text import cells

CLINIC = station("clinic", trust="verified")
GATE = station("north-gate")
DETAILS = CallDetails(
    loss_pct=12.0,
    concealed_pct=4.0,
    repaired_pct=8.0,
    delay_ms=65.0,
    jitter_ms=7.0,
    round_trip_ms=None,
    loss_there_pct=3.0,
    late_ms=2.0,
    rejected=0,
    burst_there=2.5,
    sending_kbit_s=31.0,
    frame_ms=60,
    copies=(2, 4),
    bandwidth="wideband",
)


async def talking(screen: Screen, **changes: object) -> CallInfo:
    """Bring the screen into a call with the clinic."""
    await screen.press("down", "f2")
    await screen.sees("clinic   calling...")
    (placed,) = screen.client.all_calls.values()
    shown = {"state": "talking", "talking_s": 60.0, "quality": "good", **changes}
    return screen.client.change_call(replace(placed, **shown))  # type: ignore[arg-type]


async def test_a_broken_call_counts_down_and_goes_on() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        running = await talking(screen)
        client.change_call(replace(running, lost_in_s=12.0))
        await screen.sees("clinic  1:00  CONNECTION LOST, trying again: 12 s")
        screen.clock.now_s += 3
        await screen.sees("trying again: 9 s")
        client.change_call(replace(running, lost_in_s=14.8))  # no session, but it sounds
        await screen.sees("sound: good")
        client.change_call(running)
        await screen.sees("sound: good")
        lost = replace(running, state="ended", end_reason="unreachable", lost_in_s=None)
        client.change_call(lost)
        await screen.sees("-- you called, 1:00: the connection")
        await screen.sees("The connection was lost. Record a voice message for")


async def test_a_bad_call_says_why_and_what_to_do_and_the_figures_on_demand() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        advice = "Speak slowly, or write; move the radio or the antenna if you can."
        running = await talking(
            screen, quality="bad", reason="the link to them", advice=advice, details=DETAILS
        )
        await screen.sees("BAD: the link to them. Speak slowly")
        await screen.press("f2")
        await screen.sees("How this call sounds")
        for words in ("12 % of the packets", "8 % of the sound", "4 % of the sound", "not known"):
            assert words in screen.text
        for words in ("3 %, 2.5 in a row", "31 kbit/s, 60 ms a packet, 2 copies, wideband"):
            assert words in screen.text
        client.change_call(replace(running, problems=(DISK_FULL,)))
        await screen.sees("Sound            trouble: it stands above")
        await screen.press("escape")
        await screen.sees_no("How this call sounds")
        silent = Problem("no-sound-arriving", "No sound arrives.", "Keep holding.")
        client.change_call(replace(running, problems=(DISK_FULL, DISK_FULL, silent)))
        await screen.sees("No sound arrives. Keep holding.")


async def test_a_call_that_is_not_encrypted_says_so() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        running = await talking(screen)
        assert "NOT ENCRYPTED" not in screen.text
        client.change_call(replace(running, encrypted=False, digits="482917"))
        await screen.sees("NOT ENCRYPTED   Others can listen to this call.")
        assert "Compare aloud to be sure who it is:" in screen.text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("no-answer", "Nobody answered."),
        ("busy", "They are in another call."),
        ("they-declined", "They can't talk now."),
    ],
)
async def test_a_call_in_vain_offers_a_voice_message(reason: str, words: str) -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        await screen.press("down", "f2")
        await screen.sees("clinic   calling...")
        await screen.press("down")
        (placed,) = client.all_calls.values()
        client.change_call(replace(placed, state="ended", end_reason=reason))
        await screen.sees(words)
        assert not client.recorded
        await screen.press("enter")
        await screen.until(lambda: client.recorded, "the recording")
        assert screen.app.state.selected == CLINIC.id


async def test_no_to_a_voice_message_and_typing_on_are_no_recording() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        for keys, left in ((["escape"], ""), (["2"], ""), (["h", "i"], "hi")):
            await screen.press("down", "f2")
            await screen.sees("clinic   calling...")
            placed = list(client.all_calls.values())[-1]
            client.change_call(replace(placed, state="ended", end_reason="no-answer"))
            await screen.sees("Record a voice message")
            await screen.press(*keys)
            await screen.sees_no("Record a voice message")
            assert screen.app.drafts.editor.text == left
        assert not client.recorded


async def test_an_offer_takes_no_key_of_who_is_typing() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down", "f2")
        await screen.sees("clinic   calling...")
        await screen.type("wait 1")
        (placed,) = client.all_calls.values()
        client.change_call(replace(placed, state="ended", end_reason="no-answer"))
        await screen.sees("Record a voice message")
        await screen.pilot.press("1", "2")
        screen.clock.now_s += 0.5
        await screen.pilot.press("1")
        screen.clock.now_s += 0.5
        await screen.pilot.press("2", "enter")
        assert screen.app.drafts.editor.text == ""
        assert client.stored[-1].text == "wait 11212"
        assert not client.recorded


async def test_nothing_is_offered_where_nobody_is_there() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down", "f2")
        await screen.sees("clinic   calling...")
        screen.clock.now_s += 600
        (placed,) = client.all_calls.values()
        client.change_call(replace(placed, state="ended", end_reason="no-answer"))
        await screen.sees("you called: no answer")
        assert "Record a voice message" not in screen.text


async def test_a_thin_link_offers_a_voice_message_before_it_rings() -> None:
    thin = replace(CLINIC, link="radio0")
    client = FakeClient(thin)
    client.interfaces = (Link("radio0", True, (), (), rate_kbit=9),)
    async with screen_of(client) as screen:
        await screen.press("down", "f2")
        await screen.sees("takes 9 kbit/s")
        assert not client.all_calls
        await screen.press("1")
        await screen.until(lambda: client.recorded, "the recording")
        await screen.press("escape", "f2", "2")
        await screen.until(lambda: client.all_calls, "the call")


async def test_another_screen_answers_or_declines() -> None:
    client = FakeClient(GATE)
    async with screen_of(client) as screen:
        ringing = client.ring(GATE)
        await screen.sees("IS CALLING")
        client.change_call(replace(ringing, state="talking", talking_s=0.0))
        await screen.sees("was answered on another screen.")
        assert "IS CALLING" not in screen.text
        client.change_call(replace(ringing, state="ended", end_reason="they-hung-up"))
        ringing = client.ring(GATE)
        await screen.sees("IS CALLING")
        client.change_call(replace(ringing, state="ended", end_reason="declined"))
        await screen.sees("was declined on another screen.")


async def test_this_screen_does_not_say_that_another_one_did_it() -> None:
    client = FakeClient(GATE)
    async with screen_of(client) as screen:
        client.ring(GATE)
        await screen.sees("IS CALLING")
        await screen.press("enter")
        await screen.sees("north-gate?·k7qd  0:00")
        assert "another screen" not in screen.text


def recorded(number: int, **changes: object) -> CallInfo:
    base = call(CLINIC, "ended", id=f"r{number}", number=number, started_at=at(-number))
    return as_daemon(replace(base, **changes))  # type: ignore[arg-type]


async def test_the_record_of_calls() -> None:
    client = FakeClient(CLINIC, GATE, missed_calls=1)
    client.past = [
        recorded(120, station=GATE.id, name="north-gate", end_reason="no-answer"),
        recorded(119, outgoing=True, end_reason="busy"),
        *(
            recorded(number, end_reason="they-hung-up", talking_s=75.0, quality="fair")
            for number in range(118, 0, -1)
        ),
    ]
    async with screen_of(client) as screen:
        await screen.sees("1 missed call")
        await screen.press("f12")
        await screen.sees("NEW Tue 3 Nov")
        assert "<- north-gate?·k7qd" in screen.text
        assert "missed" in screen.text
        assert "-> clinic              they are in another call" in screen.text
        assert "1:15 sound fair, they hung up" in screen.text
        await screen.until(lambda: client.seen == [(120, None)], "that they were seen")
        client.own = replace(client.own, missed_calls=0)
        client.tell("status", client.own)
        await screen.press(*["pagedown"] * 8)
        await screen.press(*["pagedown"] * 8)
        await screen.press("enter")
        await screen.sees_no("1 missed call")
        assert screen.app.state.selected == CLINIC.id
        await screen.press("escape", "9", "7", "f2")
        await screen.until(lambda: client.all_calls, "the call")
        assert client.all_calls["c1"].station == GATE.id


async def test_calls_of_before_stand_in_their_conversations_and_are_seen_there() -> None:
    client = FakeClient(CLINIC, missed_calls=1)
    client.past = [recorded(7, end_reason="cancelled")]
    async with screen_of(client) as screen:
        await screen.sees("1 missed call")
        assert not client.seen
        await screen.press("down")
        await screen.sees("-- missed call --")
        await screen.until(lambda: client.seen, "that it was seen")
        assert client.seen[0][1] == CLINIC.id


async def test_a_call_that_the_way_can_not_carry_offers_a_voice_message() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        running = await talking(screen)
        client.change_call(replace(running, too_thin=True))
        await screen.sees("The link is too thin for this call")
        await screen.press("escape")
        client.change_call(replace(running, too_thin=True, talking_s=61.0))
        await screen.sees("1:01")
        assert "too thin" not in screen.text  # it asks once
        client.change_call(replace(running, too_thin=False))
        client.change_call(replace(running, too_thin=True))
        await screen.sees("Little of what is said arrives.")
        assert not client.recorded
        await screen.press("1")
        await screen.until(lambda: client.recorded, "the recording")
        assert client.all_calls["c1"].end_reason == "hung-up"


async def test_a_way_that_the_other_end_knows_to_be_thin_offers_one_at_once() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        running = await talking(screen, limit_kbit=40)
        assert "too thin" not in screen.text
        client.change_call(replace(running, limit_kbit=16))
        await screen.sees("The way to them takes 16 kbit/s, and a call needs 24.")
        client.change_call(replace(running, limit_kbit=16, too_thin=True))  # it has asked
        await screen.press("escape")
        client.change_call(replace(running, limit_kbit=16, too_thin=True, talking_s=61.0))
        await screen.sees("1:01")
        assert "too thin" not in screen.text


async def test_an_offer_goes_with_its_call() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        running = await talking(screen)
        client.change_call(replace(running, too_thin=True))
        await screen.sees("The link is too thin for this call")
        client.change_call(replace(running, state="ended", end_reason="they-hung-up"))
        await screen.sees_no("The link is too thin for this call")


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (200, 60)])
async def test_the_record_fits_every_screen(size: tuple[int, int]) -> None:
    far = station("診療所北門診療所北門診療所北門診療所", "j333")
    client = FakeClient(far)
    client.past = [
        recorded(number, station=far.id, name=far.name, end_reason="they-hung-up", talking_s=9.0)
        for number in (3, 2, 1)
    ]
    async with screen_of(client, size) as screen:
        await screen.press("f12")
        await screen.sees("診療所")
        lines = screen.text.splitlines()
        assert all(cells(line) <= size[0] for line in lines)
        assert sum(line.rstrip().endswith("│") for line in lines) >= 3


async def test_a_record_that_can_not_be_read_keeps_nobody_from_the_screen() -> None:
    client = FakeClient(CLINIC)
    client.record_trouble = RequestError(507, "disk-error", "The disk can't be read.", "")
    async with screen_of(client) as screen:
        await screen.sees("clinic")
        await screen.press("f12")
        await screen.sees("The disk can't be read.")
        await screen.sees("They can't be looked up now.")
