"""Somebody calls: the whole screen says so, to be seen from across a room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rich.style import Style

from appliance.api.schema import CallInfo
from appliance.tui import views
from appliance.tui.bigtext import big, can_be_big
from appliance.tui.dialogs import Area, Box, Dialog, Item, ListDialog, paragraphs
from appliance.tui.keybar import Hint
from appliance.tui.look import INVERSE, LOUD, PLAIN
from appliance.tui.pane import Row
from appliance.tui.text import cells, fit, one_line, plain_name, wrap
from appliance.tui.wording import presence

GUARD_S: Final = 0.8
"""Whoever is typing when it begins to ring goes on for a moment: those keys still write."""

READY_ANSWERS: Final = (
    "I can't talk now. Please write.",
    "I will call you back soon.",
    "I am coming to you.",
)


def _centred(text: str, width: int) -> str:
    shown = fit(text, width)
    return " " * ((width - cells(shown)) // 2) + shown


def _big_name(text: str, width: int) -> list[str]:
    """Return a name in big letters over one or two lines; the word CALL where it has no such."""
    if not can_be_big(text):
        return big("CALL")
    room = width // 6
    if len(text) <= room:
        return big(text)
    at = text.rfind("-", 0, room) + 1 or text.rfind(" ", 0, room) + 1 or room
    return [*big(text[:at].strip()), "", *big(text[at : at + room].strip())]


def _fill(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _blank(width: int) -> Row:
    return [(" " * width, INVERSE)]


class RingingDialog(Dialog):
    """Answer, decline, or write instead."""

    covers_all = True

    def __init__(self, call_id: str) -> None:
        super().__init__()
        self.rings = self.call_id = call_id
        self._since_s: float | None = None
        self._key_s: float | None = None

    def opened(self) -> None:
        """Note since when it is in sight."""
        self._since_s = self.station_app.now_s()

    def place(self, area: Area) -> Box:
        return Box(0, area.top, area.width, area.height)

    def _lit(self) -> bool:
        """Blink once a second, and only the name, so that a slow line keeps up."""
        shown_s = self.station_app.now_s() - (self._since_s or 0.0)
        return int(shown_s) % 2 == 0

    def body(self, width: int) -> list[Row]:
        return []

    def paint(self, width: int, height: int) -> list[Row]:
        state = self.station_app.state
        call = state.calls.get(self.call_id)
        if call is None:
            return [_blank(width) for _ in range(height)]
        station = state.stations.get(call.station)
        plain = plain_name(station.name if station else call.name)
        letters = _big_name(plain, width - 4)
        block = max(cells(line) for line in letters)
        left = (width - block) // 2
        style = INVERSE if self._lit() else PLAIN
        rows = [_blank(width)]
        for line in letters:
            shown = line + " " * (block - cells(line))
            rows.append(
                [
                    (" " * left, INVERSE),
                    (shown, style),
                    (" " * (width - left - block), INVERSE),
                ]
            )
        words = self._words(call)
        spare = height - len(rows) - len(words)
        gap = 1 if spare >= len(words) else 0
        rows.append(_blank(width))
        for text, style in words:
            rows += [[(_fill(_centred(text, width), width), style)], *[_blank(width)] * gap]
        above = max((height - len(rows)) // 2, 0)
        rows = [*([_blank(width)] * above), *rows]
        return [*rows, *([_blank(width)] * max(height - len(rows), 0))][:height]

    def _words(self, call: CallInfo) -> list[tuple[str, Style]]:
        app = self.station_app
        station = app.state.stations.get(call.station)
        who = views.station_name(app.state, call.station, plain_name(call.name))
        words = [(f"{who} IS CALLING", LOUD)]
        if station is not None:
            trust = "verified" if station.trust == "verified" else "not verified"
            where = presence(station, views.away_s(app.state, station, app.now_s()))
            words.append((f"{trust}   {where}", INVERSE))
            if station.alarm:
                alarm = wrap(one_line(f"ALARM: {station.alarm}"), 76)[:3]
                words += [(line, LOUD) for line in alarm]
        return [
            *words,
            ("Enter  answer     Esc  decline", LOUD),
            ("F4  answer with a message", INVERSE),
            ("or press 1, 2 or 3", INVERSE),
        ]

    def hints(self) -> list[Hint]:
        return [Hint("Enter", "answer"), Hint("Esc", "decline"), Hint("F4", "write instead")]

    def on_key_pressed(self, key: str, character: str | None) -> None:
        app = self.station_app
        now_s = app.now_s()
        last_s = max(self._since_s or now_s, self._key_s or 0.0)
        self._key_s = now_s
        call = app.state.calls.get(self.call_id)
        if call is None:
            return
        action = self._actions(call).get(key)
        if action is not None and now_s - last_s >= GUARD_S:
            action()
        elif character is not None or key == "backspace":
            # Nothing is lost of what somebody types with the eyes on the keys.
            app.main.main_key(key, character)

    def _actions(self, call: CallInfo) -> dict[str, Callable[[], None]]:
        calling = self.station_app.calling
        return {
            "enter": lambda: calling.answer(call),
            "1": lambda: calling.answer(call),
            "escape": lambda: calling.decline(call),
            "2": lambda: calling.decline(call),
            "f4": lambda: self._write(call),
            "3": lambda: self._write(call),
        }

    def _write(self, call: CallInfo) -> None:
        self.station_app.main.open_dialog(AnswerWithDialog(call))


class AnswerWithDialog(ListDialog):
    """Declines and writes."""

    title = "Decline and write"

    def __init__(self, call: CallInfo) -> None:
        super().__init__()
        self._call = call
        self.rings = call.id

    def intro(self, width: int) -> list[Row]:
        who = plain_name(self._call.name)
        return [*paragraphs(f"The call is declined, and {who} gets:", width), []]

    def items(self) -> list[Item]:
        own = Item("Decline, and write something else", self._own)
        return [*(self._ready(text) for text in READY_ANSWERS), own]

    def _ready(self, text: str) -> Item:
        return Item(text, lambda: self.station_app.calling.decline_with(self._call, text))

    def _own(self) -> None:
        self.station_app.calling.decline(self._call)
        self.station_app.choose(self._call.station)
