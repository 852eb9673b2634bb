"""What counts as seen was seen; what was written or came is not lost on the way to the screen."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fake_client import FakeClient
from screen import Screen, screen_of
from shapes import emergency, message, station

from appliance.api.schema import EVERYONE, Message, MessagePage, Recipient
from appliance.tui.actions import MessageCame
from appliance.tui.letters import Enclosure, Letter
from appliance.tui.screens.message import MessagePage as MessageDialog

CLINIC = station("clinic", "c111", trust="verified")
GATE = station("north-gate", "k7qd")


# Read is what was seen


def _late(order: int, text: str = "from over the hill") -> Message:
    return message(CLINIC, text, order, id=f"{order:063x}f", unread=True)


async def test_what_came_late_is_not_read_before_it_was_in_sight() -> None:
    client = FakeClient(CLINIC, GATE)
    client.stored = [message(CLINIC, f"number {n}.", n) for n in range(1, 401)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("number 400.")
        client.arrive(_late(20))
        await screen.sees("*1")
        client.arrive(message(CLINIC, "number 401.", 401, unread=True))
        await screen.sees("number 401.")
        await screen.sees("unread further up: Home")
        assert client.read_up_to == []
        await screen.press("home")
        await screen.sees("from over the hill")
        await screen.until(lambda: client.read_up_to == [(CLINIC.id, 20)], "it is read now")
        await screen.press("end")
        await screen.sees("number 401.")
        await screen.until(lambda: client.read_up_to[-1] == (CLINIC.id, 401), "all is read")
        await screen.sees_no("unread further up")


async def test_what_was_read_elsewhere_meanwhile_does_not_hold_back() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, f"number {n}.", n) for n in range(1, 401)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("number 400.")
        client.arrive(_late(20))
        await screen.sees("unread further up: Home")
        client.die()
        await screen.sees("NOT CONNECTED")
        client.stored = [replace(one, unread=False) for one in client.stored]
        client._count_unread()
        client.alive = True
        await screen.sees_no("NOT CONNECTED")
        await screen.sees_no("unread further up")
        client.arrive(message(CLINIC, "number 401.", 401, unread=True))
        await screen.sees("number 401.")
        await screen.until(lambda: client.read_up_to == [(CLINIC.id, 401)], "it is read")


async def test_a_conversation_opens_at_what_came_late() -> None:
    client = FakeClient(CLINIC, GATE)
    client.stored = [message(CLINIC, f"number {n}.", n) for n in range(1, 1_401)]
    client.arrive(_late(20))
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("from over the hill")
        await screen.until(lambda: client.read_up_to == [(CLINIC.id, 20)], "it is read now")
        await screen.press("end")
        await screen.sees("number 1400.")
        client.arrive(_late(30, "another one"))
        await screen.sees("unread further up: Home")
        await screen.press("down", "up")  # without Home: whoever comes back begins there
        await screen.sees("another one")


async def test_of_one_order_all_are_seen_before_it_is_read() -> None:
    client = FakeClient(CLINIC)
    client.stored = [
        message(CLINIC, f"line {n}", 7, id=f"{n:064x}", unread=True) for n in range(1, 41)
    ]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("line 1 ")
        pane = screen.app.main.conversation
        for _ in range(2):
            await screen.until(
                lambda: set(pane.sight.whole) <= pane._scroller.looked_at, "somebody looks"
            )
            assert client.read_up_to == []
            await screen.press("pagedown")
        await screen.until(lambda: client.read_up_to == [(CLINIC.id, 7)], "all were in sight")
        client.arrive(message(CLINIC, "line 41", 7, id=f"{41:064x}", unread=True))
        await screen.until(lambda: len(client.read_up_to) == 2, "the same order once more")


# What comes while something else is fetched


class _SlowClient(FakeClient):
    """Answers with what there was when it was asked, once `ready` is set."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # stations
        self.ready: asyncio.Event | None = None
        self.waiting = 0

    async def messages(self, *args: object, **options: object) -> MessagePage:
        page = await super().messages(*args, **options)  # type: ignore[arg-type]
        if self.ready is not None and args:
            self.waiting += 1
            await self.ready.wait()
        return page


async def _meanwhile(screen: Screen, client: _SlowClient, new: Message) -> None:
    """Let a message come in after the daemon has made its answer, and before that is here."""
    await screen.until(lambda: client.waiting, "the daemon is asked")
    told: list[Message] = []
    take = screen.app.dispatch

    def dispatch(action: object) -> None:
        take(action)  # type: ignore[arg-type]  # what it takes itself
        if isinstance(action, MessageCame):
            told.append(action.message)

    screen.app.follower._dispatch = dispatch
    client.arrive(new)
    await screen.until(lambda: told, "the message was told")
    assert client.ready is not None
    client.ready.set()
    client.ready = None


async def test_what_comes_while_a_conversation_is_opened_is_shown() -> None:
    client = _SlowClient(CLINIC)
    client.stored = [message(CLINIC, "before", 1)]
    async with screen_of(client) as screen:
        client.ready = asyncio.Event()
        await screen.press("down")
        await _meanwhile(screen, client, message(CLINIC, "just now", 2))
        await screen.sees("before")
        await screen.sees("just now")


async def test_what_comes_while_the_reader_moves_is_shown_and_not_passed_over() -> None:
    client = _SlowClient(CLINIC)
    client.stored = [message(CLINIC, f"number {n}.", n) for n in range(1, 601)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("number 600.")
        await screen.press("home")
        await screen.sees("number 1.")
        client.ready = asyncio.Event()
        await screen.press("end")
        await _meanwhile(screen, client, message(CLINIC, "number 601.", 601, unread=True))
        await screen.sees("number 601.")
        await screen.until(lambda: client.read_up_to == [(CLINIC.id, 601)], "it is read")


class _SlowToCount(_SlowClient):
    """Is slow only where it is asked for the messages of all conversations."""

    async def messages(self, *args: object, **options: object) -> MessagePage:
        page = await FakeClient.messages(self, *args, **options)  # type: ignore[arg-type]
        if self.ready is not None and not args:
            self.waiting += 1
            await self.ready.wait()
        return page


async def test_what_arrives_while_it_is_counted_does_not_count_as_waiting() -> None:
    client = _SlowToCount(CLINIC)
    client.ready = asyncio.Event()
    client.stored = [
        message(CLINIC, "Bring water", 1, outgoing=True, state="queued"),
        message(CLINIC, "Bring food", 2, outgoing=True, state="queued"),
    ]
    async with screen_of(client) as screen:
        await _meanwhile(screen, client, replace(client.stored[0], state="delivered"))
        await screen.sees("1 not delivered")


async def test_an_old_emergency_is_found_behind_what_was_read() -> None:
    client = FakeClient(CLINIC, GATE)
    client.stored = [emergency(GATE, 1, "The dam breaks!")]
    client.stored += [message(CLINIC, "chatter", order) for order in range(2, 1_202)]
    client._count_unread()
    async with screen_of(client) as screen:
        await screen.sees("EMERGENCY from north-gate?·k7qd: The dam breaks!")


# Texts that were begun


async def test_a_text_that_was_begun_is_not_lost_to_what_is_typed_before_it_is_here() -> None:
    client = FakeClient(CLINIC)
    client.drafts = {EVERYONE: "what I began yesterday"}
    client.alive = False
    async with screen_of(client) as screen:
        await screen.sees("Not connected")
        await screen.type("more")
        client.alive = True
        await screen.sees("clinic")
        await screen.until(
            lambda: client.drafts[EVERYONE] == "what I began yesterday\nmore", "both are kept"
        )
        assert screen.app.drafts.editor.text == "what I began yesterday\nmore"


async def test_an_answer_to_a_call_leaves_the_text_that_was_begun() -> None:
    client = FakeClient(GATE)
    client.drafts = {GATE.id: "what I began yesterday"}
    async with screen_of(client) as screen:
        client.ring(GATE)
        await screen.sees("IS CALLING")
        await screen.press("3", "2")
        await screen.until(lambda: client.stored, "the message")
        await screen.app.drafts.flush(client)
        assert client.drafts == {GATE.id: "what I began yesterday"}


async def test_what_is_added_while_a_message_fails_to_go_stays_too() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        first, second = Enclosure("u1", "map.png", 9), Enclosure("u2", "plan.txt", 4)
        writer = screen.app.writer
        writer.put(Letter("priority", None, (first,)))
        letter = writer._letters.take(EVERYONE)
        writer.enclose(second)
        client.alive = False
        await screen.app.operator._send(EVERYONE, "with a map", letter, writer._letters)
        assert writer.letter == Letter("priority", None, (first, second))


async def test_what_is_pasted_while_reading_is_written() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, "hello", 1)]
    async with screen_of(client) as screen:
        await screen.press("down", "enter")
        screen.app.main.dialogs[-1].pasted("grid 4711")
        assert screen.app.drafts.editor.text == "grid 4711"


# What did not arrive


async def test_what_was_given_up_counts_as_not_delivered_until_somebody_has_seen_it() -> None:
    client = FakeClient(CLINIC, GATE)
    client.stored = [message(CLINIC, "Bring water", 1, outgoing=True, state="relayed")]
    async with screen_of(client) as screen:
        await screen.sees("1 not delivered")
        client.stored[0] = replace(client.stored[0], state="expired")
        client.tell("message", client.stored[0])
        await screen.sees("! Not delivered in time to clinic")
        screen.clock.now_s += 3_600
        screen.app.tick()
        await screen.sees_no("! Not delivered in time")
        assert "1 not delivered" in screen.text
        assert "+1 here" in screen.text
        client.die()
        await screen.sees("NOT CONNECTED")
        client.alive = True
        await screen.sees_no("NOT CONNECTED")
        assert "1 not delivered" in screen.text
        await screen.press("down")
        await screen.sees("EXPIRED: not delivered")
        await screen.sees_no("1 not delivered")


async def test_how_far_a_message_came_goes_on_while_somebody_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("appliance.tui.screens.message.LOOK_AGAIN_S", 0.01)
    client = FakeClient(CLINIC)
    sent = message(CLINIC, "Bring water", 1, outgoing=True, state="queued")
    client.stored = [sent]
    client.how_far = [Recipient(CLINIC.id, "queued", None)]
    async with screen_of(client) as screen:
        await screen.press("down", "enter", "enter")
        await screen.sees("1 waiting")
        client.how_far = [Recipient(CLINIC.id, "read", None)]
        client.stored = [replace(sent, state="read")]
        client.tell("message", client.stored[0])
        await screen.sees("1 read")
        assert screen.app.main.find_dialog(MessageDialog) is not None
        assert "waiting" not in screen.text
