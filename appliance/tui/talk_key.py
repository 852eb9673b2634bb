"""Push to talk in a call: the key, and what is said of it; F3 is a talk group's everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style

from appliance.api.schema import CallInfo
from appliance.tui import views
from appliance.tui.look import LOUD, PLAIN
from appliance.tui.store import TuiState

if TYPE_CHECKING:
    from appliance.tui.app import FencewireApp

HOW = "Push to talk: you are heard only while F3 is on, 60 seconds at a time."
OPEN = "Your microphone is open: you are heard all the time."


def left_s(state: TuiState, call: CallInfo, now_s: float) -> float | None:
    """Return for how long we are still heard; None: we are not, or all the time."""
    if not call.push_to_talk or call.talk_left_s is None:
        return None
    left = call.talk_left_s - (now_s - state.call_at_s.get(call.id, now_s))
    return left if left > 0 else None


def microphone_words(state: TuiState, call: CallInfo, now_s: float) -> tuple[str, Style] | None:
    """Return what stands in the place of our level, and how; None: the level."""
    if call.muted:
        return " you MUTED  ", LOUD
    if not call.push_to_talk:
        return None
    left = left_s(state, call, now_s)
    return (" F3: talk  ", PLAIN) if left is None else (f" ON AIR {left:.0f} s  ", LOUD)


class TalkKey:
    """The key on one screen."""

    def __init__(self, app: FencewireApp) -> None:
        self._app = app

    @property
    def hint(self) -> str | None:
        """What the key would do in this call; None: it is not this call's."""
        call = views.running(self._app.state)
        if call is None or not call.push_to_talk:
            return None
        talks = left_s(self._app.state, call, self._app.now_s()) is not None
        return "STOP TALKING" if talks else "talk"

    def press(self) -> None:
        """Begin or end talking: in the call that uses push to talk, else in a talk group."""
        call = views.running(self._app.state)
        radio = self._app.radio
        if call is None or not call.push_to_talk or radio.pressed:
            radio.key()
            return
        talks = left_s(self._app.state, call, self._app.now_s()) is not None
        self._app.operator.change_call(call, talking=not talks)

    def switch(self) -> None:
        """Use push to talk, or an open microphone."""
        call = views.running(self._app.state)
        if call is not None:
            self._app.say(OPEN if call.push_to_talk else HOW, False)
            self._app.operator.change_call(call, push_to_talk=not call.push_to_talk)
