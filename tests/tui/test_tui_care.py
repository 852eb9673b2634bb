"""Emergencies, sound, and what others named: nothing is buried, left running or steered by it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import cast

import pytest
from fake_client import FakeClient
from rich.console import Console
from screen import Screen, screen_of
from shapes import call, emergency, message, station

from appliance.api.errors import NotRunning
from appliance.api.recordings import Playback, StartPlayback
from appliance.api.schema import EVERYONE
from appliance.tui import browsing, emergencies, wording
from appliance.tui.browsing import Spot
from appliance.tui.emergencies import MAX_OPEN, Emergencies

CLINIC = station("clinic", "c111", trust="verified")
GATE = station("north-gate", "k7qd")


# Emergencies


async def test_each_emergency_is_shown_until_it_was_seen() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        client.arrive(emergency(CLINIC, 1, "The dam breaks!"))
        client.arrive(emergency(GATE, 2, "Win a prize"))
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
    loud = emergency(CLINIC, 2, "The dam breaks!")
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
    known = emergencies.counted(Emergencies(), [emergency(CLINIC, 1, "true")], {CLINIC.id: CLINIC})
    flood = [emergency(GATE, order, "false") for order in range(2, 500)]
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
        client.arrive(emergency(CLINIC, 1, "The dam breaks!"))
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


async def test_what_is_typed_while_the_disk_is_asked_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow() -> list[Spot]:
        asked.set()
        answer.wait(10.0)
        return []

    monkeypatch.setattr(browsing, "start", slow)
    async with screen_of(FakeClient(CLINIC)) as screen:
        await screen.press("f7", "3")
        await screen.sees("Looking...")
        assert asked.is_set()
        await screen.type("/no/such")
        answer.set()
        await screen.sees("A drive that is plugged in")
        assert "> /no/such" in screen.text


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
