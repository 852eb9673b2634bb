"""Where the reader is in a conversation, and what of it is in sight.

Scrolling goes by entries and lines, not by a total height, so that nothing but what is in sight
is ever laid out.  It is also known which messages were in sight whole: only those may be reported
as read.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from appliance.api.schema import Message
from appliance.tui import views
from appliance.tui.entries import DAY, Entry, entry_key, entry_lines
from appliance.tui.pane import Row
from appliance.tui.store import TuiState
from appliance.tui.talks import Talk
from appliance.tui.wording import Times

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

    whole: tuple[str, ...]
    """Ids of the messages that are in sight whole, from the top."""

    seen: int | None
    """The highest order up to which everything new has been in sight; None: nothing new was."""


class Scroller:
    """Where the reader is in one conversation."""

    def __init__(self) -> None:
        self._cache: OrderedDict[tuple[object, ...], list[Row]] = OrderedDict()
        self.chosen = ""
        """Id of the message that the reader is at; empty while they write."""
        self.place: Place | None = None
        """The line at the top; None: the end is in sight and stays so."""
        self.looked_at: frozenset[str] = frozenset()
        """Ids of messages that were in sight whole before, while somebody was there."""

    def lines(self, state: TuiState, entry: Entry, times: Times, width: int) -> list[Row]:
        """Lay an entry out, or remember how it was."""
        chosen = isinstance(entry, Message) and entry.id == self.chosen
        key: tuple[object, ...] = (entry, width, chosen, state.stations.get(state.selected))
        if isinstance(entry, Message) and state.selected not in state.stations:
            key = (entry, width, chosen, state.stations.get(entry.author))
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = entry_lines(state, entry, times, width, chosen=chosen)
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
        talk = views.talk(state)
        below = len(rows) > height or at < len(all_entries) or bool(talk and talk.newer)
        if not below and self.place is not None:
            # The end came into sight: stay with it.
            self.place = None
            return self.look(state, all_entries, times, width, height)
        if self.place is None and below and all_entries:
            # What comes behind is not here yet: nothing may move when it does.
            self.place = Place(entry_key(all_entries[start]), line)
        top = Place(entry_key(all_entries[start]), line) if all_entries else None
        whole = tuple(one.id for one, all_of in shown if isinstance(one, Message) and all_of)
        seen = _seen(talk or Talk(), self.looked_at.union(whole))
        return Sight(rows[:height], top, below, whole, seen)

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
        unread = _first_unread(all_entries, self.looked_at)
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


def _first_unread(all_entries: list[Entry], looked_at: frozenset[str]) -> int | None:
    for at, entry in enumerate(all_entries):
        if isinstance(entry, Message) and entry.unread and entry.id not in looked_at:
            new = at > 0 and entry_key(all_entries[at - 1]) == "new"
            return at - 1 if new else at
    return None


def _seen(talk: Talk, looked_at: frozenset[str]) -> int | None:
    """Return up to where all unread messages are in sight whole or were read before.

    Reading is reported "up to" an order, which several messages may have.  So an unread message
    further up, of the same order, or one that is not loaded, holds the report back.
    """
    first = views.first_unread(talk.messages)
    if first is None or talk.unread_before or (talk.more and first == 0):
        return None
    seen: list[int] = []
    held = talk.messages[-1].order if talk.newer else None
    for message in talk.messages[first:]:
        if not message.unread:
            continue
        if message.id not in looked_at:
            held = message.order
            break
        seen.append(message.order)
    return max((order for order in seen if held is None or order < held), default=None)
