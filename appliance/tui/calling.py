"""What the screen does about calls: rings, answers, offers a voice message after one in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.api.schema import CallInfo
from appliance.tui import views
from appliance.tui.actions import CallCame, CallsSeen
from appliance.tui.conference_panel import may_add
from appliance.tui.screens.call_details import CallDetailsPage
from appliance.tui.screens.calls import CallsPage
from appliance.tui.screens.group import GroupDialog
from appliance.tui.screens.instead import ThinDialog, TooThinOffer, VoiceOffer
from appliance.tui.screens.ringing import RingingDialog
from appliance.tui.screens.volume import VolumeDialog
from appliance.tui.store import TuiState
from appliance.tui.wording import in_vain

if TYPE_CHECKING:
    from appliance.tui.app import FencewireApp

THIN_KBIT: Final = 24
"""A link of less carries no call, whose packets have headers too (kbit/s)."""

MAX_ACTED: Final = 50
"""Calls of which it is remembered that they were answered or declined on this screen."""


def _known_thin(call: CallInfo | None) -> bool:
    """Tell whether one end of the way knows that it is too thin for a call."""
    return call is not None and call.limit_kbit is not None and call.limit_kbit < THIN_KBIT


class Calling:
    """The calls on one screen."""

    def __init__(self, app: FencewireApp) -> None:
        self._app = app
        self._acted: list[str] = []
        """Calls that were answered, declined or placed here."""

    # What happens

    def changed(self, before: TuiState) -> None:
        """Follow the calls from one state to the next."""
        app = self._app
        call = views.ringing(app.state)
        for dialog in [one for one in app.main.dialogs if one.rings]:
            if call is None or dialog.rings != call.id:
                app.main.close_dialog(dialog)
                if isinstance(dialog, RingingDialog):
                    self._say_who_took(dialog.call_id)
        if call is not None and app.main.find_dialog(RingingDialog) is None:
            app.bell()
            app.main.open_dialog(RingingDialog(call.id))
        for one in app.state.calls.values() if app.state.calls is not before.calls else ():
            was = before.calls.get(one.id)
            if was is not one and one.state == "ended":
                self._over(was, one)
            elif self._turns_out_thin(was, one):
                app.main.open_dialog(TooThinOffer(one))
        for offer in [one for one in app.main.dialogs if isinstance(one, TooThinOffer)]:
            if app.state.calls.get(offer.call.id, offer.call).state == "ended":
                app.main.close_dialog(offer)

    def _turns_out_thin(self, was: CallInfo | None, now: CallInfo) -> bool:
        """Tell whether it is news that a voice message would do better."""
        if not self._app.in_use() or self._app.main.find_dialog(TooThinOffer) is not None:
            return False
        if now.too_thin and (was is None or not was.too_thin):
            return True
        rate = self._rate_kbit(now.station)
        asked_before = now.outgoing and rate is not None and rate < THIN_KBIT
        return _known_thin(now) and not _known_thin(was) and not asked_before

    def _rate_kbit(self, station_id: str) -> int | None:
        """Return what our own link towards a station is known to take."""
        state = self._app.state
        station = state.stations.get(station_id)
        link = station.link if station is not None else None
        return next((one.rate_kbit for one in state.links if one.name == link), None)

    def _say_who_took(self, call_id: str) -> None:
        """Say where somebody else of this station took or declined the call that rang here too."""
        call = self._app.state.calls.get(call_id)
        if call is None or call_id in self._acted:
            return
        who = views.station_name(self._app.state, call.station, call.name)
        if call.state in {"connecting", "talking"}:
            self._app.say(f"The call of {who} was answered on another screen.", False)
        elif call.end_reason == "declined":
            self._app.say(f"The call of {who} was declined on another screen.", False)

    def _over(self, was: CallInfo | None, now: CallInfo) -> None:
        """Offer a voice message after a call that came to nothing, to whoever is there."""
        app = self._app
        if was is None or was.state == "ended" or now.id not in self._acted or not app.in_use():
            return
        station = app.state.stations.get(now.station)
        why = in_vain(now)
        if why and station is not None and station.has_card and views.ringing(app.state) is None:
            app.choose(station.id)
            app.main.open_dialog(VoiceOffer(station.id, why))

    def looked_at(self) -> None:
        """The chosen conversation is in sight, and with it the calls that were missed."""
        app = self._app
        missed = views.missed_with(app.state, app.state.selected)
        if missed:
            app.dispatch(CallsSeen(app.state.selected))
            app.operator.saw_calls(app.state.selected)

    # What is pressed

    def call_chosen(self) -> None:
        """Call whoever is chosen; of a group, show who is in; in a call, show its figures."""
        app = self._app
        if views.running(app.state) is not None:
            app.main.open_dialog(CallDetailsPage())
            return
        station = views.chosen(app.state)
        group = views.chosen_group(app.state)
        if group is not None:
            app.main.open_dialog(GroupDialog(group.id))
        elif station is None:
            app.say("Choose one station with Up and Down first: everyone can't be called.", False)
        else:
            self.place(station.id)

    def place(self, station_id: str, *, anyhow: bool = False) -> None:
        """Call a station; where the link is known to be too thin, offer something else first."""
        app = self._app
        station = app.state.stations.get(station_id)
        if station is None:
            return
        rate = self._rate_kbit(station_id)
        if rate is not None and rate < THIN_KBIT and not anyhow:
            app.choose(station_id)
            app.main.open_dialog(ThinDialog(station_id, rate))
        elif views.running(app.state) is not None:
            app.say("You are in a call. Esc and Enter end it; then call again.", False)
        else:
            app.start(self._place(station_id))

    async def _place(self, station: str) -> None:
        app = self._app
        call = await app.operator.ask(app.client.call(station))
        if call is not None:
            self.acted_on(call)
            if call.id not in app.state.calls:
                app.dispatch(CallCame(call, app.now_s()))

    def acted_on(self, call: CallInfo) -> None:
        """This screen placed, answered or declined a call."""
        self._acted = [*self._acted[-MAX_ACTED:], call.id]

    def answer(self, call: CallInfo) -> None:
        """Take a call: it gets the screen, with the conversation of whoever calls."""
        app = self._app
        for dialog in list(app.main.dialogs):
            dialog.put_aside()
            app.main.close_dialog(dialog)
        self.acted_on(call)
        app.choose(call.station)
        app.operator.answer(call)

    def decline(self, call: CallInfo) -> None:
        """Decline a call."""
        self.acted_on(call)
        self._app.operator.hang_up(call)

    def decline_with(self, call: CallInfo, text: str) -> None:
        """Decline a call, and write."""
        self.acted_on(call)
        self._app.operator.decline_with(call, text)

    def add_chosen(self) -> None:
        """Have whoever is chosen join the call."""
        app = self._app
        call = views.running(app.state)
        if call is None:
            app.say("Call somebody first; then F5 adds others to the call.", False)
            return
        station = may_add(app.state, call)
        if call.state != "talking":
            app.say("Wait until they answer; then F5 adds others to the call.", False)
        elif station is None:
            app.say("Up and Down choose somebody who is not in the call; then press F5.", False)
        else:
            name = views.station_name(app.state, station)
            app.say(f"{name} is called, and joins by answering.", False)
            app.operator.add_to_call(call, station)

    def mute(self) -> None:
        """Turn our microphone off, or on again."""
        call = views.running(self._app.state)
        if call is not None:
            self._app.operator.mute(call)

    def open_volume(self) -> None:
        """Show the loudness of the call."""
        if views.running(self._app.state) is None:
            self._app.say("The volume is set with a call.", False)
        else:
            self._app.main.open_dialog(VolumeDialog())

    def open_record(self) -> None:
        """Show the calls that are over."""
        if self._app.main.find_dialog(CallsPage) is None:
            self._app.main.open_dialog(CallsPage())
