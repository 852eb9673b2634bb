"""Push to talk on the screen: in a call, and what becomes of the key elsewhere."""

from __future__ import annotations

from dataclasses import replace

from fake_client import FakeClient
from screen import Screen, screen_of
from shapes import station

from appliance.api.schema import CallInfo

CLINIC = station("clinic", trust="verified")


async def talking(screen: Screen) -> CallInfo:
    await screen.press("down", "f2")
    await screen.sees("clinic   calling...")
    (placed,) = screen.client.all_calls.values()
    return screen.client.change_call(replace(placed, state="talking", talking_s=60.0))


async def test_f3_begins_and_ends_talking_in_a_call_with_push_to_talk() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        running = await talking(screen)
        await screen.press("escape")
        await screen.sees("Push to talk")
        await screen.press("3")
        await screen.sees("you are heard only while F3 is on, 60 seconds at a time")
        await screen.sees("F3: talk")
        await screen.press("f3")
        await screen.sees("ON AIR 60 s")
        await screen.sees("STOP TALKING")
        screen.clock.now_s += 25
        await screen.sees("ON AIR 35 s")
        screen.clock.now_s += 36  # The minute is over, before anybody has told.
        await screen.sees("F3: talk")
        await screen.press("f3")
        await screen.sees("ON AIR 60 s")
        await screen.press("f3")
        await screen.sees("F3: talk")
        await screen.press("f6")
        await screen.sees("you MUTED")
        await screen.press("f6", "escape", "3")
        await screen.sees("you are heard all the time")
        assert not client.all_calls[running.id].push_to_talk


async def test_what_the_microphone_stands_by_and_a_key_that_is_held_are_chosen() -> None:
    client = FakeClient(CLINIC)
    client.devices = replace(client.devices, talk_keys=("right-ctrl", "f13"))
    async with screen_of(client) as screen:
        await screen.press("f8")
        await screen.sees("Used with:  a loudspeaker: its echo is removed")
        await screen.press("4")
        await screen.sees("Used with:  a handset: the sound stays as it is")
        assert client.devices.handset
        await screen.press("4")
        await screen.sees("a loudspeaker")
        await screen.press("5")
        await screen.sees("right-ctrl")
        await screen.press("2")
        await screen.sees("Talk key:   right-ctrl")
        assert client.devices.talk_key == "right-ctrl"
