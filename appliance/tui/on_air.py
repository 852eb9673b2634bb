"""The box on the left that says who is on the air: on which channel, for how long, how loud."""

from __future__ import annotations

from typing import Final

from appliance.api.schema import EVERYONE
from appliance.tui import channels, views
from appliance.tui.channels import Channel
from appliance.tui.look import BOLD, CARE, INVERSE, LOUD, PLAIN
from appliance.tui.pane import Pane, Row, boxed, edge, floor, spread
from appliance.tui.store import TuiState
from appliance.tui.text import fit, one_line, wrap
from appliance.tui.wording import meter, timer

_GROUP: Final = " (group)"
"""Nothing else is a channel but everyone's."""

LIMIT_S: Final = 60.0
"""How long one may speak at a time."""

MAX_SHOWN: Final = 2
"""Channels in the box; of more it is said how many."""

MIN_HEIGHT: Final = 12
"""With fewer rows on the left there is room for the stations only."""


def channel_name(state: TuiState, key: str, width: int = 40) -> str:
    """Return what a channel is called."""
    if key == EVERYONE:
        return "Everyone"
    return views.title_of(state, key, width + len(_GROUP)).removesuffix(_GROUP)


def talking_s(channel: Channel, now_s: float) -> float:
    """Return for how long somebody has been speaking."""
    return (channel.info.talking_s or 0.0) + now_s - channel.told_at_s


def who(state: TuiState, station: str, name: str, width: int = 40) -> str:
    """Return what a speaker is called."""
    own = state.status is not None and station == state.status.id
    return "you" if own else views.station_name(state, station, name, width)


def _what(state: TuiState, channel: Channel, now_s: float, width: int) -> Row:
    """Return what goes on, in a few words."""
    info = channel.info
    if info.key == "speaking":
        left_s = LIMIT_S - talking_s(channel, now_s)
        return [(fit(f" YOU TALK, {timer(left_s)} left", width), LOUD)]
    if info.key == "over":
        return [(" STOPPED. F3: let go", LOUD)]
    if info.replaying:
        return [(" hear it again", BOLD)]
    if info.speaker is None:
        return [(f" quiet; it was {who(state, channel.heard, '', width - 16)}", PLAIN)]
    name = who(state, info.speaker, info.speaker_name, width - len(" WAIT,  talks"))
    if info.key == "waiting":
        return [(f" WAIT, {name} talks", INVERSE)]
    if not info.has_key:
        return [(f" {name}: no key yet", CARE)]
    return [(f" {name} talks", BOLD)]


def _title(state: TuiState, channel: Channel, now_s: float, width: int) -> Row:
    info = channel.info
    urgent = info.speaker is not None and info.precedence != "routine"
    tail = " open" if info.open else ""
    if info.speaker is not None and info.key == "up":
        tail += f" {timer(talking_s(channel, now_s))}"
        if info.level_db is not None and not urgent:
            tail += f" {meter(info.level_db)}"
    mark = f"{info.precedence.upper()} " if urgent else ""
    name = channel_name(state, info.channel, width - len(tail) - len(mark))
    return spread([(mark, LOUD), (name, PLAIN)], [(tail, PLAIN)], width)


def on_air_rows(state: TuiState, now_s: float, width: int) -> list[Row]:
    """Return the rows inside the box; none: nothing is on the air."""
    shown = channels.on_air(state.channels, now_s)
    rows: list[Row] = []
    for channel in shown[:MAX_SHOWN]:
        rows.append(_title(state, channel, now_s, width))
        rows.append(_what(state, channel, now_s, width))
        if channel.info.detail and channel.info.key == "up":
            lines = wrap(one_line(channel.info.detail), width - 2)[:2]
            rows += [[(f" {line}", CARE)] for line in lines]
    busy = sum(one.busy for one in shown[MAX_SHOWN:])
    if busy:
        rows.append([(f" and {busy} more", PLAIN)])
    return rows


class OnAirPane(Pane):
    """The box; hidden while nothing was said for a minute."""

    def height_on(self, width: int, height: int) -> int:
        """Return how many of the rows on the left it takes."""
        if height < MIN_HEIGHT:
            return 0
        app = self.station_app
        rows = on_air_rows(app.state, app.now_s(), width - 2)
        return len(rows) + 2 if rows else 0

    def paint(self, width: int, height: int) -> list[Row]:
        app = self.station_app
        inside = on_air_rows(app.state, app.now_s(), width - 2)
        return [
            edge("On the air", width),
            *(boxed(row, width) for row in inside),
            floor(width),
        ]
