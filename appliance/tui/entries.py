"""A conversation as entries, and each entry in lines.

Entries are messages, calls, days and the mark in front of what is new.  An entry is laid out only
when it comes into sight: a page of long messages costs nothing until somebody scrolls there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from appliance.api.schema import CallInfo, Message
from appliance.api.storage import Removed
from appliance.tui import views
from appliance.tui.look import BAD, BOLD, CARE, FRAME, GOOD, INVERSE, LOUD, PLAIN
from appliance.tui.pane import Row, row_cells, spread
from appliance.tui.store import TuiState
from appliance.tui.text import cells, fit, one_line, plain, plain_name, wrap
from appliance.tui.wording import (
    Times,
    attachment_state,
    attachment_title,
    call_end,
    delivery,
    suffix,
)

_INDENT = 8
"""Columns of the time, `~13:58` at most, and the space around it."""

DAY = "day-"
"""Begins the key of a day's line; the id of the message under it follows."""

REMOVED = "removed"
"""Key of the line that says what had to make room."""

_URGENT_STYLES = {"emergency": LOUD, "priority": BAD, "welfare": CARE}
_STATE_STYLES = {"delivered": GOOD, "read": GOOD, "expired": BAD, "queued": CARE}


@dataclass(frozen=True)
class Mark:
    """A line across: a day, or the beginning of what is new."""

    key: str
    """Unique in the conversation."""

    text: str
    """What it says."""


Entry: TypeAlias = Message | CallInfo | Mark


def entry_key(entry: Entry) -> str:
    """Return what stays the same when the entry changes its state."""
    return entry.key if isinstance(entry, Mark) else entry.id


def removed_words(removed: Removed, times: Times) -> str:
    """Return what had to make room, in a sentence."""
    count = removed.records
    what = "1 older message was" if count == 1 else f"{count} older messages were"
    when = f"{times.day(removed.up_to)} {times.clock(removed.up_to)}"
    lost = f"; {removed.undelivered} of them had not arrived" if removed.undelivered else ""
    return f"{what} removed to make room, up to {when}{lost}"


def entries(state: TuiState, times: Times, new_from: str | None) -> list[Entry]:
    """Return the shown conversation, oldest first; `new_from` is the first new message's id."""
    talk = views.talk(state)
    older, newer = (talk.more, talk.newer) if talk else (False, False)
    calls = sorted(
        (one for one in state.calls.values() if one.station == state.selected),
        key=lambda one: one.started_at.ms,
        reverse=True,
    )
    out: list[Entry] = []
    removed = state.removed.get(state.selected)
    if removed is not None and talk is not None and not older:
        out.append(Mark(REMOVED, removed_words(removed, times)))
    day = ""
    messages = talk.messages if talk else ()
    if older and messages:
        # Calls that belong between messages which are not here.
        calls = [one for one in calls if one.started_at.ms >= messages[0].received_at.ms]
    for message in messages:
        while calls and calls[-1].started_at.ms < message.received_at.ms:
            out.append(calls.pop())
        today = times.day(message.received_at)
        if today != day:
            day = today
            out.append(Mark(DAY + message.id, today))
        if message.id == new_from:
            out.append(Mark("new", "new"))
        out.append(message)
    return out if newer else [*out, *reversed(calls)]


def author(state: TuiState, message: Message) -> str:
    """Return who wrote a message; beside a title that names them, the tag is left out."""
    if message.outgoing:
        return "you"
    if message.conversation in state.stations:
        station = state.stations.get(message.author)
        if station is not None:
            mark = "?" if station.trust != "verified" else suffix(station)
            return fit(plain_name(station.name), 16) + mark
    return views.station_name(state, message.author, plain_name(message.author_name), 24)


def _elsewhen(message: Message, times: Times) -> str:
    """Return the day that the author claims, where it is not the day on which it came."""
    claimed = times.day(message.written_at)
    return "" if claimed == times.day(message.received_at) else f" (written {claimed})"


def _message_lines(
    state: TuiState, message: Message, times: Times, width: int, *, chosen: bool
) -> list[Row]:
    when = times.clock(message.written_at)
    head = f"{author(state, message)}{_elsewhen(message, times)}: "
    urgent = "" if message.precedence == "routine" else f"{message.precedence.upper()} "
    room = width - _INDENT
    text = wrap(f"{urgent}{head}{plain(message.text)}", room)
    lead = len(urgent) + len(head) - 1
    first = text[0]
    lines: list[Row] = [
        [
            (f">{when:>6} ", INVERSE) if chosen else (f"{when:>7} ", FRAME),
            (first[: len(urgent)], _URGENT_STYLES.get(message.precedence, PLAIN)),
            (first[len(urgent) : lead], BOLD),
            (first[lead:], PLAIN),
        ]
    ]
    lines += [[(" " * _INDENT, PLAIN), (line, PLAIN)] for line in text[1:]]
    for one in message.attachments:
        where = attachment_state(one)
        words = f"[{attachment_title(one, room - cells(where) - 3)}] {where}"
        style = BAD if one.state == "refused" else CARE if one.state != "here" else BOLD
        lines.append([(" " * _INDENT, PLAIN), (fit(words, room), style)])
    if not message.outgoing:
        return lines
    words = delivery(message, times)
    if message.problem and message.state in {"queued", "relayed", "expired"}:
        words = f"{words}: {one_line(message.problem)}"
    end: Row = [(fit(words, room), _STATE_STYLES.get(message.state, PLAIN)), (" ", PLAIN)]
    if row_cells(lines[-1]) + row_cells(end) + 2 <= width:
        return [*lines[:-1], spread(lines[-1], end, width)]
    return [*lines, spread([], end, width)]


def _notice_lines(message: Message, times: Times, width: int, *, chosen: bool) -> list[Row]:
    """Lay out what happened in a group: nobody's words."""
    when = times.clock(message.received_at)
    lead = (f">{when:>6} ", INVERSE) if chosen else (f"{when:>7} ", FRAME)
    first, *rest = wrap(f"-- {plain(message.text)}", width - _INDENT)
    return [[lead, (first, FRAME)], *([(" " * _INDENT + line, FRAME)] for line in rest)]


def entry_lines(
    state: TuiState, entry: Entry, times: Times, width: int, *, chosen: bool = False
) -> list[Row]:
    """Lay one entry out."""
    if isinstance(entry, Message) and entry.notice:
        return _notice_lines(entry, times, width, chosen=chosen)
    if isinstance(entry, Message):
        return _message_lines(state, entry, times, width, chosen=chosen)
    if isinstance(entry, CallInfo):
        words = call_end(entry) if entry.state == "ended" else "call"
        style = CARE if words == "missed call" else FRAME
        first, *rest = wrap(f"-- {words} --", width - _INDENT)
        lead = (f"{times.clock(entry.started_at):>7} ", FRAME)
        return [[lead, (first, style)], *([(" " * _INDENT + line, style)] for line in rest)]
    if entry.key == REMOVED:
        return [[(f" {line}", CARE)] for line in wrap(f"-- {entry.text} --", width - 2)]
    line = f"-- {entry.text} "
    return [[(" ", FRAME), (line + "-" * max(width - 2 - len(line), 0), FRAME)]]
