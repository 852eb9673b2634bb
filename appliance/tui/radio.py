"""What the screen does about talk groups: the key, listening, hearing it again."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING

from appliance.api.errors import ClientError
from appliance.api.schema import EVERYONE
from appliance.api.talking import TalkInfo, TalkPrecedence
from appliance.tui import channels
from appliance.tui.actions import ChannelCame
from appliance.tui.channels import Channel, Channels
from appliance.tui.on_air import channel_name
from appliance.tui.screens.radio import RadioDialog
from appliance.tui.text import one_line

if TYPE_CHECKING:
    from appliance.tui.app import FencewireApp

CHOOSE = "Choose Everyone or a group with Up and Down first, then press F3."
OPEN = "Everyone is an open channel: anybody can hear it, and pretend to be somebody else."


class Radio:
    """The talk groups on one screen."""

    def __init__(self, app: FencewireApp) -> None:
        self._app = app
        self._warned = False

    @property
    def chosen(self) -> Channel | None:
        """The channel whose key F3 is: where it is pressed, else that of what is chosen."""
        state = self._app.state
        return channels.pressed(state.channels) or state.channels.get(state.selected)

    @property
    def pressed(self) -> bool:
        """Our key is down somewhere."""
        return channels.pressed(self._app.state.channels) is not None

    @property
    def latest(self) -> Channel | None:
        """The channel to hear again or to turn on and off: what is chosen, else everyone's."""
        state = self._app.state
        return state.channels.get(state.selected) or state.channels.get(EVERYONE)

    @property
    def moving(self) -> bool:
        """Something is shown that changes with time."""
        return bool(channels.on_air(self._app.state.channels, self._app.now_s()))

    def open(self) -> None:
        """Show what can be done."""
        self._app.main.open_dialog(RadioDialog())

    def changed(self, before: Channels) -> None:
        """Say why the key does not work any more."""
        ours = channels.pressed(self._app.state.channels)
        if ours is None or ours.info.key != "over":
            return
        earlier = before.get(ours.info.channel)
        if earlier is None or earlier.info.key != "over":
            self._app.say(f"Nobody hears you now. {one_line(ours.info.detail)}", True)

    def key(self) -> None:
        """Press the key, or let it go."""
        channel = self.chosen
        if channel is None:
            self._app.say(CHOOSE, False)
        elif channel.info.key == "up":
            self.press(channel)
        else:
            self._start(self._app.client.release(channel.info.channel))

    def press(self, channel: Channel, precedence: TalkPrecedence = "routine") -> None:
        """Speak, or wait for our turn."""
        if channel.info.open and not self._warned:
            self._warned = True
            self._app.say(OPEN, False)
        self._start(self._app.client.press(channel.info.channel, precedence=precedence))

    def listen(self, channel: Channel) -> None:
        """Hear a channel, or no more."""
        on = not channel.info.listening
        name = channel_name(self._app.state, channel.info.channel)
        self._app.say(f"You {'hear' if on else 'do not hear'} what is said to {name}.", False)
        self._start(self._app.client.listen(channel.info.channel, on=on))

    def replay(self, channel: Channel) -> None:
        """Hear the last 2 minutes again, or stop that."""
        on = not channel.info.replaying
        self._start(self._app.client.replay(channel.info.channel, on=on))

    async def leave(self) -> None:
        """Let the key go: nobody may go on speaking without a screen that says so."""
        channel = channels.pressed(self._app.state.channels)
        if channel is not None:
            with suppress(ClientError):  # Then the daemon is gone, and the key with it.
                await self._app.client.release(channel.info.channel)

    def _start(self, request: Awaitable[TalkInfo]) -> None:
        self._app.start(self._ask(request))

    async def _ask(self, request: Awaitable[TalkInfo]) -> None:
        info = await self._app.operator.ask(request)
        if info is not None:
            self._app.dispatch(ChannelCame(info, self._app.now_s()))
