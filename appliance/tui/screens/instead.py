"""A voice message in place of a call that came to nothing, or would."""

from __future__ import annotations

from appliance.api.schema import CallInfo
from appliance.tui import views
from appliance.tui.dialogs import Area, Item, ListDialog, paragraphs
from appliance.tui.keybar import Hint
from appliance.tui.pane import Row
from appliance.tui.screens.ringing import GUARD_S
from appliance.tui.screens.voice import RecordDialog


class VoiceOffer(ListDialog):
    """Asks whether to record one.  Nothing is recorded unless somebody says so."""

    title = "Voice message"

    def __init__(self, station: str, why: str) -> None:
        """`why`: what became of the call, in a sentence."""
        super().__init__()
        self._station, self._why = station, why
        self._key_s = 0.0

    def opened(self) -> None:
        """Note since when it is in sight: whoever is typing goes on until there is a pause."""
        self._key_s = self.station_app.now_s()

    def wanted_width(self, area: Area) -> int:
        return min(area.width - 4, 60)

    def hints(self) -> list[Hint]:
        return [Hint("Enter", "record"), Hint("Esc", "no")]

    def intro(self, width: int) -> list[Row]:
        who = views.station_name(self.station_app.state, self._station)
        text = f"{self._why} Record a voice message for {who}? It waits for them."
        return [*paragraphs(text, width), []]

    def items(self) -> list[Item]:
        return [
            Item("Yes, record one", self._record, "Enter"),
            Item("No", lambda: None, "Esc"),
        ]

    def _record(self) -> None:
        self.station_app.choose(self._station)
        self.station_app.main.open_dialog(RecordDialog())

    def on_key_pressed(self, key: str, character: str | None) -> None:
        app = self.station_app
        before_s, self._key_s = self._key_s, app.now_s()
        early = self._key_s - before_s < GUARD_S
        if early or (character is not None and character not in "012"):
            if not early:
                self.close()  # a text instead
            app.main.main_key(key, character)
        else:
            super().on_key_pressed(key, character)


class TooThinOffer(VoiceOffer):
    """In a call that the way can't carry: hang up, and record one."""

    title = "The link is too thin for this call"

    def __init__(self, call: CallInfo) -> None:
        why = "Little of what is said arrives."
        if call.limit_kbit is not None and not call.too_thin:
            why = f"The way to them takes {call.limit_kbit} kbit/s, and a call needs 24."
        super().__init__(call.station, why)
        self.call = call

    def items(self) -> list[Item]:
        return [
            Item("Hang up, and record one", self._hang_up, "Enter"),
            Item("Go on with the call", lambda: None, "Esc"),
        ]

    def _hang_up(self) -> None:
        self.station_app.start(self._then_record())

    async def _then_record(self) -> None:
        app = self.station_app
        # The microphone is the call's until that is over.
        if await app.operator.ask(app.client.hang_up(self.call.id)) is not None:
            self._record()


class ThinDialog(ListDialog):
    """Before a call over a link that is known to be too thin for one."""

    title = "This link is too thin for a call"

    def __init__(self, station: str, rate_kbit: int) -> None:
        super().__init__()
        self._station, self._rate_kbit = station, rate_kbit

    def wanted_width(self, area: Area) -> int:
        return min(area.width - 4, 60)

    def intro(self, width: int) -> list[Row]:
        who = views.station_name(self.station_app.state, self._station)
        text = (
            f"The link to {who} takes {self._rate_kbit} kbit/s, and a call needs 24. A voice "
            "message takes its time, and arrives whole."
        )
        return [*paragraphs(text, width), []]

    def items(self) -> list[Item]:
        return [
            Item("Record a voice message", self._record),
            Item("Call all the same", self._call),
            Item("Neither", lambda: None),
        ]

    def _record(self) -> None:
        self.station_app.main.open_dialog(RecordDialog())

    def _call(self) -> None:
        self.station_app.calling.place(self._station, anyhow=True)
