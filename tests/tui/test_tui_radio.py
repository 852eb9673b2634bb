"""Talk groups on the screen: who is on the air, the key, what is open."""

from __future__ import annotations

from dataclasses import replace

from fake_client import FakeClient
from fake_groups import a_group
from fake_talk import a_channel
from screen import screen_of
from shapes import ME, station

from appliance.tui.radio import CHOOSE, OPEN

CLINIC = station("clinic", "c111", trust="verified")
GATE = station("north-gate", "k7qd")
MEDICS = a_group("Medics", CLINIC.id, GATE.id)


def a_client() -> FakeClient:
    client = FakeClient(CLINIC, GATE)
    client.all_groups[MEDICS.id] = MEDICS
    client.air[MEDICS.id] = a_channel(MEDICS.id, "Medics")
    return client


async def test_it_is_seen_who_is_on_the_air() -> None:
    client = a_client()
    async with screen_of(client) as screen:
        assert "On the air" not in screen.text
        talks = a_channel(
            MEDICS.id, "Medics", speaker=CLINIC.id, speaker_name="clinic", talking_s=12.0,
            level_db=-20.0,
        )  # fmt: skip
        client.on_air(talks)
        await screen.sees("clinic talks")
        assert "On the air" in screen.text
        assert "Medics" in screen.text
        assert "0:12" in screen.text
        assert "###" in screen.text
        client.on_air(a_channel(speaker=GATE.id, speaker_name="north-gate", precedence="emergency"))
        await screen.sees("EMERGENCY Everyone")
        text = screen.text
        assert text.index("EMERGENCY Everyone") < text.index("clinic talks")
        client.on_air(a_channel())
        client.on_air(replace(talks, speaker=None, speaker_name="", talking_s=None))
        await screen.sees("quiet; it was clinic")
        await screen.sees_no("EMERGENCY")
        screen.clock.now_s += 61.0
        await screen.sees_no("On the air")


async def test_the_key_is_pressed_and_let_go() -> None:
    client = a_client()
    async with screen_of(client) as screen:
        await screen.sees("F3 talk")
        await screen.press("f3")
        await screen.sees("YOU TALK, 1:00 left")
        await screen.sees(OPEN[:60])
        await screen.sees("F3 STOP TALKING")
        screen.clock.now_s += 20.0
        await screen.sees("YOU TALK, 0:40 left")
        await screen.type("meanwhile")
        await screen.sees("meanwhile")
        await screen.press("down", "f3")
        await screen.sees_no("YOU TALK")
        assert client.keyed == [("press", "everyone", "routine"), ("release", "everyone")]
        await screen.press("f3")
        await screen.sees("YOU TALK")
        assert client.keyed[-1] == ("press", MEDICS.id, "routine")
        await screen.press("f3", "down", "f3")
        await screen.sees(CHOOSE)
        assert "F3" not in screen.text.splitlines()[-1]
        assert len(client.keyed) == 4


async def test_somebody_else_talks_and_it_can_not_wait() -> None:
    client = a_client()
    async with screen_of(client) as screen:
        client.on_air(a_channel(speaker=GATE.id, speaker_name="north-gate", talking_s=1.0))
        await screen.sees("talks")
        await screen.press("f3")
        await screen.sees("WAIT, north-gate")
        await screen.press("escape", "7")
        await screen.sees("Open: anybody can hear it")
        await screen.press("2")
        await screen.sees("PRIORITY Everyone")
        await screen.sees("YOU TALK")
        assert client.keyed[-1] == ("press", "everyone", "priority")
        over = a_channel(key="over", detail="60 seconds are over.  Let go and press again.")
        client.on_air(over)
        await screen.sees("STOPPED. F3: let go")
        await screen.sees("Nobody hears you now. 60 seconds are over.")
        await screen.press("f3")
        await screen.sees_no("STOPPED")


async def test_it_is_heard_again_and_turned_off_by_digits_alone() -> None:
    client = a_client()
    async with screen_of(client) as screen:
        await screen.press("down", "escape", "7")
        await screen.sees("Sealed: only members")
        await screen.press("4")
        await screen.sees("hear it again")
        await screen.press("escape", "7", "4")
        await screen.sees_no("hear it again")
        await screen.press("escape", "7", "5")
        await screen.sees("You do not hear what is said to Medics.")
        assert client.keyed == [
            ("replay", MEDICS.id, "True"),
            ("replay", MEDICS.id, "False"),
            ("listen", MEDICS.id, "False"),
        ]


async def test_nobody_goes_on_speaking_without_a_screen() -> None:
    client = a_client()
    async with screen_of(client) as screen:
        await screen.press("f3")
        await screen.sees("YOU TALK")
    assert client.keyed[-1] == ("release", "everyone")
    assert client.air["everyone"].speaker != ME
