"""The first line: who I am, how many I reach, what waits, and the time."""

from __future__ import annotations

from appliance.tui import views
from appliance.tui.look import BAD, BOLD, CARE, PLAIN
from appliance.tui.pane import Pane, Row, row_cells
from appliance.tui.store import TuiState
from appliance.tui.text import fit, one_line, plain_name
from appliance.tui.wording import Times, number


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def top_row(state: TuiState, now_s: float, times: Times, width: int) -> Row:
    """Return the line; what does not fit goes from the middle."""
    status = state.status
    if status is None:
        words = "Starting..." if state.connection == "starting" else "Not connected"
        return [(" fencewire  ", BOLD), (words, BAD if state.connection == "lost" else PLAIN)]
    me: Row = [
        (f" {fit(plain_name(status.name), max(width // 3, 8))}", BOLD),
        (f" {number(status.number)}", PLAIN),
    ]
    facts: list[Row] = []
    if state.connection == "lost":
        facts.append([("NOT CONNECTED", BAD)])
    else:
        far = views.farthest(state)
        hops = f", {far} hops" if far > 1 else ""
        facts.append([(f"reach {views.reach(state)}{hops}", PLAIN)])
    missed = max(len(state.missed_calls), status.missed_calls)
    if missed:
        facts.append([(_plural(missed, "missed call", "missed calls"), CARE)])
    if status.unread:
        facts.append([(f"{status.unread} unread", CARE)])
    waiting = views.all_undelivered(state)
    if waiting:
        facts.append([(f"{waiting} not delivered", PLAIN)])
    at = views.clock(state, now_s)
    if at is not None:
        facts.append([(times.clock(at), PLAIN)])
    if status.clock_source:
        source: Row = [(one_line(status.clock_source), PLAIN)]
        taken = row_cells(me) + sum(row_cells(row) + 2 for row in [*facts, source])
        if taken < width:
            facts.insert(-1, source)
    room = width - row_cells(me) - sum(row_cells(row) for row in facts) - 1
    gap = max(min(room // len(facts), 6), 1)
    line = list(me)
    for row in facts:
        line += [(" " * gap, PLAIN), *row]
    return line


class TopLine(Pane):
    """The first line."""

    def paint(self, width: int, height: int) -> list[Row]:
        app = self.station_app
        return [top_row(app.state, app.now_s(), app.times, width)]
