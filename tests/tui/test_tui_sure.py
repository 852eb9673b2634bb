"""What counts as seen was seen; what was written or came is not lost on the way to the screen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import cast

import pytest
from fake_client import FakeClient
from rich.console import Console
from screen import Screen, screen_of
from shapes import call, message, station

from appliance.api.errors import NotRunning
from appliance.api.recordings import Playback, StartPlayback
from appliance.api.schema import EVERYONE, Message, MessagePage, Recipient
from appliance.tui import browsing, emergencies, wording
from appliance.tui.actions import MessageCame
from appliance.tui.emergencies import MAX_OPEN, Emergencies
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
    client.stored = [_emergency(GATE, 1, "The dam breaks!")]
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


# Emergencies


def _emergency(author: object, order: int, text: str) -> Message:
    return message(author, text, order, unread=True, precedence="emergency")  # type: ignore[arg-type]


async def test_each_emergency_is_shown_until_it_was_seen() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        client.arrive(_emergency(CLINIC, 1, "The dam breaks!"))
        client.arrive(_emergency(GATE, 2, "Win a prize"))
        await screen.sees("EMERGENCY from clinic: The dam breaks!")
        await screen.sees("F10 or Esc 1: show it   (1 more)")
        await screen.press("f10")
        await screen.until(lambda: client.read_up_to == [(CLINIC.id, 1)], "it was read")
        await screen.sees("EMERGENCY from north-gate?·k7qd: Win a prize")
        client.tell("message", replace(client.stored[1], unread=False))  # read elsewhere
        await screen.sees_no("EMERGENCY from")


async def test_an_emergency_that_was_acknowledged_does_not_come_back() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, "x" * 2_000, 1, unread=True)]
    client._count_unread()
    loud = _emergency(CLINIC, 2, "The dam breaks!")
    async with screen_of(client) as screen:
        client.arrive(loud)
        await screen.sees("EMERGENCY from clinic")
        await screen.press("f10")
        await screen.sees_no("EMERGENCY from clinic")
        client.tell("message", replace(loud, carried_by=1))  # its file comes, say
        await screen.until(
            lambda: screen.app.state.talks[CLINIC.id].messages[-1].carried_by == 1, "the news"
        )
        assert "EMERGENCY from clinic" not in screen.text


def test_invented_stations_bury_no_emergency() -> None:
    known = emergencies.counted(Emergencies(), [_emergency(CLINIC, 1, "true")], {CLINIC.id: CLINIC})
    flood = [_emergency(GATE, order, "false") for order in range(2, 500)]
    stations = {CLINIC.id: CLINIC, GATE.id: GATE}
    for one in flood:
        known = emergencies.counted(known, [one], stations)
    assert len(known.open) == MAX_OPEN
    shown = emergencies.shown(known, stations)
    assert shown is not None
    assert shown.text == "true"


# Voice


async def test_no_microphone_stays_open_unseen() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down", "f7", "4")
        await screen.sees("Recording: speak now.")
        client.arrive(_emergency(CLINIC, 1, "The dam breaks!"))
        await screen.sees("EMERGENCY from clinic")
        await screen.press("f10")
        await screen.until(lambda: client.recorded["r0"].state == "ready", "it is ended")
        await screen.sees("with voice message 0:00")


async def test_what_is_left_before_it_plays_does_not_play() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, "hello", 1)]
    begun = asyncio.Event()
    play: Callable[[StartPlayback], object] = client.play

    async def slowly(start: StartPlayback) -> Playback:
        await begun.wait()
        return await play(start)  # type: ignore[misc, no-any-return]

    client.play = slowly  # type: ignore[method-assign]
    async with screen_of(client) as screen:
        await screen.press("f7", "4")
        await screen.sees("Recording: speak now.")
        await screen.press("enter")
        await screen.sees("are recorded.")
        await screen.press("2", "escape")
        begun.set()
        await screen.until(lambda: client.played and client.played.state == "over", "it stopped")


# What others named


async def test_names_of_others_steer_nothing_in_files_and_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    evil = tmp_path / "\x1b[31mred\udcff\u202e"
    evil.mkdir()
    (evil / "x").write_text("x")
    client = FakeClient(CLINIC)
    stranger = station("\x1b[31mclinic\u202e" + "n" * 100, "e111")
    async with screen_of(client) as screen:
        await screen.press("f7", "3")
        await screen.sees("A drive that is plugged in")
        await screen.press("enter")
        await screen.sees(">?[31mred?/")
        await screen.press("enter")
        await screen.sees(">x")
        _fits(screen)
        await screen.press("escape")
        client.change_call(call(stranger, "talking", talking_s=1.0))
        await screen.sees("?·e111")
        _fits(screen)


def _fits(screen: Screen) -> None:
    text = screen.text
    text.encode()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert {row.cell_length for row in screen.app.main.canvas.rows} == {80}


async def test_a_home_that_nobody_has_is_no_file(tmp_path: Path) -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("f7", "3")
        await screen.sees("Choose a file")
        await screen.type("~nobody.of.this.name/x")
        await screen.press("enter")
        await screen.sees("There is no such file.")


async def test_a_file_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "plan.txt").write_text("plan")
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("f7", "3")
        await screen.sees("Choose a file")
        screen.app.main.dialogs[-1].pasted(str(tmp_path / "plan.txt"))
        dialog = screen.app.main.dialogs[-1]
        dialog.on_key_pressed("enter", None)
        dialog.on_key_pressed("enter", None)
        await screen.sees("with plan.txt 4 B")
        await screen.until(lambda: not screen.app.writer._reading[EVERYONE], "all is read")
        assert len(screen.app.writer.letter.enclosed) == 1


def test_pipes_are_no_files(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    assert [one.path.name for one in browsing.listing(tmp_path)] == ["file"]


async def test_a_verified_station_named_you_is_not_taken_for_us() -> None:
    other = station("you", "y111", trust="verified")
    client = FakeClient(other)
    client.stored = [message(other, "I have decided.", 1)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("you·y111: I have decided.")
    assert wording.suffix(other) == "·y111"


# What breaks


async def test_what_breaks_leaves_no_message_in_the_journal() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        text = "-".join("patient")
        try:
            raise NotRunning("It broke.", text[:0])
        except NotRunning:
            screen.app._fatal_error()
        console = Console(width=200, file=StringIO())
        for one in screen.app._exit_renderables:
            console.print(one)
        said = cast("StringIO", console.file).getvalue()
        screen.app._exit_renderables.clear()
    assert "It broke." in said
    assert text not in said
