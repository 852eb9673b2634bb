"""The middle: what is said."""

from __future__ import annotations

from typing import Literal

from appliance.api.schema import EVERYONE, Message
from appliance.tui import views
from appliance.tui.entries import Entry, entries, entry_key
from appliance.tui.look import BAD, BOLD, PLAIN
from appliance.tui.pane import Pane, Row, boxed, edge
from appliance.tui.scroller import Place, Scroller, Sight
from appliance.tui.store import TuiState
from appliance.tui.text import wrap
from appliance.tui.wording import name, presence

_GROUP_WORDS = {
    "member": "Nothing was said yet. What you write here goes to all members. F2 shows who.",
    "invited": "You are invited to this group. F2: say yes or no.",
    "left": "You have left this group.",
    "removed": "You were taken out of this group.",
}

_AHEAD = 60
"""Entries out of sight at either end; where there are fewer, more are fetched."""


def empty_words(state: TuiState) -> str:
    """Return what stands in a conversation without messages."""
    if state.connection == "starting":
        return "One moment: your station is starting. The first time takes up to a few minutes."
    if views.talk(state) is None:
        return ""
    if state.selected == EVERYONE:
        return (
            "What you write here goes to every station that can be reached, now or later. "
            "Up and Down choose one station. To write, just type."
        )
    group = views.chosen_group(state)
    if group is not None:
        return _GROUP_WORDS[group.state]
    return "Nothing was said yet. To write, just type, then press Enter. F2 calls."


def title(state: TuiState, now_s: float, width: int) -> tuple[str, str]:
    """Return who the conversation is with, and how they can be reached."""
    group = views.chosen_group(state)
    if group is not None:
        return views.group_name(state, group, width - 20), views.group_words(group)
    station = views.chosen(state)
    if station is None:
        return "Everyone", ""
    trust = {"new": " not verified", "known": " not verified", "verified": " verified"}
    where = presence(station, views.away_s(state, station, now_s))
    words = "  ALARM" if station.alarm else f" {trust[station.trust]}"
    return name(station, max(width - len(words) - len(where) - 8, 12)) + words, where


class ConversationPane(Pane):
    """The messages of the chosen conversation."""

    def __init__(self) -> None:
        super().__init__()
        self._scroller = Scroller()
        self._shown = ""
        self._opened = False
        self._new_from: str | None = None
        self._made: tuple[tuple[object, ...], list[Entry]] = ((), [])
        self.sight = Sight([], None, below=False, whole=(), seen=None)

    def _entries(self) -> list[Entry]:
        state = self.station_app.state
        key = (
            state.selected,
            views.talk(state),
            state.calls,
            state.removed,
            self._new_from,
        )
        made, found = self._made
        if len(made) != len(key) or any(a is not b for a, b in zip(made, key, strict=True)):
            found = entries(state, self.station_app.times, self._new_from)
            self._made = (key, found)
        return found

    def _follow(self, state: TuiState) -> None:
        """Begin at what is new when another conversation is chosen."""
        talk = views.talk(state)
        if self._shown != state.selected:
            self._shown, self._opened, self._new_from = state.selected, False, None
            self._scroller = Scroller()
        if talk is None or self._new_from is not None:
            return
        if not self._opened or not self.station_app.in_use():
            first = views.first_unread(talk.messages)
            self._new_from = talk.messages[first].id if first is not None else None
        self._opened = True

    def to_end(self) -> None:
        """Follow the end again."""
        self._scroller.place = None
        self._new_from = None

    def start_at(self, message: str) -> None:
        """Bring a message that is here to the top, as the first that is new."""
        self._scroller.place = Place(message, 0)
        self._new_from = message

    def looked_at(self) -> None:
        """Note that somebody is there and looks at what is in sight."""
        talk = views.talk(self.station_app.state)
        unread = {one.id for one in talk.messages if one.unread} if talk else set()
        seen = self._scroller.looked_at.union(self.sight.whole)
        self._scroller.looked_at = seen & unread

    def to_top(self) -> None:
        """Show the beginning of what is here."""
        found = self._entries()
        if found:
            self._scroller.place = Place(entry_key(found[0]), 0)

    def scroll_lines(self, by: int) -> None:
        """Scroll."""
        app = self.station_app
        if self.sight.top is None:
            return
        width = self.width - 2
        self._scroller.scroll(app.state, self._entries(), app.times, width, by, self.sight.top)
        app.main.draw()

    def wants(self) -> Literal["older", "newer", ""]:
        """Tell of which messages there are soon too few around what is in sight."""
        talk = views.talk(self.station_app.state)
        top = self.sight.top
        if talk is None or top is None:
            return ""
        found = self._entries()
        at = next((at for at, one in enumerate(found) if entry_key(one) == top.key), 0)
        if talk.more and at < _AHEAD:
            return "older"
        return "newer" if talk.newer and at > len(found) - _AHEAD - self.height else ""

    # The message that the reader is at

    @property
    def chosen(self) -> Message | None:
        """The message that the reader is at."""
        talk = views.talk(self.station_app.state)
        wanted = self._scroller.chosen
        found = talk.messages if talk and wanted else ()
        return next((one for one in found if one.id == wanted), None)

    def choose(self, message: str) -> None:
        """Mark a message; empty: none."""
        self._scroller.chosen = message

    def show(self, message: str) -> None:
        """Mark a message that is here, and bring it into sight."""
        self._scroller.chosen = message
        self._scroller.place = Place(message, 0)

    def choose_in_sight(self, *, last: bool) -> None:
        """Mark the last message in sight, or the first."""
        whole = self.sight.whole
        if whole:
            self._scroller.chosen = whole[-1 if last else 0]

    def choose_next(self, by: int) -> None:
        """Mark the message so many further down, and keep it in sight."""
        talk = views.talk(self.station_app.state)
        here = self.chosen
        if talk is None or here is None:
            self.choose_in_sight(last=True)
            return
        at = talk.messages.index(here) + by
        wanted = talk.messages[max(min(at, len(talk.messages) - 1), 0)]
        self._scroller.chosen = wanted.id
        if wanted.id in self.sight.whole:
            return
        if by < 0:
            self._scroller.place = Place(wanted.id, 0)
            self.station_app.main.draw()
            return
        app = self.station_app
        lines = self._scroller.lines(app.state, wanted, app.times, self.width - 2)
        self.scroll_lines(min(len(lines), self.page_lines))

    @property
    def page_lines(self) -> int:
        """How far a page key goes."""
        return max(self.height - 3, 1)

    def paint(self, width: int, height: int) -> list[Row]:
        app = self.station_app
        state = app.state
        self._follow(state)
        room = max(height - 1, 1)  # on a very low screen nothing of it is seen
        self.sight = self._scroller.look(state, self._entries(), app.times, width - 2, room)
        who, where = title(state, app.now_s(), width)
        station = views.chosen(state)
        style = BAD if station is not None and station.alarm else BOLD
        inside = self.sight.lines
        if not inside:
            words = wrap(empty_words(state), width - 4)
            inside = [[], *([(f" {line}", PLAIN)] for line in words)]
        inside = [*inside, *([] for _ in range(room - len(inside)))]
        return [edge(who, width, right=where, style=style), *(boxed(row, width) for row in inside)]
