"""The call that is running, above the conversation: who, how long, how well, and the digits."""

from __future__ import annotations

from typing import Final

from appliance.api.schema import CallInfo
from appliance.tui import views
from appliance.tui.conference_panel import conference_rows, several
from appliance.tui.look import BAD, BOLD, CARE, GOOD, INVERSE, LOUD, PLAIN
from appliance.tui.pane import Pane, Row, spread
from appliance.tui.store import TuiState
from appliance.tui.talk_key import microphone_words
from appliance.tui.text import plain, wrap
from appliance.tui.wording import call_state, digits, meter, timer

SOUNDS_S: Final = 13.0
"""A call that is given up later than this has just been heard: there is no session, but sound."""

SILENCE = ("no-sound-arriving", "unreadable-sound", "media-gone")
"""Problems that make the other side silent, whatever else is wrong: they are shown first."""

_QUALITY = {"good": GOOD, "fair": CARE, "bad": BAD}


def talking_s(state: TuiState, call: CallInfo, now_s: float) -> float:
    """Return how long the call has been going on."""
    told = call.talking_s or 0.0
    return told + now_s - state.call_at_s.get(call.id, now_s) if call.state == "talking" else told


def lost_in_s(state: TuiState, call: CallInfo, now_s: float) -> float | None:
    """Return for how long a broken call is still tried; None: it is not broken, or still sounds."""
    if call.lost_in_s is None or (call.lost_in_s > SOUNDS_S and not call.problems):
        return None
    return max(call.lost_in_s - (now_s - state.call_at_s.get(call.id, now_s)), 0.0)


def _head(state: TuiState, call: CallInfo, now_s: float, width: int) -> Row:
    who = views.station_name(state, call.station, call.name, max(width // 2 - 12, 16))
    if call.state != "talking":
        return [(f" {who}   ", BOLD), (call_state(call), CARE)]
    left_s = lost_in_s(state, call, now_s)
    if left_s is not None:
        words = f"CONNECTION LOST, trying again: {left_s:.0f} s"
        if several(call):
            words = "CONNECTION LOST, another takes over"
        return [(f" {who}  {timer(talking_s(state, call, now_s))}  ", BOLD), (words, BAD)]
    words = call.quality if call.quality in _QUALITY else "measuring"
    if call.problems:
        words = "trouble"
    return spread(
        [
            (f" {who}  ", BOLD),
            (f"{timer(talking_s(state, call, now_s))}  ", BOLD),
            ("sound: ", PLAIN),
            (words, _QUALITY.get(words, PLAIN)),
        ],
        [
            microphone_words(state, call, now_s) or (f" you {meter(call.level_in_db)}  ", PLAIN),
            (f"them {meter(call.level_out_db)} ", PLAIN),
        ],
        width,
    )


def _with_whom(state: TuiState, call: CallInfo) -> str:
    """Among several the digits are those of one."""
    if not several(call):
        return "to be sure who it is"
    return f"with {views.station_name(state, call.station, call.name, 20)}"


def panel_rows(state: TuiState, call: CallInfo, now_s: float, width: int) -> list[Row]:
    """Return the panel: two to five rows."""
    rows: list[Row] = [_head(state, call, now_s, width)]
    rows += conference_rows(state, call, width)
    if not call.encrypted:
        rows.append([(" NOT ENCRYPTED ", LOUD), ("  Others can listen to this call.", BAD)])
    if call.reason and not call.problems and call.state == "talking" and call.lost_in_s is None:
        words = f"{call.quality.upper()}: {call.reason}. {call.advice}"
        rows += [[(" ! ", CARE), (line, PLAIN)] for line in wrap(plain(words), width - 4)[:2]]
    for problem in sorted(call.problems, key=lambda one: one.code not in SILENCE)[:2]:
        lines = wrap(plain(f"{problem.text} {problem.fix}"), width - 4)[:2]
        rows += [[(" ! ", LOUD), (line, BAD)] for line in lines]
    if call.digits and call.state == "talking":
        rows.append(
            [
                (f" Compare aloud {_with_whom(state, call)}:  ", PLAIN),
                (f" {digits(call.digits)} ", INVERSE),
                ("  F9 say if it matches", PLAIN),
            ]
        )
    return rows


class CallPanel(Pane):
    """The running call; hidden while there is none."""

    def height_for(self, width: int) -> int:
        return len(self.paint(width, 0))

    def paint(self, width: int, height: int) -> list[Row]:
        app = self.station_app
        call = views.running(app.state)
        return panel_rows(app.state, call, app.now_s(), width) if call else []
