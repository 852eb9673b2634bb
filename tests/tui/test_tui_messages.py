"""Messages on the screen: what waits, how urgent it is, how far it came, and finding it again."""

from __future__ import annotations

from dataclasses import replace

from fake_client import FakeClient
from screen import Screen, screen_of
from shapes import at, message, station

from appliance.api.schema import EVERYONE, Problem, Recipient
from appliance.api.storage import Removed
from appliance.tui.alerts import AGAIN_S, Alerts
from appliance.tui.screens.find import FindDialog
from appliance.tui.talks import MAX_MESSAGES

CLINIC = station("clinic", "c111", trust="verified")
GATE = station("north-gate", "k7qd")
SCHOOL = station("school", "s222", reach="away")


async def test_unread_urgent_and_undelivered_at_a_glance() -> None:
    client = FakeClient(CLINIC, GATE, SCHOOL)
    client.stored = [message(SCHOOL, f"out {n}", n, outgoing=True, state="queued") for n in (1, 2)]
    async with screen_of(client) as screen:
        await screen.sees("+2 away 20m")
        await screen.sees("2 not delivered")
        client.arrive(message(GATE, "We need water.", 3, unread=True, precedence="priority"))
        await screen.sees("*1 PRIORITY")
        client.arrive(message(GATE, "Hello", 4, unread=True))
        await screen.sees("*2 PRIORITY")
        done = replace(client.stored[0], state="relayed")
        client.tell("message", done)
        client.tell("message", replace(done, state="delivered"))
        await screen.sees("+1 away 20m")
        assert "* unread  + not delivered" in screen.text
        await screen.press("down", "down")
        await screen.sees("PRIORITY north-gate?: We need")
        await screen.sees_no("*2")


async def test_an_emergency_is_unmistakable_until_somebody_looks() -> None:
    client = FakeClient(CLINIC, GATE)
    async with screen_of(client) as screen:
        rung: list[float] = []
        screen.app.bell = lambda: rung.append(screen.clock.now_s)  # type: ignore[method-assign]
        loud = message(GATE, "The dam breaks!", 1, unread=True, precedence="emergency")
        client.arrive(loud)
        await screen.sees("EMERGENCY from north-gate?·k7qd: The dam breaks!")
        await screen.sees("*1 EMERGENCY")
        assert len(rung) == 1
        screen.clock.now_s += AGAIN_S
        screen.app.tick()
        assert len(rung) == 2
        await screen.press("a")
        screen.clock.now_s += AGAIN_S
        screen.app.tick()
        assert len(rung) == 2  # somebody is there
        await screen.press("f10")
        await screen.sees("EMERGENCY north-gate?: The dam breaks!")
        await screen.sees_no("EMERGENCY from")
        await screen.until(lambda: client.read_up_to == [(GATE.id, 1)], "it was read")


async def test_an_alarm_that_is_not_about_a_name_says_what_to_do_and_no_more() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        text = "Another board runs with the key of this station."
        client.tell("alarm", Problem("copied-key", text, "Switch one of them off."))
        await screen.sees(f"ALARM: {text} Switch one of them")
        assert "compared aloud" not in screen.text
        await screen.press("f10")
        await screen.sees_no("ALARM:")


def test_an_emergency_does_not_sound_for_ever() -> None:
    alerts = Alerts()
    sounded = sum(alerts.due({"x"}, float(now), 0.0) for now in range(1, 2_000))
    assert sounded == 60
    assert not alerts.due((), 3_000.0, 0.0)
    assert alerts.due({"y"}, 3_000.0, 0.0)


async def test_urgency_and_expiry_are_chosen_with_a_key() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down", "tab", "tab")
        await screen.sees("To clinic  PRIORITY")
        await screen.press("f7", "2", "2")
        await screen.sees("expires in 1 hour")
        await screen.type("Bring oxygen")
        await screen.press("enter")
        await screen.sees("PRIORITY you: Bring oxygen")
        assert client.stored[0].precedence == "priority"
        assert client.lifetimes == [3_600]
        assert "expires in" not in screen.text  # the next one is routine again
        await screen.press("f7", "1", "2")
        await screen.sees("To clinic  WELFARE")
        await screen.press("shift+tab")
        await screen.sees_no("WELFARE")


async def test_an_emergency_to_everyone_is_asked_once() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("shift+tab")
        await screen.type("Fire at the school")
        await screen.press("enter")
        await screen.sees("EMERGENCY to everyone?")
        assert client.stored == []
        await screen.press("2")
        await screen.sees("To everyone  PRIORITY")
        assert screen.app.drafts.editor.text == "Fire at the school"
        await screen.press("tab", "enter", "1")
        await screen.sees("EMERGENCY you: Fire at the school")
        (sent,) = client.stored
        assert (sent.precedence, sent.conversation) == ("emergency", EVERYONE)
        await screen.press("down", "shift+tab")
        await screen.type("to one")
        await screen.press("enter")  # to one station it goes without a question
        await screen.sees("EMERGENCY you: to one")


async def test_what_could_not_be_sent_keeps_its_urgency() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down", "tab")
        await screen.type("later")
        client.alive = False
        await screen.press("enter")
        await screen.sees("Not sent.")
        assert screen.app.writer.letter.precedence == "welfare"


async def test_what_had_to_make_room_is_said() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, "still here", 40)]
    client.removed = (Removed(CLINIC.id, "clinic", 37, 0, at(-120)),)
    async with screen_of(client, (110, 24)) as screen:
        await screen.press("down")
        await screen.sees("37 older messages were removed to make room, up to Tue 3 Nov 2026")
        await screen.sees(" 10:02 --")
        client.removed = (Removed(CLINIC.id, "clinic", 38, 2, at(-120, sure=False)),)
        client.tell("storage")
        await screen.sees("~10:02; 2 of them had not arrived --")


async def test_how_far_a_message_came_is_told_on_demand() -> None:
    client = FakeClient(CLINIC, GATE)
    client.stored = [message(None, "To all.", 1, outgoing=True, delivered_to=3)]
    others = sorted(station(f"post-{n:02}", f"{n:04x}").id for n in range(48))
    client.how_far = [Recipient(one, "delivered", at(2)) for one in others]
    client.how_far += [
        Recipient(CLINIC.id, "read", at(5, sure=False)),
        Recipient(GATE.id, "queued", None),
    ]
    client.carriers = (GATE.id,)
    async with screen_of(client) as screen:
        await screen.press("enter", "enter")
        await screen.sees("1 waiting, 48 delivered, 1 read")
        await screen.sees("Carriers north-gate?·k7qd")
        await screen.press(*["pagedown"] * 7)
        await screen.sees("read          Tue 3 Nov 2026 ~12:07 (unsure)")
        await screen.press("pagedown", "pagedown")
        await screen.sees("north-gate?·k7qd            waiting")
        await screen.press("escape", "escape")
        await screen.type("x")
        assert screen.app.drafts.editor.text == "x"


async def test_a_message_that_is_given_up_is_not_passed_over() -> None:
    client = FakeClient(CLINIC, GATE)
    client.stored = [message(CLINIC, "Bring water", 1, outgoing=True, state="relayed")]
    async with screen_of(client) as screen:
        await screen.sees("1 not delivered")
        client.tell("message", replace(client.stored[0], state="expired"))
        await screen.sees("! Not delivered in time to clinic: Bring water. It was given up.")


async def test_how_long_a_message_is_still_tried_is_told() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, "Soon", 1, outgoing=True, state="queued", expires_in_s=3_000)]
    client.stored += [
        message(
            CLINIC, "Late", 2, outgoing=True, state="expired", expires_in_s=-7_300, lifetime_s=3_600
        )
    ]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("EXPIRED: not delivered within 1h")
        await screen.press("enter", "enter")
        await screen.sees("Expires  2h ago: it was given up.")
        await screen.press("escape", "up", "enter")
        await screen.sees("Expires  in 50m, if it has not arrived by then")


async def test_messages_are_gone_through_one_by_one() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, f"number {n}.", n) for n in range(1, 61)]
    async with screen_of(client) as screen:
        await screen.press("down", "enter")
        await screen.until(lambda: _marked(screen) == "number 60.", "the last is marked")
        await screen.press(*["up"] * 25)
        assert _marked(screen) == "number 35."
        assert "clinic: number 35." in screen.text
        await screen.press("home")
        assert _marked(screen) == "number 1."
        await screen.press("pagedown")
        assert _marked(screen) not in {"number 1.", "number 60."}
        await screen.press("end")
        assert _marked(screen) == "number 60."
        await screen.press("down")
        await screen.press("h")
        assert screen.app.drafts.editor.text == "h"
        assert _marked(screen) is None


def _marked(screen: Screen) -> str | None:
    chosen = screen.app.main.conversation.chosen
    return chosen.text if chosen else None


async def test_a_long_conversation_is_a_window_that_moves() -> None:
    client = FakeClient(CLINIC)
    # Orders have gaps, and many messages stand at one of them.
    orders = [n * 7 if n < 1_000 or n > 1_300 else 7_000 for n in range(1, 2_001)]
    client.stored = [
        message(CLINIC, f"number {n}.", order, id=f"{n:064x}") for n, order in enumerate(orders, 1)
    ]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("number 2000.")
        await screen.press("home")
        await screen.sees("number 1.")
        talk = screen.app.state.talks[CLINIC.id]
        assert talk.newer
        assert not talk.more
        client.arrive(message(CLINIC, "number 2001.", 99_999))
        seen = {1}
        for _ in range(400):
            await screen.press("pagedown")
            await screen.until(lambda: not screen.app.reader.busy, "what is fetched")
            talk = screen.app.state.talks[CLINIC.id]
            assert len(talk.messages) <= MAX_MESSAGES
            seen |= {int(one.text[7:-1]) for one in talk.messages}
            if "number 2001." in screen.text:
                break
        assert seen == set(range(1, 2_002))  # nothing is left out on the way
        await screen.press("home")
        await screen.sees("number 1.")
        await screen.press("end")
        await screen.sees("number 2001.")
        client.arrive(message(CLINIC, "number 2002.", 100_000))
        await screen.sees("number 2002.")


async def test_messages_are_found_by_their_words_and_shown_where_they_stand() -> None:
    client = FakeClient(CLINIC, GATE)
    client.stored = [message(GATE, f"number {n}.", n) for n in range(1, 1_000)]
    client.stored[499] = message(GATE, "The bridge at Mill Lane is closed.", 500)
    client.stored.append(message(CLINIC, "Is the bridge open?", 1_000))
    async with screen_of(client) as screen:
        await screen.press("f6")
        await screen.type("clin")
        await screen.sees(">clinic")
        await screen.press(*["backspace"] * 4)
        await screen.type("bridge")
        await screen.sees("All messages searched: 2 found.")
        text = screen.text
        assert text.index("Is the bridge open?") < text.index("The bridge at Mill Lane")
        await screen.press("down", "enter")
        await screen.sees("north-gate?: The bridge at Mill Lane")
        await screen.until(lambda: _marked(screen) is not None, "it is marked")
        assert screen.app.state.selected == GATE.id
        await screen.press("down")
        assert _marked(screen) == "number 501."


async def test_a_search_ends_when_it_is_left() -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, f"number {n}.", n) for n in range(1, 5_000)]
    client.slice_s = 0.02
    async with screen_of(client) as screen:
        await screen.press("f6")
        await screen.type("nowhere")
        await screen.sees("0 found, searching on...")
        asked = len(client.searches)
        await screen.press("escape")
        await screen.until(lambda: screen.app.main.find_dialog(FindDialog) is None, "it has gone")
        count = len(client.searches)
        assert asked <= count < 490
        await screen.press("down")
        assert len(client.searches) <= count + 1
