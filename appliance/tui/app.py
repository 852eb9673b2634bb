"""The screen's program: where state, daemon, regions and keys are put together."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from rich.console import RenderableType
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from appliance.api.client import Client
from appliance.api.errors import ClientError, NotRunning
from appliance.api.schema import Message
from appliance.tui import views
from appliance.tui.actions import (
    Action,
    AlarmsRead,
    EmergencyShown,
    GivenUpSeen,
    MessageCame,
    Selected,
)
from appliance.tui.alerts import Alerts
from appliance.tui.calling import Calling
from appliance.tui.canvas import CanvasUpdate
from appliance.tui.client import StationClient
from appliance.tui.drafts import Drafts
from appliance.tui.editor import MAX_EDIT_CHARS
from appliance.tui.groups import Groups
from appliance.tui.main_screen import MainScreen
from appliance.tui.notices import Notice
from appliance.tui.operator import Operator
from appliance.tui.radio import Radio
from appliance.tui.reader import Reader
from appliance.tui.screens.find import FindDialog
from appliance.tui.screens.help import HelpPage
from appliance.tui.screens.leave import LeaveDialog
from appliance.tui.screens.menu import MenuDialog
from appliance.tui.screens.network import NetworkPage
from appliance.tui.screens.reading import ReadingBar
from appliance.tui.screens.sound import SoundDialog
from appliance.tui.screens.verify import VerifyDialog
from appliance.tui.store import TuiState, reduce
from appliance.tui.sync import Follower
from appliance.tui.talk_key import TalkKey
from appliance.tui.terminal import terminal_is_there, what_broke
from appliance.tui.text import one_line
from appliance.tui.wording import IN_REACH, Times
from appliance.tui.writer import Writer

IN_USE_S: Final = 120.0
"""A message counts as seen while the last key is no older."""

_NOTICE_S: Final = 8.0
_BAD_NOTICE_S: Final = 30.0
_DRAW_S: Final = 0.1
"""Changes that come in quick succession are drawn together."""


class FencewireApp(App[int], inherit_bindings=False):
    """A client of the local API on a terminal."""

    TITLE = "fencewire"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "leave", "Leave", show=False, priority=True)
    ]

    def __init__(
        self,
        client: StationClient,
        *,
        times: Times | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.client = client
        self.times = times or Times()
        self.now_s = now_s
        self.state = TuiState()
        self.drafts = Drafts(self.state.selected)
        self.notice: Notice | None = None
        self.main = MainScreen()
        self._touched_s = now_s()
        self._drawing = False
        self._minute: str | None = None
        self._alerts = Alerts()
        self.writer = Writer(self)
        self.calling = Calling(self)
        self.groups = Groups(self)
        self.radio = Radio(self)
        self.talk_key = TalkKey(self)
        self.reader = Reader(self)
        self.follower = Follower(
            client, state=lambda: self.state, dispatch=self.dispatch, now_s=now_s
        )
        self.operator = Operator(
            client,
            self.drafts,
            state=lambda: self.state,
            dispatch=self.dispatch,
            say=self.say,
            start=self.start,
            now_s=now_s,
        )

    def get_default_screen(self) -> MainScreen:
        """Return the only screen."""
        return self.main

    def on_ready(self) -> None:
        """Begin to follow the daemon once the first picture stands."""
        self.main.draw()
        self.run_worker(self.follower.run(), name="follow")
        self.run_worker(self.drafts.run(self.client), name="drafts")
        self.set_interval(1.0, self.tick)

    async def on_unmount(self) -> None:
        """Let the key go and store what was begun; where the daemon is away there is nowhere to."""
        await self.radio.leave()
        with suppress(ClientError):
            await self.drafts.flush(self.client)

    # State

    def dispatch(self, action: Action) -> None:
        """Take what happened into the state."""
        before, self.state = self.state, reduce(self.state, action)
        if self.state is before:
            return
        if before.connection == "up" and not _anybody(before) and _anybody(self.state):
            self.bell()
        if len(views.open_alarms(self.state)) > len(views.open_alarms(before)):
            self.bell()
        self._alert()
        if isinstance(action, MessageCame):
            self._given_up(before, action.message)
        if self.drafts.conversation != self.state.selected or before.connection != "up":
            self._show(self.state.selected)
        self.calling.changed(before)
        self.radio.changed(before.channels)
        self.redraw()

    def _given_up(self, before: TuiState, message: Message) -> None:
        """Say that a message of ours was not delivered in time."""
        tally = before.tallies.get(message.conversation)
        if message.state == "expired" and tally is not None and message.id in tally.waiting:
            who = views.title_of(self.state, message.conversation)
            text = one_line(message.text)[:40]
            whom = f"to all of {who}" if message.delivered_to else f"to {who}"
            self.say(f"Not delivered in time {whom}: {text}. It was given up.", True)

    def _show(self, conversation: str) -> None:
        self.drafts.conversation = conversation
        self.start(self._open(conversation))

    async def _open(self, conversation: str) -> None:
        if self.state.connection != "up":
            return
        try:
            await self.drafts.load(self.client, conversation)
            await self.follower.open_talk(conversation)
        except NotRunning:
            return  # said by itself, and loaded anew when the daemon is back
        except ClientError as error:
            self.say(str(error), True)
        self.redraw()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the screen, while there is one."""
        if self.is_running:
            self.run_worker(work)
        else:
            work.close()

    # Drawing

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Send what changed, whatever textual wants to repaint (overrides textual's own)."""
        # textual tells its own updates from renderables by their class.
        super()._display(screen, cast("RenderableType", CanvasUpdate(self.main.canvas)))

    def show_changes(self) -> None:
        """Send what was drawn."""
        self._display(self.main, None)

    def redraw(self) -> None:
        """Draw soon."""
        if not self._drawing and self.is_running:
            self._drawing = True
            self.set_timer(0.01 if self._recently_touched() else _DRAW_S, self._draw)

    def _recently_touched(self) -> bool:
        return self.now_s() - self._touched_s < 1.0

    def _draw(self) -> None:
        self._drawing = False
        self.main.draw()
        seen = self.main.conversation.sight.seen
        in_sight = all(one.see_through for one in self.main.dialogs)
        if not in_sight or not self.in_use():
            return
        self.main.conversation.looked_at()
        self.calling.looked_at()
        given_up = views.given_up(self.state) & frozenset(self.main.conversation.sight.whole)
        if given_up:
            self.dispatch(GivenUpSeen(self.state.selected, given_up))
        if seen is not None:
            self.operator.seen(self.state.selected, seen)

    def _fatal_error(self) -> None:
        """Say what broke, without what stands in variables: on the image it goes to the journal."""
        self.bell()
        self._exit_renderables.append(what_broke(self.console))
        self._close_messages_no_wait()

    def tick(self) -> None:
        """Draw what changes with time alone: once a minute, or a second with a call."""
        if self._driver is not None and not self.is_headless and not terminal_is_there():
            # Its hang-up signal may have been kept from us; without this, reading it would spin.
            self.exit(1)
            return
        now_s = self.now_s()
        if self.notice is not None and now_s >= self.notice.until_s:
            self.notice = None
            self.redraw()
        at = views.clock(self.state, now_s)
        minute = None if at is None else self.times.clock(at)
        self._alert()
        calling = views.running(self.state) or views.ringing(self.state)
        if minute != self._minute or calling is not None or self.radio.moving:
            self._minute = minute
            self.redraw()

    def _alert(self) -> None:
        if self._alerts.due(self.state.emergencies.open, self.now_s(), self._touched_s):
            self.bell()

    def say(self, text: str, bad: bool) -> None:
        """Say something above the keys for a while."""
        lasts_s = _BAD_NOTICE_S if bad else _NOTICE_S
        self.notice = Notice(text, bad, self.now_s() + lasts_s)
        self.redraw()

    # The operator

    def touched(self) -> None:
        """Note that somebody is there."""
        self._touched_s = self.now_s()

    def in_use(self) -> bool:
        """Tell whether somebody is there."""
        return self.now_s() - self._touched_s < IN_USE_S

    def on_app_focus(self) -> None:
        """The terminal came to the front."""
        self.touched()
        self.redraw()

    def write(self, text: str) -> None:
        """Put text into the message line."""
        editor = self.drafts.editor
        after = editor.typed(text)
        if after is editor and text:
            self.say(
                f"That is too much for one message: at most {MAX_EDIT_CHARS} characters fit here.",
                True,
            )
        self.drafts.edit(after)

    def open_reading(self) -> None:
        """Go to the messages."""
        talk = views.talk(self.state)
        if talk is None or not talk.messages:
            self.say("Type a message first, then press Enter.", False)
        elif self.main.find_dialog(ReadingBar) is None:
            self.main.open_dialog(ReadingBar())

    def choose(self, conversation: str) -> None:
        """Show a conversation."""
        self.dispatch(Selected(conversation))

    def choose_next(self, by: int) -> None:
        """Show the conversation so many rows further down."""
        listed = self.state.listed
        at = listed.index(self.state.selected) + by
        self.choose(listed[max(min(at, len(listed) - 1), 0)])

    def acknowledge(self) -> None:
        """Note that the alarms were read; where there are none, show the emergency."""
        loud = self.state.emergency
        if loud is not None and not views.open_alarms(self.state):
            for dialog in [one for one in self.main.dialogs if not one.rings]:
                dialog.put_aside()
                self.main.close_dialog(dialog)
            self.dispatch(EmergencyShown(loud.id))
            self.reader.jump(loud)
        else:
            self.dispatch(AlarmsRead())

    def open_menu(self) -> None:
        """Show everything that can be done."""
        self.main.open_dialog(MenuDialog())

    def open_help(self) -> None:
        """Show the page that explains."""
        self.main.open_dialog(HelpPage())

    def open_network(self) -> None:
        """Show links and neighbours."""
        self.main.open_dialog(NetworkPage())

    def open_sound(self) -> None:
        """Show sound devices."""
        self.main.open_dialog(SoundDialog())

    def open_find(self) -> None:
        """Find a station by name or number."""
        self.main.open_dialog(FindDialog())

    def open_verify(self) -> None:
        """Compare with whoever is on the line, who asks, or who is chosen."""
        call = views.running(self.state)
        asked = views.asking(self.state)
        wanted = self.state.selected
        if call is not None:
            wanted = call.station
        elif asked is not None and views.comparing(self.state, wanted) is None:
            wanted = asked.station
        if wanted in self.state.stations:
            self.main.open_dialog(VerifyDialog(wanted))
        else:
            self.say("Choose one station with Up and Down first, then press F9.", False)

    def action_leave(self) -> None:
        """Ask before the screen goes."""
        if self.main.find_dialog(LeaveDialog) is None:
            self.main.open_dialog(LeaveDialog())


def _anybody(state: TuiState) -> bool:
    return any(one.reach in IN_REACH for one in state.stations.values())


def run_tui(api_path: Path | None) -> int:
    """Show the screen until the operator leaves it; returns the exit code.

    It is drawn on standard output, also where textual would not: errors may go to a log.
    """
    setattr(sys, "__stderr__", sys.__stdout__)  # noqa: B010 - typed as final; textual draws there
    app = FencewireApp(Client(api_path))
    return app.run(mouse=False) or 0
