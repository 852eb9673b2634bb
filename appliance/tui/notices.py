"""What went wrong and what to do, above the keys; and the alarm that can't be missed."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.tui import views
from appliance.tui.look import BAD, CARE, LOUD, PLAIN
from appliance.tui.pane import Pane, Row
from appliance.tui.store import TuiState
from appliance.tui.text import one_line, pad, plain, plain_name, wrap

_MAX_ROWS = 3
_MAX_ALARM_ROWS = 4

NOT_CONNECTED = (
    "The program that talks to the other stations does not answer. Trying again by itself. "
    "What you write stays here until it is back."
)


@dataclass(frozen=True)
class Notice:
    """Something to say about what was just done."""

    text: str
    """Plain English, with what to do next."""

    bad: bool
    """It did not work."""

    until_s: float
    """When it goes."""


def what_to_say(state: TuiState, notice: Notice | None) -> tuple[str, bool] | None:
    """Return the most pressing thing and whether it is bad news."""
    if notice is not None:
        return notice.text, notice.bad
    if state.connection == "lost":
        # What keeps it from starting is for the operator; what interrupts it passes.
        return (state.trouble if state.status is None else "") or NOT_CONNECTED, True
    asked = views.asking(state)
    call = views.running(state)
    # In a call the panel shows the digits themselves.
    if asked is not None and (call is None or call.station != asked.station):
        who = views.station_name(state, asked.station)
        return f"{who} wants to compare six digits with you: press F9.", False
    if state.status is None:
        return None
    if state.status.problems:
        worst, *others = state.status.problems
        more = f" ({len(others)} more: Esc, More)" if others else ""
        return f"{worst.text} {worst.fix}{more}", True
    if state.status.name_is_default:
        return "Others see you under the name above. A better one: Esc, More, My name.", False
    return None


class NoticePane(Pane):
    """One to three rows above the keys; hidden when there is nothing to say."""

    def paint(self, width: int, height: int) -> list[Row]:
        app = self.station_app
        said = what_to_say(app.state, app.notice)
        if said is None:
            return []
        text, bad = said
        lines = wrap(plain(text), width - 4)[:_MAX_ROWS]
        mark = (" ! ", LOUD) if bad else (" - ", CARE)
        blank = ("   ", PLAIN)
        style = BAD if bad else PLAIN
        return [[blank if at else mark, (line, style)] for at, line in enumerate(lines)]

    def height_for(self, width: int) -> int:
        return len(self.paint(width, 0))


class AlarmBanner(Pane):
    """Alarms and emergencies: full width, inverse, until the operator says that they were read."""

    def paint(self, width: int, height: int) -> list[Row]:
        alarms = views.open_alarms(self.station_app.state)
        if not alarms:
            return self._emergency(width)
        more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
        lines = wrap(one_line(f"ALARM: {alarms[0]}{more}"), width - 2)[: _MAX_ALARM_ROWS - 1]
        state = self.station_app.state
        of_name = any(one.alarm == alarms[0] for one in state.stations.values())
        advice = "Do not trust that name until you compared aloud.   " if of_name else ""
        lines.append(f"{advice}F10 or Esc 1: I read this")
        return [[(pad(f" {line}", width), LOUD)] for line in lines]

    def height_for(self, width: int) -> int:
        return len(self.paint(width, 0))

    def _emergency(self, width: int) -> list[Row]:
        state = self.station_app.state
        loud = state.emergency
        if loud is None:
            return []
        who = views.station_name(state, loud.author, plain_name(loud.author_name))
        lines = wrap(f"EMERGENCY from {who}: {one_line(loud.text)}", width - 2)
        others = len(state.emergencies.open) - 1
        more = f"   ({others} more)" if others else ""
        lines = [*lines[: _MAX_ALARM_ROWS - 1], f"F10 or Esc 1: show it{more}"]
        return [[(pad(f" {line}", width), LOUD)] for line in lines]
