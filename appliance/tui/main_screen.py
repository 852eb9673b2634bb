"""The one screen: its regions, the dialogs over them, and where keys go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.strip import Strip

from appliance.tui import views
from appliance.tui.call_panel import CallPanel
from appliance.tui.canvas import Canvas
from appliance.tui.composer import ComposerPane
from appliance.tui.conference_panel import may_add
from appliance.tui.conversation import ConversationPane
from appliance.tui.dialogs import Area, Dialog
from appliance.tui.keybar import Hint, KeyBar
from appliance.tui.notices import AlarmBanner, NoticePane
from appliance.tui.on_air import OnAirPane
from appliance.tui.pane import Pane
from appliance.tui.stations import StationsPane, left_width
from appliance.tui.topline import TopLine

if TYPE_CHECKING:
    from appliance.tui.app import FencewireApp

D = TypeVar("D", bound=Dialog)


class MainScreen(Screen[None], inherit_bindings=False):
    """Everything that is ever seen."""

    DEFAULT_CSS = "MainScreen { overflow: hidden hidden; }"

    def __init__(self) -> None:
        super().__init__()
        self.canvas = Canvas(self._draw)
        self.top_line = TopLine()
        self.alarm = AlarmBanner()
        self.call_panel = CallPanel()
        self.stations = StationsPane()
        self.on_air = OnAirPane()
        self.conversation = ConversationPane()
        self.composer = ComposerPane()
        self.notice = NoticePane()
        self.key_bar = KeyBar()
        self.dialogs: list[Dialog] = []

    @property
    def station_app(self) -> FencewireApp:
        """The application, by its own type."""
        return cast("FencewireApp", self.app)

    def compose(self) -> ComposeResult:
        panes: list[Pane] = [self.top_line, self.alarm, self.call_panel, self.stations]
        panes += [self.on_air, self.conversation, self.composer, self.notice, self.key_bar]
        for pane in panes:
            pane.attach(self.station_app)
        yield self.canvas

    def draw(self) -> None:
        """Bring every region up to date; only what changed is sent."""
        self.canvas.draw()
        self.station_app.show_changes()

    def _draw(self, width: int, height: int) -> list[Strip]:
        self.key_bar.hints = self.dialogs[-1].hints() if self.dialogs else self.hints()
        above = [
            *self.top_line.draw(width, 1),
            *self.alarm.draw(width, self.alarm.height_for(width)),
            *self.call_panel.draw(width, self.call_panel.height_for(width)),
        ]
        below = [
            *self.notice.draw(width, self.notice.height_for(width)),
            *self.key_bar.draw(width, 1),
        ]
        body = self._draw_body(width, max(height - len(above) - len(below), 0))
        rows = [*above, *body, *below][:height]
        for dialog in self.dialogs:
            rows = self._overlaid(rows, dialog, Area(len(above), width, len(body)))
        return rows

    def _draw_body(self, width: int, height: int) -> list[Strip]:
        """Draw the list on the left, and the conversation over the message line."""
        columns = left_width(width)
        rest = width - columns
        lines = min(self.composer.height_for(rest), height)
        # The message line says whether the conversation goes on, so that is drawn first.
        right = self.conversation.draw(rest, height - lines) + self.composer.draw(rest, lines)
        talking = self.on_air.height_on(columns, height)
        left = self.stations.draw(columns, height - talking) + self.on_air.draw(columns, talking)
        return [Strip.join(pair) for pair in zip(left, right, strict=True)]

    def _overlaid(self, rows: list[Strip], dialog: Dialog, area: Area) -> list[Strip]:
        if dialog.covers_all:
            alarm = self.alarm.height
            area = Area(alarm, area.width, len(rows) - alarm)
        box = dialog.place(area)
        drawn = dialog.draw(box.width, box.height)
        rows = list(rows)
        for y, line in enumerate(drawn, box.top):
            if y < len(rows):
                under = rows[y]
                parts = (under.crop(0, box.left), line, under.crop(box.left + box.width))
                rows[y] = Strip.join(parts)
        return rows

    # Dialogs

    def open_dialog(self, dialog: Dialog) -> None:
        """Put a dialog over what is there; a ringing call stays on top of everything."""
        above = [one for one in self.dialogs if one.rings] if not dialog.rings else []
        self.dialogs.insert(len(self.dialogs) - len(above), dialog)
        dialog.attach(self.station_app)
        dialog.opened()
        self.station_app.redraw()

    def close_dialog(self, dialog: Dialog) -> None:
        """Take a dialog away."""
        if dialog in self.dialogs:
            self.dialogs.remove(dialog)
            self.station_app.redraw()

    def find_dialog(self, kind: type[D]) -> D | None:
        """Return the open dialog of a kind."""
        return next((one for one in self.dialogs if isinstance(one, kind)), None)

    # Keys

    def hints(self) -> list[Hint]:
        """Return what can be pressed while no dialog is open."""
        state = self.station_app.state
        menu = Hint("Esc", "menu")
        if (call := views.running(state)) is not None:
            talk = self.station_app.talk_key.hint
            adds = may_add(state, call) is not None
            return [
                Hint("F5", "add them") if adds else Hint("Enter", "send"),
                *([Hint("F3", talk)] if talk is not None else []),
                Hint("F6", "mute"),
                Hint("F7", "volume"),
                Hint("F8", "sound"),
                Hint("F9", "verify"),
                Hint("F1", "help"),
                Hint("F2", "details"),
                Hint("Esc", "hang up (asks)"),
            ]
        written = not self.station_app.writer.empty
        hints = [
            Hint("Enter", "send" if written else "read"),
            Hint("Up/Dn", "who"),
            Hint("Tab", "urgent"),
            Hint("F1", "help"),
        ]
        if views.chosen(state) is not None:
            hints.append(Hint("F2", "call"))
        elif views.chosen_group(state) is not None:
            hints.append(Hint("F2", "group"))
        channel = self.station_app.radio.chosen
        if channel is not None:
            hints.append(Hint("F3", "talk" if channel.info.key == "up" else "STOP TALKING"))
        hints += [Hint("F6", "find"), Hint("F7", "add"), Hint("F4", "network")]
        hints.append(Hint("F9", "verify") if views.chosen(state) else Hint("F8", "sound"))
        return [*hints, menu]

    def on_key(self, event: events.Key) -> None:
        """Send a key where it belongs."""
        event.stop()
        event.prevent_default()
        app = self.station_app
        app.touched()
        character = event.character if event.is_printable else None
        if event.key == "ctrl+l":
            self.canvas.forget()
        elif event.key == "f10":
            app.acknowledge()
        elif self.dialogs:
            self.dialogs[-1].on_key_pressed(event.key, character)
        else:
            self.main_key(event.key, character)
        app.redraw()

    def main_key(self, key: str, character: str | None) -> None:
        """Take a key while no dialog is open: what is printable is written."""
        app = self.station_app
        action = self._actions().get(key)
        if not app.drafts.editor.text:
            # With nothing written there is nothing to move in but the conversation.
            ends = {"home": app.reader.to_beginning, "end": app.reader.to_end}
            action = ends.get(key, action)
        if action is not None:
            action()
        elif character is not None:
            app.write(character)
        else:
            app.drafts.edit(app.drafts.editor.key(key))

    def _actions(self) -> dict[str, Callable[[], None]]:
        app = self.station_app
        return {
            "up": lambda: app.choose_next(-1),
            "down": lambda: app.choose_next(1),
            "pageup": lambda: app.reader.page(-1),
            "pagedown": lambda: app.reader.page(1),
            "tab": app.writer.more_urgent,
            "shift+tab": lambda: app.writer.more_urgent(-1),
            "enter": app.writer.enter,
            "escape": app.open_menu,
            "f1": app.open_help,
            "f2": app.calling.call_chosen,
            "f3": app.talk_key.press,
            "f4": app.open_network,
            "f5": app.calling.add_chosen,
            "f6": app.calling.mute if views.running(app.state) else app.open_find,
            "f7": app.calling.open_volume if views.running(app.state) else app.writer.open,
            "f8": app.open_sound,
            "f9": app.open_verify,
            "f12": app.calling.open_record,
        }

    def on_paste(self, event: events.Paste) -> None:
        """Write what was pasted, line feeds too."""
        event.stop()
        app = self.station_app
        app.touched()
        if self.dialogs:
            self.dialogs[-1].pasted(event.text)
        else:
            app.write(event.text)
        app.redraw()

    def on_resize(self) -> None:
        """Everything moves."""
        self.station_app.redraw()
