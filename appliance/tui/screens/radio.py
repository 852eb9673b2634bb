"""What can be done on the air: talk, urgently too, hear again, listen or not."""

from __future__ import annotations

from appliance.tui import channels
from appliance.tui.channels import Channel
from appliance.tui.dialogs import Area, Item, ListDialog, paragraphs
from appliance.tui.on_air import channel_name
from appliance.tui.pane import Row

OPEN = "Open: anybody can hear it, and pretend to be somebody else."
SEALED = "Sealed: only members of the group hear it."
HOW = "One talks, the others hear. F3 begins and ends it; 60 seconds at a time."


class RadioDialog(ListDialog):
    """The channel that is chosen."""

    def wanted_width(self, area: Area) -> int:
        return min(area.width - 4, 64)

    @property
    def _channel(self) -> Channel | None:
        radio = self.station_app.radio
        return channels.pressed(self.station_app.state.channels) or radio.latest

    def heading(self) -> str:
        channel = self._channel
        name = channel_name(self.station_app.state, channel.info.channel) if channel else ""
        return f"On the air: {name}" if name else "On the air"

    def intro(self, width: int) -> list[Row]:
        channel = self._channel
        if channel is None:
            return paragraphs("Your station has not answered yet.", width)
        return [
            *paragraphs(OPEN if channel.info.open else SEALED, width),
            *paragraphs(HOW, width),
            [],
        ]

    def items(self) -> list[Item]:
        radio, channel = self.station_app.radio, self._channel
        if channel is None:
            return []
        info = channel.info
        name = channel_name(self.station_app.state, info.channel, 30)
        heard = "Do not hear" if info.listening else "Hear"
        if info.key in {"speaking", "over"}:
            talk = [Item("Stop talking", radio.key, "F3")]
        else:
            label = "Do not wait any more" if info.key == "waiting" else f"Talk to {name}"
            talk = [
                Item(label, radio.key if info.key == "waiting" else lambda: radio.press(channel)),
                Item("It can't wait: interrupt", lambda: radio.press(channel, "priority")),
                Item("EMERGENCY: everybody else stops", lambda: radio.press(channel, "emergency")),
            ]
        return [
            *talk,
            Item(
                "Stop hearing it again" if info.replaying else "Hear the last 2 minutes again",
                lambda: radio.replay(channel),
            ),
            Item(f"{heard} what is said to {name}", lambda: radio.listen(channel)),
        ]
