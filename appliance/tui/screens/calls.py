"""The record of calls: missed ones, with whom, when, how long, and why they ended."""

from __future__ import annotations

from typing import Final

from appliance.api.schema import CallInfo
from appliance.tui import views
from appliance.tui.dialogs import ESC_BACK, Area, Box, Dialog, paragraphs
from appliance.tui.keybar import Hint
from appliance.tui.look import BOLD, CARE, INVERSE, PLAIN
from appliance.tui.pane import Row
from appliance.tui.text import cells, fit, pad
from appliance.tui.wording import end_words, timer

_AHEAD: Final = 10
"""Rows below the chosen one; where there are fewer, earlier calls are asked for."""

_MAX_CALLS: Final = 1_000
_NAME: Final = 19


class CallsPage(Dialog):
    """All calls, latest first."""

    title = "Calls"

    def __init__(self) -> None:
        super().__init__()
        self.chosen = 0
        self._calls: list[CallInfo] | None = None
        self._more = True
        self._asking = self._failed = False

    def place(self, area: Area) -> Box:
        return Box(0, area.top, area.width, area.height)

    def wanted_width(self, area: Area) -> int:
        return area.width

    def opened(self) -> None:
        """Ask for the latest ones; the missed ones among them are seen with that."""
        self._ask()

    def _ask(self) -> None:
        if not self._asking and self._more and len(self._calls or ()) < _MAX_CALLS:
            self._asking = True
            self.station_app.start(self._load())

    async def _load(self) -> None:
        app = self.station_app
        known = self._calls or []
        try:
            before = known[-1].number if known else None
            page = await app.operator.ask(app.client.past_calls(before=before))
        finally:
            self._asking = False
        if page is None:
            self._more, self._failed = False, True
            self._calls = known
        else:
            self._calls = [*known, *page.calls]
            self._more = page.more
            if not known and page.calls:
                app.operator.saw_all_calls(page.calls[0].number)
        app.redraw()

    def hints(self) -> list[Hint]:
        return [
            Hint("Up/Down", "choose"),
            Hint("Enter", "messages with them"),
            Hint("F2", "call"),
            ESC_BACK,
        ]

    def body(self, width: int) -> list[Row]:
        if self._calls is None:
            return paragraphs("Looking them up...", width)
        if not self._calls:
            text = "They can't be looked up now." if self._failed else "There were no calls yet."
            return paragraphs(text, width)
        self.chosen = max(min(self.chosen, len(self._calls) - 1), 0)
        return [self._row(one, place, width) for place, one in enumerate(self._calls)]

    def _row(self, call: CallInfo, place: int, width: int) -> Row:
        app = self.station_app
        times = app.times
        who = views.station_name(app.state, call.station, call.name, _NAME)
        new = "NEW " if call.missed and not call.seen else "    "
        when = f"{times.day(call.started_at)[:-5]:<10}{times.clock(call.started_at):>6} "
        lasted = f"{timer(call.talking_s)} " if call.talking_s is not None else ""
        sound = f"sound {call.quality}, " if call.quality != "none" else ""
        way = "-> " if call.outgoing else "<- "
        style = INVERSE if place == self.chosen else PLAIN
        words = "missed" if call.missed else f"{lasted}{sound}{end_words(call)}"
        head = f"{new}{when}{way}{pad(who, _NAME)} "
        rest = fit(words, max(width - cells(head), 4))
        return [
            (new, style if place == self.chosen else BOLD),
            (head[len(new) :], style),
            (rest, CARE if call.missed and place != self.chosen else style),
        ]

    def focus_row(self) -> int | None:
        return self.chosen if self._calls else None

    def on_key_pressed(self, key: str, character: str | None) -> None:
        found = self._calls or []
        call = found[self.chosen] if self.chosen < len(found) else None
        step = {"up": -1, "down": 1, "pageup": -9, "pagedown": 9}.get(key)
        if step is not None:
            self.chosen = max(min(self.chosen + step, len(found) - 1), 0)
            if self.chosen + _AHEAD >= len(found):
                self._ask()
        elif key == "enter" and call is not None:
            self.close()
            self.station_app.choose(call.station)
        elif key == "f2" and call is not None:
            self.close()
            self.station_app.calling.place(call.station)
        elif key == "f12":
            self.close()
        else:
            super().on_key_pressed(key, character)
