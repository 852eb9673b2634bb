"""What an operator does, key by key."""

from __future__ import annotations

from dataclasses import replace

from fake_client import DISK_FULL, FakeClient
from screen import screen_of
from shapes import at, message, station

from appliance.api.errors import NotRunning, NotYetRunning, RequestError
from appliance.api.schema import EVERYONE, Recipient, Verification

CLINIC = station("clinic", "c111", trust="verified")
GATE = station("north-gate", "k7qd")
SCHOOL = station("school", "s222", reach="away")


async def test_send_a_message_and_see_it_read() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("To clinic")
        await screen.type("We need 40 blankets.")
        await screen.press("enter")
        await screen.sees("you: We need 40 blankets.")
        await screen.sees("waiting")
        assert screen.app.drafts.editor.text == ""
        (sent,) = client.stored
        assert (sent.conversation, sent.text) == (CLINIC.id, "We need 40 blankets.")
        for state in ("delivered", "read"):
            done = Recipient(CLINIC.id, state, at(3, sure=False))
            client.tell("message", replace(sent, state=state, recipients=(done,), delivered_to=1))
            await screen.sees(f"{state} ~12:05")
        client.tell("message", replace(sent, state="delivered"))  # late news never goes back
        client.meet(SCHOOL)
        await screen.sees("school")
        assert "read ~12:05" in screen.text


async def test_what_can_not_be_sent_stays() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down")
        client.refusal = RequestError(507, "disk-full", DISK_FULL.text, DISK_FULL.fix)
        await screen.type("keep me")
        await screen.press("enter")
        await screen.sees("Not sent. The disk is full. Delete something")
        assert screen.app.drafts.editor.text == "keep me"
        client.refusal = None
        screen.app.write("x" * 16_000)
        await screen.press("enter")
        await screen.sees("This message has 16007 characters; 16000 is the most")
        assert len(screen.app.drafts.editor.text) == 16_007
        assert client.stored == []


async def test_drafts_stay_with_their_conversation_and_outlive_the_screen() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.type("half a")
        await screen.press("down")
        await screen.sees("To north-gate")
        assert screen.app.drafts.editor.text == ""
        await screen.type("other")
        await screen.press("up")
        assert screen.app.drafts.editor.text == "half a"
    assert client.drafts == {CLINIC.id: "half a", GATE.id: "other"}
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("> half a")


async def test_a_message_is_read_when_it_was_seen_and_not_before() -> None:
    client = FakeClient(CLINIC, GATE)
    client.stored = [message(CLINIC, f"line {n}", n, unread=True) for n in range(1, 41)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("-- new --")
        assert "clinic: line 1 " in screen.text  # begins at what is new
        assert "more below: PgDn" in screen.text
        await screen.until(lambda: client.read_up_to, "a report")
        assert client.read_up_to[-1][1] < 25
        reports = len(client.read_up_to)
        await screen.press("pagedown")
        await screen.until(lambda: len(client.read_up_to) > reports, "another report")
        await screen.press("pagedown")
        await screen.until(lambda: client.read_up_to[-1] == (CLINIC.id, 40), "all read")
        screen.clock.now_s += 600  # nobody is there
        client.arrive(message(CLINIC, "are you there?", 41, unread=True))
        await screen.sees("are you there?")
        assert client.read_up_to[-1] == (CLINIC.id, 40)
        await screen.sees("1 unread")
        await screen.press("end")
        await screen.until(lambda: client.read_up_to[-1] == (CLINIC.id, 41), "read now")
        client.arrive(message(GATE, "elsewhere", 42, unread=True))
        await screen.sees("*1")
        assert client.read_up_to[-1] == (CLINIC.id, 41)


async def test_older_messages_come_by_paging_back() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, f"number {n}.", n) for n in range(1, 131)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("number 130.")
        for _ in range(40):
            if "number 1." in screen.text:
                break
            await screen.press("pageup")
            await screen.pilot.pause()
        assert "number 1." in screen.text
        await screen.press(*["pagedown"] * 12)
        assert "number 130." in screen.text


async def test_place_a_call_mute_and_hang_up() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("f2")
        await screen.sees("Choose one station")
        await screen.press("down", "f2")
        await screen.sees("clinic   calling...")
        (placed,) = client.all_calls.values()
        client.change_call(
            replace(placed, state="talking", talking_s=134.0, quality="good", problems=(DISK_FULL,))
        )
        await screen.sees("clinic  2:14  sound: trouble")
        assert "you ####..  them ##...." in screen.text
        assert "The disk is full. Delete something" in screen.text
        await screen.press("f6")
        await screen.sees("you MUTED")
        await screen.press("f7", "down", "escape")
        assert client.all_calls["c1"].volume_pct == 80
        await screen.type("typing still writes")
        await screen.press("escape")
        await screen.sees("Hang up?")
        assert client.all_calls["c1"].state == "talking"  # it asks once
        await screen.press("enter")
        await screen.sees("-- you called, 2:14: you hung up --")
        assert screen.app.drafts.editor.text == "typing still writes"


async def test_answer_a_call() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        client.ring(GATE)
        await screen.sees("north-gate?·k7qd IS CALLING")
        await screen.press("enter")
        await screen.sees("north-gate?·k7qd  0:00")
        assert client.all_calls["c1"].state == "talking"
        assert screen.app.state.selected == GATE.id


async def test_decline_a_call_while_typing() -> None:
    client = FakeClient(GATE)
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.type("meet me at 1")
        client.ring(GATE)
        await screen.sees("IS CALLING")
        await screen.pilot.press("2", "enter")  # typed on, too fast to be an answer
        assert client.all_calls["c1"].state == "ringing-here"
        assert screen.app.drafts.editor.text == "meet me at 12"
        await screen.press("escape")
        await screen.sees_no("IS CALLING")
        assert client.all_calls["c1"].end_reason == "declined"


async def test_answer_with_a_message() -> None:
    client = FakeClient(GATE)
    async with screen_of(client) as screen:
        client.ring(GATE)
        await screen.sees("IS CALLING")
        await screen.press("3", "2")
        await screen.until(lambda: client.stored, "the message")
        assert client.stored[0].text == "I will call you back soon."
        assert client.all_calls["c1"].end_reason == "declined"


async def test_why_a_call_ended_is_told_whole() -> None:
    client = FakeClient(GATE)
    async with screen_of(client) as screen:
        await screen.press("down", "f2")
        await screen.sees("calling...")
        (placed,) = client.all_calls.values()
        client.change_call(replace(placed, state="ended", end_reason="unreachable"))
        await screen.sees("until there is one --")


async def test_a_missed_call_is_told() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        ringing = client.ring(GATE)
        await screen.sees("IS CALLING")
        client.change_call(replace(ringing, state="ended", end_reason="cancelled"))
        await screen.sees("1 missed call")
        await screen.press("down", "down")
        await screen.sees("-- missed call --")
        await screen.sees_no("1 missed call")


async def test_verify_by_digits() -> None:
    client = FakeClient(GATE)
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("north-gate?·k7qd  not verified")
        await screen.press("f9")
        await screen.sees("> 3  Not now")
        await screen.press("enter")  # without reading: nothing is verified
        assert client.comparisons[0].state == "compare"
        await screen.press("f9", "1")
        await screen.sees("north-gate  verified")
        assert "?" not in screen.text.split("F1")[0]


async def test_verify_by_id_and_see_an_abandoned_attempt() -> None:
    client = FakeClient(SCHOOL)
    client.comparisons = [Verification("v0", SCHOOL.id, False, "abandoned", None, "")]
    async with screen_of(client) as screen:
        await screen.press("down", "f9")
        await screen.sees("they began: abandoned")
        assert client.own.spoken_id[:30] in screen.text
        await screen.press("1")
        await screen.type("wrong")
        await screen.press("enter")
        await screen.sees("The ids: mismatch.")


async def test_another_operator_asks_to_compare() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        asked = Verification("v7", GATE.id, False, "compare", "123456", "")
        client.comparisons = [asked]
        client.tell("verification", asked)
        await screen.sees("north-gate?·k7qd wants to compare six digits with you: press F9")
        await screen.press("f9", "2")
        await screen.sees("The digits were different")


async def test_everything_by_digits_alone() -> None:
    client = FakeClient(CLINIC, GATE, name_is_default=True)
    async with screen_of(client) as screen:
        await screen.sees("Esc, More, My name")
        await screen.press("escape", "9", "3")
        await screen.type("camp 7")
        await screen.press("enter")
        await screen.sees(" camp 7 ")
        await screen.press("down", "escape", "1")
        await screen.sees("clinic   calling...")
        await screen.press("escape", "1")
        await screen.sees("you hung up")
        await screen.press("escape", "5")
        await screen.sees(" eth0     up  2 neighbours")
        await screen.press("escape", "escape", "7")
        await screen.sees("Open: anybody can hear it")
        await screen.press("escape", "escape", "9", "6")
        await screen.sees("Did it arrive?")
        await screen.press("escape", "escape", "9", "2")
        await screen.sees("2  Microphone: whatever the system uses")
        await screen.press("2", "2")
        await screen.sees("2  Microphone: USB headset")
        await screen.press("1")
        await screen.sees("The microphone hears you.")
        await screen.press("escape", "escape", "9", "4")
        await screen.sees("Id, to read aloud:")
        await screen.press("escape", "escape", "4")
        await screen.type("north")
        await screen.press("enter")
        await screen.sees("To north-gate")
        await screen.press("escape", "9", "8", "1")
        await screen.until(lambda: not screen.app.is_running, "the end")


async def test_the_daemon_dies_and_comes_back() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, "before", 1)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("before")
        client.die()
        await screen.sees("NOT CONNECTED")
        await screen.sees("does not answer. Trying again")
        await screen.type("still here")
        await screen.press("enter")
        await screen.sees("Not sent.")
        assert screen.app.drafts.editor.text == "still here"
        client.alive = True
        client.stored.append(message(CLINIC, "while you were gone", 2))
        await screen.sees("while you were gone")
        await screen.sees_no("NOT CONNECTED")
        await screen.press("enter")
        await screen.sees("you: still here")


async def test_it_starts_without_a_daemon() -> None:
    client = FakeClient(CLINIC)
    client.alive = False
    async with screen_of(client) as screen:
        await screen.sees("Not connected")
        await screen.sees("Start it: fencewire run")
        client.alive = True
        await screen.sees("clinic")


async def test_an_alarm_stays_until_it_is_acknowledged() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        impostor = station("clinic", "eeee", alarm="Another station calls itself clinic.")
        client.meet(impostor)
        await screen.sees("ALARM: Another station calls itself clinic.")
        await screen.press("down", "enter", "escape", "escape")
        client.ring(impostor)
        await screen.sees("IS CALLING")
        assert screen.text.count("ALARM: Another station") == 2
        await screen.press("escape")
        await screen.press("escape", "1")
        await screen.sees_no("ALARM: Another")
        client.meet(replace(impostor, unread=1))
        await screen.sees("*1 ALARM")  # the mark in the list stays
        assert "ALARM: Another" not in screen.text


async def test_the_first_neighbour_appears_by_itself() -> None:
    client = FakeClient()
    async with screen_of(client) as screen:
        assert "Looking for others..." in screen.text
        client.meet(GATE)
        await screen.sees("north-gate?·k7qd")
        await screen.sees_no("Looking for others")
        assert "reach 1" in screen.text


async def test_hostile_names_and_texts_steer_nothing() -> None:
    evil = station("\x1b[31mclinic\u202e[b]\n\x07\u200b", "e111")
    client = FakeClient(evil, problems=(DISK_FULL,))
    client.stored = [message(evil, "[bold]\x1b]0;x\x07\u202etxt\ud7ff\u2066 漢字" + "x" * 4_000, 1)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("x" * 30)
        await screen.press(*["pageup"] * 8)
        await screen.sees("[bold]?]0;x?txt")
        assert all(char.isprintable() or char == "\n" for char in screen.text)
        assert "?[31mclinic[b] ??·e111" in screen.text
        assert all(row.cell_length == 80 for row in screen.app.main.canvas.rows)
        await screen.sees("! The disk is full.")


async def test_everyone_shows_how_far_it_spread() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        await screen.type("hello all")
        await screen.press("enter")
        await screen.sees("you: hello all")
        sent = client.stored[0]
        assert sent.conversation == EVERYONE
        readers = (Recipient(CLINIC.id, "read", at()), Recipient(GATE.id, "delivered", at()))
        client.tell("message", replace(sent, state="read", delivered_to=3, recipients=readers))
        await screen.sees("delivered to 3, read by 1")


async def test_a_station_that_is_starting_is_awaited_and_one_that_can_not_start_says_why() -> None:
    client = FakeClient(CLINIC)
    client.alive = False
    client.absence = NotYetRunning("Fencewire does not run at the moment.", "Wait a minute.")
    async with screen_of(client) as screen:
        await screen.sees("your station is starting")
        assert "Starting..." in screen.text
        client.absence = NotRunning("The card can't be used. Switch off, and try another one.", "")
        await screen.sees("! The card can't be used. Switch off, and try another one.")
        client.alive = True
        await screen.sees("clinic")
        await screen.sees_no("The card can't be used.")
