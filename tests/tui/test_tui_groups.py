"""Groups on the screen."""

from __future__ import annotations

from dataclasses import replace

from fake_client import FakeClient
from fake_groups import a_group
from screen import screen_of
from shapes import ME, message, station

CLINIC = station("clinic", "c111", trust="verified")
GATE = station("north-gate", "k7qd")
SCHOOL = station("school", "s222", reach="away")
MEDICS = a_group("Medics", CLINIC.id, GATE.id)


async def test_a_group_is_made_and_written_to() -> None:
    client = FakeClient(CLINIC, GATE, SCHOOL)
    async with screen_of(client) as screen:
        await screen.press("escape", "8", "1")
        await screen.type("Medics")
        await screen.press("enter")
        await screen.sees("make it: 0 chosen")
        await screen.press("enter")
        await screen.sees("[x] clinic")
        await screen.type("scho")
        await screen.sees_no("clinic ")
        await screen.press("enter")
        await screen.sees("make it: 2 chosen")
        await screen.press("up", "enter")
        await screen.sees("Medics is made.")
        await screen.sees(">Medics (group)       3 in")
        (made,) = client.all_groups.values()
        assert [one.id for one in made.members] == [ME, CLINIC.id, SCHOOL.id]
        await screen.type("Where are you?")
        await screen.press("enter")
        await screen.sees("you: Where are you?")
        assert client.stored[0].conversation == made.id


async def test_an_invitation_is_answered_and_not_by_a_slip() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        client.put_group(a_group("Medics", GATE.id, state="invited", invited_by=GATE.id))
        await screen.sees("Medics (group)       INVITED")
        await screen.press("down")
        await screen.sees("You are invited to this group.")
        await screen.press("f2")
        await screen.sees("north-gate?·k7qd invites you. 2 members.")
        await screen.press("enter")
        assert client.asked == []
        await screen.press("f2", "2")
        await screen.sees("You are in.")
        assert client.asked == [("accept", MEDICS.id)]
        other = a_group("Medics", id="g1".ljust(57, "e"), tag="1eee", state="invited")
        client.put_group(other)
        await screen.sees("Medics·1eee (group)")  # names may be the same
        await screen.press("down", "f2", "3")
        await screen.sees("The invitation is declined.")
        assert client.asked[-1] == ("decline", other.id)


async def test_members_come_go_and_are_looked_at() -> None:
    client = FakeClient(CLINIC, GATE, SCHOOL)
    client.all_groups[MEDICS.id] = MEDICS
    async with screen_of(client) as screen:
        await screen.press("down", "f2")
        await screen.sees("3 members. You may change it.")
        await screen.press("1")
        await screen.sees("you  (may change the group)")
        await screen.press("2", "3")
        await screen.sees("They are out")
        await screen.sees("Medics (group)       2 in")
        await screen.press("f2", "2")
        await screen.sees("[ ] clinic")
        assert "[ ] north-gate" not in screen.text
        await screen.press("down", "enter", "up", "up", "enter")
        await screen.sees("They are in.")
        await screen.press("f2", "4")
        await screen.sees("New members get older messages too.")
        await screen.press("f2", "1", "2", "2")
        await screen.sees("They may now bring others in")
        await screen.press("f2", "3")
        await screen.type(" North")
        await screen.press("enter")
        await screen.sees("Medics North (group)")
        await screen.press("f2", "5", "enter")
        assert client.asked[-1][0] == "rename"
        await screen.press("f2", "5", "2")
        await screen.sees("You have left")
        assert [what for what, _ in client.asked] == [
            "remove",
            "invite",
            "history",
            "admin",
            "rename",
            "leave",
        ]


async def test_what_happens_in_a_group_is_told_apart_from_what_is_said() -> None:
    client = FakeClient(CLINIC, GATE)
    client.all_groups[MEDICS.id] = MEDICS
    where = MEDICS.id
    client.stored = [
        message(GATE, "north-gate removed school", 1, conversation=where, notice=True),
        message(GATE, "We are three.", 2, conversation=where, unread=True),
        message(None, "Copy.", 3, conversation=where, outgoing=True, delivered_to=1),
        message(None, "Go.", 4, conversation=where, outgoing=True, delivered_to=2, state="read"),
    ]
    client.arrive(message(GATE, "Hello", 5, conversation=where, unread=True))
    async with screen_of(client) as screen:
        await screen.sees("*2 3 in")
        await screen.press("down")
        await screen.sees("-- north-gate removed school")
        await screen.sees("north-gate?·k7qd: We are three.")
        await screen.sees("read by all")
        await screen.until(lambda: client.read_up_to == [(where, 5)], "it was read")
        await screen.sees_no("*2")
        await screen.press("f9")
        await screen.sees("Choose one station")


async def test_what_came_to_some_of_a_group_and_was_given_up_says_both() -> None:
    client = FakeClient(CLINIC, GATE)
    client.put_group(MEDICS)
    sent = message(CLINIC, "To all of you", 1, outgoing=True, state="queued")
    sent = replace(sent, conversation=MEDICS.id)
    client.stored = [sent]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("waiting")
        client.tell("message", replace(sent, state="expired", delivered_to=1))
        await screen.sees("EXPIRED: delivered to 1, not to all")
        await screen.sees("! Not delivered in time to all of Medics (group): To all of you.")
