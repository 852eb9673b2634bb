"""What the operator sees of a conference, and how somebody joins it."""

from __future__ import annotations

from dataclasses import replace

from fake_client import FakeClient
from screen import screen_of
from shapes import station

from appliance.api.conferences import ConferenceInfo, ConferenceMember
from appliance.tui.conference_panel import MAX_ROWS, conference_rows

CLINIC = station("clinic", trust="verified")
GATE = station("north-gate", trust="verified")


async def test_a_key_adds_whoever_is_chosen_and_the_panel_says_who_is_in() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        await screen.press("f5")
        await screen.sees("Call somebody first; then F5")
        await screen.press("down", "f2")
        await screen.sees("calling...")
        (placed,) = client.all_calls.values()
        client.change_call(replace(placed, state="talking", talking_s=1.0, quality="good"))
        await screen.sees("sound: good")
        await screen.press("f5")
        await screen.sees("choose somebody who is not in the call")
        await screen.press("down")
        await screen.sees("F5 add them")
        await screen.press("f5")
        await screen.sees("north-gate is called, and joins by answering.")
        await screen.sees("Together:")
        await screen.sees("calling...")
        (running,) = client.all_calls.values()
        room = running.conference
        assert room is not None
        members = tuple(replace(one, state="in", talking=True) for one in room.members)
        room = replace(room, focus=CLINIC.id, members=members)
        client.change_call(replace(running, conference=room))
        await screen.sees("Together through clinic: clinic TALKS, north-gate TALKS")
        client.change_call(replace(running, conference=replace(room, searching=True)))
        await screen.sees("another one takes over")


async def test_among_several_the_digits_are_those_of_one_and_a_lost_station_is_replaced() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        await screen.press("down", "f2")
        await screen.sees("calling...")
        await screen.press("f5")
        await screen.sees("Wait until they answer; then F5")
        (placed,) = client.all_calls.values()
        talking = replace(placed, state="talking", talking_s=1.0, digits="482917")
        client.change_call(talking)
        await screen.sees("Compare aloud to be sure who it is")
        us = screen.app.state.status
        assert us is not None
        names = {CLINIC.id: "clinic", GATE.id: "north-gate", us.id: "us"}
        members = tuple(ConferenceMember(key, name, "in", False) for key, name in names.items())
        room = ConferenceInfo("ab" * 16, us.id, members, searching=False)
        client.change_call(replace(talking, conference=room))
        await screen.sees("Together through this station: clinic, north-gate, you")
        await screen.sees("Compare aloud with clinic:")
        client.change_call(replace(talking, conference=room, lost_in_s=12.0))
        await screen.sees("CONNECTION LOST, another takes over")


async def test_sixteen_fit_on_the_smallest_screen() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down", "f2")
        await screen.sees("calling...")
        (placed,) = client.all_calls.values()
        members = tuple(
            ConferenceMember(f"{number:056d}", "x" * 40, "in", False) for number in range(16)
        )
        room = ConferenceInfo("ab" * 16, CLINIC.id, members, searching=True)
        call = replace(placed, state="talking", conference=room)
        rows = conference_rows(screen.app.state, call, 80)
        assert len(rows) == MAX_ROWS + 1
        assert all(sum(len(text) for text, _ in row) <= 80 for row in rows)
        client.change_call(call)
        await screen.sees("16 are in it")
