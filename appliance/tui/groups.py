"""What the operator does with groups, as requests made beside the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING

from appliance.api.groups import Group, History
from appliance.tui.actions import GroupCame
from appliance.tui.text import plain_name

if TYPE_CHECKING:
    from appliance.tui.app import FencewireApp


class Groups:
    """The hands on groups."""

    def __init__(self, app: FencewireApp) -> None:
        self._app = app

    def make(self, name: str, members: Sequence[str]) -> None:
        """Make a group and show it."""
        words = f"{plain_name(name)} is made. Everybody in it is told."
        self._start(self._app.client.make_group(name, members), words, show=True)

    def invite(self, group: Group, stations: Sequence[str]) -> None:
        """Bring stations in."""
        for station in stations:
            words = "They are in. They are told as soon as they can be reached."
            self._start(self._app.client.invite(group.id, station), words)

    def remove(self, group: Group, station: str) -> None:
        """Take a station out."""
        words = "They are out, and can't read what is written from now on."
        self._start(self._app.client.remove_member(group.id, station), words)

    def appoint(self, group: Group, station: str) -> None:
        """Let a member change the group."""
        words = "They may now bring others in and take them out."
        self._start(self._app.client.make_admin(group.id, station), words)

    def rename(self, group: Group, name: str) -> None:
        """Give it another name."""
        request = self._app.client.rename_group(group.id, name)
        self._start(request, f"It is called {plain_name(name)} now.")

    def choose_history(self, group: Group, history: History) -> None:
        """Choose what new members get."""
        words = "New members get older messages too." if history == "all" else ""
        request = self._app.client.set_history(group.id, history)
        self._start(request, words or "New members get nothing that was written before.")

    def leave(self, group: Group) -> None:
        """Leave it."""
        self._start(self._app.client.leave(group.id), "You have left the group.")

    def accept(self, group: Group) -> None:
        """Say yes to an invitation."""
        self._start(self._app.client.accept(group.id), "You are in. Type to write.")

    def decline(self, group: Group) -> None:
        """Say no to an invitation."""
        self._start(self._app.client.decline(group.id), "The invitation is declined.")

    def _start(self, request: Awaitable[Group], words: str, *, show: bool = False) -> None:
        self._app.start(self._change(request, words, show=show))

    async def _change(self, request: Awaitable[Group], words: str, *, show: bool) -> None:
        group = await self._app.operator.ask(request)
        if group is not None:
            self._app.dispatch(GroupCame(group))
            if show:
                self._app.choose(group.id)
            self._app.say(words, False)
