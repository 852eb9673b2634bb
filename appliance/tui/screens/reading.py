"""Going through the messages, one by one: who has them, what came with them."""

from __future__ import annotations

from appliance.tui.dialogs import Area, Box, Dialog
from appliance.tui.keybar import Hint
from appliance.tui.pane import Row
from appliance.tui.screens.message import MessagePage


class ReadingBar(Dialog):
    """Takes the keys and shows nothing but the mark: the conversation stays in sight."""

    see_through = True

    def opened(self) -> None:
        """Begin with the last message in sight, unless one is marked."""
        main = self.station_app.main
        if main.conversation.chosen is None:
            main.draw()  # what has just come may not be in sight yet
            main.conversation.choose_in_sight(last=True)

    def put_aside(self) -> None:
        self.station_app.main.conversation.choose("")

    def close(self) -> None:
        self.put_aside()
        super().close()

    def body(self, width: int) -> list[Row]:
        return []

    def place(self, area: Area) -> Box:
        return Box(0, area.top, 0, 0)

    def hints(self) -> list[Hint]:
        return [
            Hint("Up/Down", "message"),
            Hint("PgUp/PgDn", "page"),
            Hint("Enter", "open it"),
            Hint("Home/End", "first, last"),
            Hint("Esc", "write"),
        ]

    def on_key_pressed(self, key: str, character: str | None) -> None:
        app = self.station_app
        reader, pane = app.reader, app.main.conversation
        match key:
            case "up" | "down":
                reader.step(-1 if key == "up" else 1)
            case "pageup" | "pagedown":
                reader.page(-1 if key == "pageup" else 1)
                pane.choose_in_sight(last=key == "pagedown")
            case "home":
                reader.to_beginning(mark=True)
            case "end":
                reader.to_end(mark=True)
            case "enter":
                self._open()
            case "escape":
                self.close()
            case _ if character is not None or key == "backspace":
                self.close()
                app.main.main_key(key, character)

    def pasted(self, text: str) -> None:
        """It is meant for the message line."""
        self.close()
        self.station_app.write(text)

    def _open(self) -> None:
        message = self.station_app.main.conversation.chosen
        if message is None:
            self.close()
        else:
            self.station_app.main.open_dialog(MessagePage(message))
