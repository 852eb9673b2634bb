"""Reading back with the arrows, where page keys do not arrive."""

from __future__ import annotations

from appliance.tui.dialogs import Area, Box, Dialog
from appliance.tui.keybar import Hint
from appliance.tui.pane import Row


class ReadingBar(Dialog):
    """Takes the keys and shows nothing: the conversation stays in sight."""

    def body(self, width: int) -> list[Row]:
        return []

    def place(self, area: Area) -> Box:
        return Box(0, area.top, 0, 0)

    def hints(self) -> list[Hint]:
        return [Hint("Up", "older"), Hint("Down", "newer"), Hint("Esc", "back to writing")]

    def on_key_pressed(self, key: str, character: str | None) -> None:
        main = self.station_app.main
        page = main.conversation.page_lines
        step = {"up": -3, "down": 3, "pageup": -page, "pagedown": page}.get(key)
        if step is not None:
            main.scroll_by(step)
        elif key in {"escape", "enter"}:
            self.close()
        elif character is not None:
            self.close()
            main.main_key(key, character)
