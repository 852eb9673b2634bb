"""The loudness of the call."""

from __future__ import annotations

from appliance.tui import views
from appliance.tui.dialogs import Area, Dialog
from appliance.tui.keybar import Hint
from appliance.tui.look import BOLD, PLAIN
from appliance.tui.operator import MAX_VOLUME_PCT, VOLUME_STEP_PCT
from appliance.tui.pane import Row


class VolumeDialog(Dialog):
    """Up is louder, down is softer."""

    title = "Volume"

    def wanted_width(self, area: Area) -> int:
        return min(area.width, 42)

    def hints(self) -> list[Hint]:
        return [Hint("Up", "louder"), Hint("Down", "softer"), Hint("Esc", "back")]

    def body(self, width: int) -> list[Row]:
        call = views.running(self.station_app.state)
        if call is None:
            return [[("The call is over.", PLAIN)]]
        steps = MAX_VOLUME_PCT // VOLUME_STEP_PCT
        full = round(call.volume_pct / VOLUME_STEP_PCT)
        return [
            [("  them  ", PLAIN), ("#" * full + "." * (steps - full), BOLD)],
            [(f"        {call.volume_pct} %", PLAIN)],
        ]

    def on_key_pressed(self, key: str, character: str | None) -> None:
        call = views.running(self.station_app.state)
        if call is None or key in {"enter", "f7"}:
            self.close()
        elif key in {"up", "right", "down", "left"}:
            louder = key in {"up", "right"}
            self.station_app.operator.volume(call, VOLUME_STEP_PCT if louder else -VOLUME_STEP_PCT)
        else:
            super().on_key_pressed(key, character)
