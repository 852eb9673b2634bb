"""The network: the mesh as a picture, the way to whoever is chosen, our links, and who is away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from appliance.api.errors import ClientError, RequestError
from appliance.api.schema import Link, Mesh, MeshPath, Neighbour, PathHop
from appliance.tui import views
from appliance.tui.dialogs import PageDialog, paragraphs
from appliance.tui.look import BAD, BOLD, FRAME, GOOD, INVERSE, PLAIN
from appliance.tui.mesh_picture import MAX_DRAWN, Ink, draw
from appliance.tui.mesh_words import hop_name, link_facts, millis, path_rows, path_title
from appliance.tui.pane import Row
from appliance.tui.store import TuiState
from appliance.tui.text import fit, one_line, pad, plain_name
from appliance.tui.wording import IN_REACH, number, span

FILLING_S: Final = 0.5
"""Between two looks while others are still being asked."""

CALM_S: Final = 5.0
"""Between two looks at what is known."""

_MAX_AWAY = 30
_MAX_NEIGHBOURS = 6
_STYLES: Final = {Ink.LINE: FRAME, Ink.NAME: BOLD, Ink.CHOSEN: INVERSE, Ink.TEXT: PLAIN}

ALONE = "No network helper runs here, so only neighbours are reached. To see why: fencewire doctor"
NO_ROUTING = "The network helper can't route, so only neighbours are reached."


def _path(path: MeshPath, state: TuiState, width: int) -> list[Row]:
    def name(hop: PathHop) -> str:
        if hop.station is None or hop.station not in state.stations:
            return hop_name(hop)
        return views.station_name(state, hop.station, width=24)

    title = path_title(path, views.station_name(state, path.station, width=30))
    return [
        [],
        [(fit(title, width), BOLD)],
        *([(fit(row, width), PLAIN)] for row in path_rows(path, name)),
    ]


def _neighbour(state: TuiState, one: Neighbour, width: int) -> Row:
    who = views.station_name(state, one.station, width=24)
    tail = f"{millis(one.rtt_ms):<11}{one_line(one.host)}"
    return [
        ("    ", FRAME),
        (pad(f"[{who}]", 26), BOLD),
        (f"  {fit(tail, max(width - 34, 8))}", PLAIN),
    ]


def _link(state: TuiState, link: Link, width: int) -> list[Row]:
    good = link.up and link.used is not False
    rows: list[Row] = [
        [
            (f" {fit(plain_name(link.name), 12):<8} ", BOLD),
            (fit(link_facts(link), max(width - 14, 8)), GOOD if good else PLAIN),
        ]
    ]
    shown = link.neighbours[:_MAX_NEIGHBOURS]
    rows += [_neighbour(state, one, width) for one in shown]
    if len(link.neighbours) > len(shown):
        rows.append([(f"    and {len(link.neighbours) - len(shown)} more", PLAIN)])
    return rows


def _away(state: TuiState, now_s: float) -> list[Row]:
    away = [one for one in state.stations.values() if one.reach == "away"]
    rows: list[Row] = []
    for station in away[:_MAX_AWAY]:
        for_s = views.away_s(state, station, now_s)
        when = "not met yet" if for_s is None else f"last seen {span(for_s)} ago"
        rows.append([(f" {views.station_name(state, station.id)}: {when}", PLAIN)])
    if len(away) > _MAX_AWAY:
        rows.append([(f" and {len(away) - _MAX_AWAY} more", PLAIN)])
    return [[], [("Known, but away", BOLD)], *rows] if rows else []


class NetworkPage(PageDialog):
    """The mesh and our links."""

    title = "Network"

    def __init__(self) -> None:
        super().__init__()
        self._mesh: Mesh | None = None
        self._path: MeshPath | None = None
        self._drawn: tuple[Mesh, str, int, list[Row]] | None = None

    def opened(self) -> None:
        self.station_app.start(self._follow())

    async def _follow(self) -> None:
        """Ask again and again, as long as somebody looks."""
        app = self.station_app
        while self in app.main.dialogs:
            with suppress(ClientError):  # the screen itself says that the daemon has gone
                self._mesh = await app.client.mesh()
                app.redraw()
                await self._find_path()
                app.redraw()
            filling = self._mesh is not None and self._mesh.waiting > 0
            await asyncio.sleep(FILLING_S if filling else CALM_S)

    async def _find_path(self) -> None:
        station = views.chosen(self.station_app.state)
        path = None
        if station is not None and station.reach in IN_REACH:
            with suppress(RequestError):  # it has just gone away, which the list shows
                path = await self.station_app.client.path_to(station.id)
        self._path = path

    def _picture(self, mesh: Mesh, chosen: str, width: int) -> list[Row]:
        """Draw it; hundreds of stations are not laid out anew for every key."""
        drawn = self._drawn
        if drawn is None or drawn[0] is not mesh or drawn[1:3] != (chosen, width):
            pieces = draw(mesh, width, chosen)
            rows: list[Row] = [[(text, _STYLES[ink]) for text, ink in row] for row in pieces]
            drawn = self._drawn = (mesh, chosen, width, rows)
        return list(drawn[3])

    def body(self, width: int) -> list[Row]:
        app = self.station_app
        state, status = app.state, app.state.status
        mesh: list[Row] = [[(" [you]", BOLD)]]
        if self._mesh is not None:
            mesh = self._picture(self._mesh, state.selected, width)
        crowd = self._mesh is not None and len(self._mesh.nodes) > MAX_DRAWN
        rows: list[Row] = [] if crowd else mesh
        if status is not None:
            for problem in status.problems:
                text = f"! {one_line(problem.text)} {one_line(problem.fix)}"
                rows += [[(line, BAD) for line, _ in row] for row in paragraphs(text, width)]
        if self._path is not None and self._path.station == state.selected:
            rows += _path(self._path, state, width)
        rows += [[], [("Links", BOLD)]]
        for link in state.links:
            rows += _link(state, link, width)
        if not state.links:
            rows.append([(" no network yet: plug in a cable or a radio", PLAIN)])
        if status is not None:
            if not status.mesh.helper:
                rows += paragraphs(f" {ALONE}", width)
            elif not status.mesh.routing:
                rows += paragraphs(f" {NO_ROUTING}", width)
            own = f" {number(status.number)}  {status.address}"
            rows.append([(fit(own, width), PLAIN)])
        if crowd:
            rows += [[], [("Who is there", BOLD)], *mesh]
        return [*rows, *_away(state, app.now_s())]
