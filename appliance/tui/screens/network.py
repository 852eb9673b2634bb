"""The network as a picture: our links, who is met on each, and who is known but away."""

from __future__ import annotations

from appliance.api.schema import Link, Neighbour
from appliance.tui import views
from appliance.tui.dialogs import PageDialog
from appliance.tui.look import BOLD, FRAME, GOOD, PLAIN
from appliance.tui.pane import Row
from appliance.tui.store import TuiState
from appliance.tui.text import fit, one_line, plain_name
from appliance.tui.wording import number, span

_MAX_AWAY = 30
_MAX_NEIGHBOURS = 60


def _millis(rtt_ms: float | None) -> str:
    return "" if rtt_ms is None else f"{rtt_ms:.0f} ms" if rtt_ms >= 1 else "under 1 ms"


def _neighbour(state: TuiState, one: Neighbour, stem: str, width: int) -> Row:
    who = views.station_name(state, one.station, width=24)
    tail = f"{_millis(one.rtt_ms):<11}{one_line(one.host)}"
    return [
        (f"  {stem}──", FRAME),
        (f"[{who}]", BOLD),
        (f"  {fit(tail, max(width - 34, 8))}", PLAIN),
    ]


def _link(state: TuiState, link: Link, *, last: bool, width: int) -> list[Row]:
    stem, trunk = ("└", " ") if last else ("├", "│")
    count = len(link.neighbours)
    word = "neighbour" if count == 1 else "neighbours"
    condition = "up  " if link.up else "down"
    facts = (
        f"{count} {word}   {' '.join(link.addresses)}" if link.up else "no cable, or switched off"
    )
    head: Row = [
        (f" {stem}──", FRAME),
        (f"{plain_name(link.name):<8} ", BOLD),
        (f"{condition}  ", GOOD if link.up else PLAIN),
        (fit(facts, max(width - 22, 8)), PLAIN),
    ]
    rows = [head]
    shown = link.neighbours[:_MAX_NEIGHBOURS]
    for place, one in enumerate(shown):
        branch = "└" if place == len(shown) - 1 else "├"
        inner = _neighbour(state, one, branch, width - 4)
        rows.append([(f" {trunk} ", FRAME), *inner])
    if count > len(shown):
        rows.append([(f" {trunk}     and {count - len(shown)} more", PLAIN)])
    return rows


def _away(state: TuiState, now_s: float) -> list[Row]:
    away = [one for one in state.stations.values() if one.reach == "away"]
    rows: list[Row] = []
    for station in away[:_MAX_AWAY]:
        for_s = views.away_s(state, station, now_s)
        when = "not met yet" if for_s is None else f"last seen {span(for_s)} ago"
        rows.append([(f"   {views.station_name(state, station.id)}: {when}", PLAIN)])
    if len(away) > _MAX_AWAY:
        rows.append([(f"   and {len(away) - _MAX_AWAY} more", PLAIN)])
    return rows


class NetworkPage(PageDialog):
    """Links and neighbours."""

    title = "Network"

    def body(self, width: int) -> list[Row]:
        app = self.station_app
        state = app.state
        status = state.status
        rows: list[Row] = [[("[you]", BOLD)]]
        if status is not None:
            rows[0] = [*rows[0], (f"  {number(status.number)}  {status.address}", PLAIN)]
        for place, link in enumerate(state.links):
            last = place == len(state.links) - 1
            rows += _link(state, link, last=last, width=width)
        if not state.links:
            rows.append([("  no network yet: plug in a cable or a radio", PLAIN)])
        away = _away(state, app.now_s())
        if away:
            rows += [[], [("Known, but away", BOLD)], *away]
        return rows
