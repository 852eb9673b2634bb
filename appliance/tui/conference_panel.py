"""Who is in the call, where they are several: below the call's own line."""

from __future__ import annotations

from appliance.api.conferences import ConferenceMember
from appliance.api.schema import CallInfo
from appliance.tui import views
from appliance.tui.look import CARE, PLAIN
from appliance.tui.pane import Row
from appliance.tui.store import TuiState
from appliance.tui.text import wrap

MAX_ROWS = 4
"""For 16 names; what does not fit is counted."""


def _word(member: ConferenceMember) -> str:
    if member.state == "calling":
        return " calling..."
    if member.state == "lost":
        return " lost"
    return " TALKS" if member.talking else ""


def several(call: CallInfo) -> bool:
    """Others are in it beside the one whom it began with."""
    return call.conference is not None and len(call.conference.members) > 2


def conference_rows(state: TuiState, call: CallInfo, width: int) -> list[Row]:
    """Return who is in, who talks and which station all sound goes through; none of a call of two.

    That station hears all in the clear.
    """
    room = call.conference
    if room is None or len(room.members) < 2:
        return []
    us = state.status.id if state.status is not None else ""
    told, through = [], ""
    for member in room.members:
        name = views.station_name(state, member.station, member.name, 20)
        if member.station == room.focus and not room.searching:
            through = " through this station" if member.station == us else f" through {name}"
        told.append(("you" if member.station == us else name) + _word(member))
    lines = wrap(f"Together{through}: {', '.join(told)}", width - 2)
    if len(lines) > MAX_ROWS:
        count = sum(one.state == "in" for one in room.members)
        lines = [*lines[: MAX_ROWS - 1], f"... {count} are in it."]
    rows: list[Row] = [[(" ", PLAIN), (line, PLAIN)] for line in lines]
    if room.searching:
        text = " The station that joined you is gone. Wait: another one takes over."
        rows.append([(text, CARE)])
    return rows


def may_add(state: TuiState, call: CallInfo) -> str | None:
    """Return the chosen station's id if it could join the call."""
    station = views.chosen(state)
    if station is None or call.state != "talking":
        return None
    inside = {call.station}
    if call.conference is not None:
        inside |= {one.station for one in call.conference.members}
    return None if station.id in inside else station.id
