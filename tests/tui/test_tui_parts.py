"""The parts behind the screen: text, editor, state, scrolling, and what is sent to the terminal."""

from __future__ import annotations

import re
import time

from fake_client import FakeClient
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.style import Style
from screen import screen_of
from shapes import ME, at, call, message, station
from textual.strip import Strip

from appliance.api.schema import MessagePage, Problem, Recipient, Verification
from appliance.tui import wording
from appliance.tui.actions import (
    AlarmCame,
    AlarmsRead,
    CallCame,
    Loaded,
    Lost,
    MessageCame,
    PageCame,
    Selected,
    StationCame,
    VerificationCame,
)
from appliance.tui.canvas import cells_of, changed_spans
from appliance.tui.client import StationClient
from appliance.tui.editor import Editor, filled, lay_out
from appliance.tui.operator import split_host
from appliance.tui.pane import strip
from appliance.tui.store import TuiState, reduce
from appliance.tui.text import cells, fit, pad, plain, plain_name, wrap

ANY_TEXT = st.text(st.characters(), max_size=60)
STYLES = st.sampled_from([Style(), Style(bold=True), Style(reverse=True)])


@given(ANY_TEXT)
def test_plain_text_steers_nothing_and_has_a_known_width(text: str) -> None:
    shown = plain(text)
    assert all(char == "\n" or char.isprintable() for char in shown)
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f\x1b]", shown)
    shown.encode()
    assert plain(shown) == shown
    assert cells(shown.replace("\n", "")) == sum(row.cell_length for row in _strips(shown))


def _strips(text: str) -> list[Strip]:
    return [strip([(line, Style())], cells(line)) for line in text.split("\n")]


@given(ANY_TEXT, st.integers(2, 40))
def test_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    shown = plain(text)
    lines = wrap(shown, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == shown.replace("\n", "").replace(" ", "")
    assert cells(pad(shown.replace("\n", ""), width)) == width
    assert cells(fit(shown.replace("\n", ""), width)) <= width


def test_the_tag_survives_any_shortening() -> None:
    long = station("n" * 40, "k7qd")
    assert wording.name(long, 16) == "nnnnnnnn..?·k7qd"
    assert wording.name(station("診療所" * 5, "k7qd"), 14) == "診療所..?·k7qd"
    assert wording.name(station("clinic", trust="verified"), 16) == "clinic"
    assert wording.name(station("You ", trust="verified"), 16) == "You·k7qd"
    assert plain_name(" a \n\u200b b ") == "a b"
    assert plain_name("\u202e\u3164\u2800") == "(no name)"


def test_states_and_times_are_words() -> None:
    clinic = station("clinic")
    times = wording.Times(None)
    sent = message(clinic, "x", 1, outgoing=True, state="queued")
    assert wording.delivery(sent, times) == "waiting"
    read = message(clinic, "x", 1, outgoing=True, recipients=(Recipient(clinic.id, "read", None),))
    assert wording.delivery(read, times) == "delivered"
    assert times.clock(at(sure=False)).startswith("~")
    far = at(1e15)
    assert times.clock(far) == "--:--"
    assert times.day(far) == "no date"
    assert [wording.span(s) for s in (59, 3_599, 7_200, 200_000)] == ["0m", "59m", "2h", "2d"]
    assert [wording.timer(s) for s in (134, 3_661)] == ["2:14", "1:01:01"]
    levels = [wording.meter(db) for db in (-120.0, -40.0, -20.0, 6.0, float("nan"))]
    assert levels == ["......", "##....", "####..", "######", "......"]


@given(ANY_TEXT, st.lists(st.sampled_from(["left", "right", "backspace", "home", "ctrl+w"])))
def test_the_cursor_stands_where_the_next_character_goes(text: str, keys: list[str]) -> None:
    editor = filled(text)
    for key in keys:
        editor = editor.key(key)
    layout = lay_out(editor, 10)
    assert 0 <= editor.cursor <= len(editor.text)
    assert "".join(layout.rows) == editor.text.replace("\n", "")
    before = sum(len(row) for row in layout.rows[: layout.row]) + layout.index
    assert before == len(editor.text[: editor.cursor].replace("\n", ""))
    assert all(cells(row) <= 10 for row in layout.rows)


def test_too_much_text_is_refused_whole() -> None:
    editor = filled("x" * 29_999)
    assert editor.typed("abc") is editor
    assert Editor("ac", 1).typed("b") == Editor("abc", 2)


def test_hosts_and_ports() -> None:
    assert split_host("192.168.1.20") == ("192.168.1.20", None)
    assert split_host(" hill:7311 ") == ("hill", 7311)
    assert split_host("fe80::1%eth0") == ("fe80::1%eth0", None)
    assert split_host("[fe80::1]:80") == ("fe80::1", 80)


CLINIC = station("clinic", "c111")
SCHOOL = station("school", "s222", reach="away")


def _state() -> TuiState:
    client = FakeClient(CLINIC, SCHOOL)
    return reduce(TuiState(), Loaded(client.own, (SCHOOL, CLINIC), (), (), (), 5.0))


def test_the_list_keeps_its_order_and_the_choice() -> None:
    state = reduce(_state(), Selected(SCHOOL.id))
    assert state.listed == ("everyone", CLINIC.id, SCHOOL.id)
    state = reduce(state, StationCame(station("barn", "b000"), 6.0))
    assert state.selected == SCHOOL.id
    assert state.listed[1] == station("barn", "b000").id
    assert reduce(state, Selected("nobody")) is state
    assert reduce(state, Lost("gone")).stations == state.stations


def test_a_page_that_was_asked_for_earlier_takes_no_state_back() -> None:
    old = message(CLINIC, "x", 3, outgoing=True, state="queued")
    read = message(CLINIC, "x", 3, outgoing=True, state="read")
    state = reduce(_state(), PageCame(CLINIC.id, MessagePage((old,), True)))
    state = reduce(state, MessageCame(read))
    earlier = message(CLINIC, "first", 1)
    state = reduce(state, PageCame(CLINIC.id, MessagePage((earlier, old), False)))
    talk = state.talks[CLINIC.id]
    assert [one.state for one in talk.messages] == ["delivered", "read"]
    assert not talk.more
    assert reduce(state, MessageCame(message(SCHOOL, "not open", 9))).talks.keys() == {CLINIC.id}


def test_everything_is_bounded() -> None:
    state = _state()
    for count in range(300):
        state = reduce(state, AlarmCame(Problem("x", f"alarm {count}", "")))
        if count % 10 == 0:
            state = reduce(state, AlarmsRead())
        state = reduce(state, CallCame(call(CLINIC, "ended", id=f"c{count}"), 1.0))
        over = Verification(f"v{count}", CLINIC.id, True, "abandoned", None, "")
        state = reduce(state, VerificationCame(over))
        page = MessagePage((message(CLINIC, "x", count),), True)
        state = reduce(state, PageCame(f"{count:056}", page))
    assert len(state.alarms) <= 50
    assert len(state.calls) == len(state.call_at_s) == 200
    assert len(state.verifications) == 50
    assert len(state.talks) <= 12


ROWS = st.lists(st.tuples(st.text(st.sampled_from("ab 漢─"), max_size=12), STYLES), max_size=4).map(
    lambda row: strip(row, 20)
)


@given(ROWS, ROWS)
def test_what_is_sent_makes_the_new_row_of_the_old_one(old: Strip, new: Strip) -> None:
    stands = cells_of(old)
    for start, end in changed_spans(old, new):
        stands[start:end] = cells_of(new.crop(start, end))
    assert stands == cells_of(new)


async def _sent(keys: list[str]) -> dict[str, int]:
    client = FakeClient(CLINIC, SCHOOL)
    sizes: dict[str, int] = {}
    async with screen_of(client) as screen:
        console = Console(color_system="standard", legacy_windows=False)
        canvas = screen.app.main.canvas
        canvas.changes(console)
        for key in keys:
            await screen.press(key)
            await screen.pilot.pause()
            screen.app.main.draw()
            sizes[key] = len(canvas.changes(console).encode())
    return sizes


async def test_a_key_costs_little_on_a_serial_line() -> None:
    sizes = await _sent(["down", "a", "escape"])
    assert 0 < sizes["a"] < 60
    assert sizes["down"] < 960  # one second at 9,600 baud
    assert sizes["escape"] < 1_920


async def test_long_messages_and_long_lists_stay_quick() -> None:
    many = [station(f"post-{n}", f"{n:04x}") for n in range(500)]
    client = FakeClient(*many)
    client.stored = [message(many[0], "many words " * 1_450, n) for n in range(60)]
    client.stored += [message(many[0], "字" * 16_000, n) for n in range(60, 100)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("字")
        began = time.process_time()
        for n in range(20):
            screen.app.dispatch(StationCame(many[n], float(n)))
            screen.app.main.draw()
        assert time.process_time() - began < 2.0  # 0.1 s each, on a slow board's tenth


def test_the_real_client_fits() -> None:
    from appliance.api.client import Client

    fits: StationClient = Client()
    assert fits is not None
    assert len(ME) == 56
