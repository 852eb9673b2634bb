"""The middle: what is said.

Scrolling goes by entries and lines, not by a total height, so that nothing but what is in sight
is ever laid out.  The pane also knows which messages were in sight whole: only those may be
reported as read.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from appliance.api.schema import EVERYONE, Message
from appliance.tui import views
from appliance.tui.entries import DAY, Entry, entries, entry_key, entry_lines
from appliance.tui.look import BAD, BOLD, PLAIN
from appliance.tui.pane import Pane, Row, boxed, edge
from appliance.tui.store import TuiState
from appliance.tui.text import wrap
from appliance.tui.wording import Times, name, presence

_CACHED_ENTRIES = 300


@dataclass(frozen=True)
class Place:
    """A line of an entry."""

    key: str
    """Of the entry."""

    line: int
    """Counted from its first."""


@dataclass(frozen=True)
class Sight:
    """What is in sight."""

    lines: list[Row]
    """From the top."""

    top: Place | None
    """The first line."""

    below: bool
    """There is more further down."""

    seen: int | None
    """The highest order up to which everything new has been in sight; None: nothing new was."""


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
    return "Nothing was said yet. To write, just type, then press Enter. F2 calls."


def title(state: TuiState, now_s: float, width: int) -> tuple[str, str]:
    """Return who the conversation is with, and how they can be reached."""
    station = views.chosen(state)
    if station is None:
        return "Everyone", ""
    trust = {"new": " not verified", "known": " not verified", "verified": " verified"}
    where = presence(station, views.away_s(state, station, now_s))
    words = "  ALARM" if station.alarm else f" {trust[station.trust]}"
    return name(station, max(width - len(words) - len(where) - 8, 12)) + words, where


class Scroller:
    """Where the reader is in one conversation."""

    def __init__(self) -> None:
        self._cache: OrderedDict[tuple[object, ...], list[Row]] = OrderedDict()
        self.place: Place | None = None
        """The line at the top; None: the end is in sight and stays so."""

    def lines(self, state: TuiState, entry: Entry, times: Times, width: int) -> list[Row]:
        """Lay an entry out, or remember how it was."""
        key = (entry, width, state.stations.get(state.selected))
        if isinstance(entry, Message) and entry.conversation == EVERYONE:
            key = (entry, width, state.stations.get(entry.author))
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = entry_lines(state, entry, times, width)
            while len(self._cache) > _CACHED_ENTRIES:
                self._cache.popitem(last=False)
        return found

    def look(
        self, state: TuiState, all_entries: list[Entry], times: Times, width: int, height: int
    ) -> Sight:
        """Return what is in sight; keeps to the first unread message rather than pass it."""
        start, line = self._start(all_entries)
        if self.place is None:
            start, line = self._from_end(state, all_entries, times, width, height)
        rows: list[Row] = []
        shown: list[tuple[Entry, bool]] = []
        at, skip = start, line
        while at < len(all_entries) and len(rows) < height:
            found = self.lines(state, all_entries[at], times, width)[skip:]
            rows += found
            shown.append((all_entries[at], len(rows) <= height))
            at, skip = at + 1, 0
        below = len(rows) > height or at < len(all_entries)
        if not below and self.place is not None:
            # The end came into sight: stay with it.
            self.place = None
            return self.look(state, all_entries, times, width, height)
        top = Place(entry_key(all_entries[start]), line) if all_entries else None
        talk = views.talk(state)
        more = bool(talk and talk.more)
        return Sight(rows[:height], top, below, _seen(talk.messages if talk else (), shown, more))

    def _start(self, all_entries: list[Entry]) -> tuple[int, int]:
        if self.place is None:
            return 0, 0
        # The line of a day moves to an older message when one comes in from further back.
        wanted = {self.place.key, self.place.key.removeprefix(DAY)}
        for at, entry in enumerate(all_entries):
            if entry_key(entry) in wanted:
                return at, self.place.line
        self.place = None
        return 0, 0

    def _from_end(
        self, state: TuiState, all_entries: list[Entry], times: Times, width: int, height: int
    ) -> tuple[int, int]:
        """Return the place from which the end is in sight, or an unread message before it."""
        unread = _first_unread(all_entries)
        used, at = 0, len(all_entries)
        while at > 0 and used < height:
            at -= 1
            used += len(self.lines(state, all_entries[at], times, width))
        over = max(used - height, 0)
        if unread is not None and (unread < at or (unread == at and over)):
            self.place = Place(entry_key(all_entries[unread]), 0)
            return unread, 0
        return at, over

    def scroll(
        self,
        state: TuiState,
        all_entries: list[Entry],
        times: Times,
        width: int,
        by: int,
        top: Place,
    ) -> None:
        """Move by so many lines, up where negative; the top line was `top`."""
        self.place = top
        at, line = self._start(all_entries)
        line += by
        while line < 0 and at > 0:
            at -= 1
            line += len(self.lines(state, all_entries[at], times, width))
        while at + 1 < len(all_entries):
            size = len(self.lines(state, all_entries[at], times, width))
            if line < size:
                break
            at, line = at + 1, line - size
        self.place = Place(entry_key(all_entries[at]), max(line, 0))


def _first_unread(all_entries: list[Entry]) -> int | None:
    for at, entry in enumerate(all_entries):
        if isinstance(entry, Message) and entry.unread:
            new = at > 0 and entry_key(all_entries[at - 1]) == "new"
            return at - 1 if new else at
    return None


def _seen(messages: tuple[Message, ...], shown: list[tuple[Entry, bool]], more: bool) -> int | None:
    """Return up to where all unread messages are in sight whole or were read before.

    Reading is reported "up to", so an unread message further up, or one that is not loaded, holds
    the report back.
    """
    first = views.first_unread(messages)
    if first is None or (more and first == 0):
        return None
    whole = {entry.id for entry, all_of_it in shown if isinstance(entry, Message) and all_of_it}
    seen: int | None = None
    for message in messages[first:]:
        if not message.unread:
            continue
        if message.id not in whole:
            return seen
        seen = message.order
    return seen


class ConversationPane(Pane):
    """The messages of the chosen conversation."""

    def __init__(self) -> None:
        super().__init__()
        self._scroller = Scroller()
        self._shown = ""
        self._opened = False
        self._new_from: str | None = None
        self.sight = Sight([], None, below=False, seen=None)

    def _entries(self) -> list[Entry]:
        return entries(self.station_app.state, self.station_app.times, self._new_from)

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

    def scroll_lines(self, by: int) -> bool:
        """Scroll; tells whether older messages than those here are wanted."""
        app = self.station_app
        if self.sight.top is None:
            return False
        width = self.width - 2
        self._scroller.scroll(app.state, self._entries(), app.times, width, by, self.sight.top)
        self.station_app.main.draw()
        return by < 0 and self._near_top()

    def _near_top(self) -> bool:
        all_entries = self._entries()
        top = self.sight.top
        return top is not None and entry_key(all_entries[0]) == top.key

    @property
    def page_lines(self) -> int:
        """How far a page key goes."""
        return max(self.height - 3, 1)

    def paint(self, width: int, height: int) -> list[Row]:
        app = self.station_app
        state = app.state
        self._follow(state)
        room = height - 1
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
