"""The left side: who is there.

One row per conversation, everyone first.  Only the rows in sight are drawn, so it does not matter
how long the list is.
"""

from __future__ import annotations

from rich.style import Style

from appliance.api.schema import EVERYONE
from appliance.tui import views
from appliance.tui.look import BAD, BOLD, CARE, FRAME, GOOD, INVERSE, LOUD, PLAIN
from appliance.tui.pane import Pane, Row, boxed, edge, spread
from appliance.tui.store import TuiState
from appliance.tui.text import wrap
from appliance.tui.wording import IN_REACH, name, presence

_URGENT: dict[str, tuple[str, Style]] = {
    "emergency": (" EMERGENCY", LOUD),
    "priority": (" PRIORITY", BAD),
    "welfare": (" WELFARE ", CARE),
}
"""What stands in place of the presence while something urgent is unread."""

_LEGEND = "* unread  + not delivered"

LOOKING = "Looking for others... plug in a cable or a radio."


def left_width(width: int) -> int:
    """Return how many columns of a screen the list takes."""
    if width < 100:
        return min(max(width * 2 // 5, 16), 32)
    return min(36 + (width - 100) // 8, 48)


def first_shown(selected: int, before: int, rows: int, total: int) -> int:
    """Return the first row in sight: as before where the selected one is in sight then."""
    first = min(before, max(total - rows, 0))
    if selected < first:
        return selected
    return max(first, selected - rows + 1)


def station_row(state: TuiState, key: str, now_s: float, width: int) -> Row:
    """Return one row: mark, name, unread, ours that wait, and presence or what is urgent."""
    chosen = key == state.selected
    mark = ">" if chosen else " "
    count = views.unread(state, key)
    waiting = f" *{min(count, 999)}" if count else ""
    ours = views.undelivered(state, key)
    waiting += f" +{min(ours, 999)}" if ours else ""
    urgency = views.urgency(state, key)
    if key == EVERYONE:
        left: Row = [(f"{mark}Everyone", INVERSE if chosen else BOLD)]
        last = _URGENT.get(urgency, (" ", PLAIN))
        return spread(left, [(waiting, CARE), last], width)
    group = state.groups.get(key)
    if group is not None:
        colour = CARE if group.state == "invited" else PLAIN
        last = _URGENT.get(urgency, (f" {views.group_words(group):<8}", colour))
        style = INVERSE if chosen else (BOLD if group.state == "member" else PLAIN)
        label = mark + views.group_name(state, group, width - len(waiting) - len(last[0]) - 1)
        return spread([(label, style)], [(waiting, CARE), last], width)
    station = state.stations[key]
    where = presence(station, views.away_s(state, station, now_s))
    colour = GOOD if station.reach in IN_REACH else PLAIN
    if any(state.calls[one].station == key for one in state.missed_calls if one in state.calls):
        where, colour = "missed", CARE
    last = _URGENT.get(urgency, (f" {where:<8}", colour))
    if station.alarm:
        last = (" ALARM   ", BAD)
    right: Row = [(waiting, CARE), last]
    room = width - len(waiting) - len(last[0]) - 1
    style = INVERSE if chosen else (BOLD if station.reach in IN_REACH else PLAIN)
    return spread([(mark + name(station, room), style)], right, width)


class StationsPane(Pane):
    """The list of conversations."""

    def __init__(self) -> None:
        super().__init__()
        self._first = 0

    def paint(self, width: int, height: int) -> list[Row]:
        app = self.station_app
        state = app.state
        here = views.reach(state)
        total = len(state.stations)
        rows: list[Row] = [
            edge("Stations", width, right=f"{here} of {total} here" if total else "")
        ]
        room = height - 2
        place = state.listed.index(state.selected)
        self._first = first_shown(place, self._first, room, len(state.listed))
        shown = state.listed[self._first : self._first + room]
        inside = [station_row(state, key, app.now_s(), width - 2) for key in shown]
        if not here and len(inside) + 4 <= room and state.connection == "up":
            inside += [[], *([(f" {line}", PLAIN)] for line in wrap(LOOKING, width - 4))]
        inside += [[] for _ in range(room - len(inside))]
        rows += [boxed(row, width) for row in inside]
        return [*rows, edge(_LEGEND, width, ends="└┘", style=FRAME)]
