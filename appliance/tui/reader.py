"""Moving through a conversation: lines, pages, ends, and straight to a message.

Every movement is shown at once as far as the messages are here; what is missing is fetched beside
the screen, before the reader gets there where possible.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from appliance.api.schema import Message
from appliance.tui import views
from appliance.tui.talks import Key, key_of

if TYPE_CHECKING:
    from appliance.tui.app import FencewireApp

TOO_OLD: Final = "That message is not here any more: it had to make room."


class Reader:
    """The eyes on one conversation."""

    def __init__(self, app: FencewireApp) -> None:
        self._app = app
        self._fetching: set[str] = set()

    @property
    def busy(self) -> bool:
        """Something is being fetched."""
        return bool(self._fetching)

    def scroll(self, lines: int) -> None:
        """Move by lines, up where negative."""
        self._app.main.conversation.scroll_lines(lines)
        self.look_ahead()

    def page(self, by: int) -> None:
        """Move by pages."""
        self.scroll(by * self._app.main.conversation.page_lines)

    def step(self, by: int) -> None:
        """Go to the next message, or the one before."""
        self._app.main.conversation.choose_next(by)
        self.look_ahead()

    def look_ahead(self) -> None:
        """Fetch what will soon be wanted."""
        follower = self._app.follower
        match self._app.main.conversation.wants():
            case "older":
                self._fetch("older", follower.older)
            case "newer":
                self._fetch("newer", follower.newer)

    def to_end(self, *, mark: bool = False) -> None:
        """Go to the newest message and stay with it; may mark it."""
        pane = self._app.main.conversation

        def arrive() -> None:
            pane.to_end()
            if mark:
                self._app.main.draw()
                pane.choose_in_sight(last=True)

        talk = views.talk(self._app.state)
        if talk is not None and talk.newer:
            self._fetch("end", self._app.follower.end, then=arrive)
        else:
            arrive()

    def to_beginning(self, *, mark: bool = False) -> None:
        """Go to what is unread before all that is here, or to the oldest message; may mark it."""
        pane = self._app.main.conversation

        def arrive() -> None:
            pane.to_top()
            if mark:
                self._app.main.draw()
                pane.choose_in_sight(last=False)

        talk = views.talk(self._app.state)
        if talk is not None and talk.unread_before:
            self._to_unread(min(talk.unread_before), mark=mark)
        elif talk is not None and talk.more:
            self._fetch("beginning", self._app.follower.beginning, then=arrive)
        else:
            arrive()

    def _to_unread(self, wanted: Key, *, mark: bool) -> None:
        follower, pane = self._app.follower, self._app.main.conversation
        self._fetch(
            "around",
            lambda conversation: follower.around(conversation, wanted),
            then=lambda: pane.show(wanted[1]) if mark else pane.start_at(wanted[1]),
        )

    def jump(self, message: Message) -> None:
        """Show a message in its conversation."""
        self._app.choose(message.conversation)
        self._app.start(self._jump(message))

    async def _jump(self, message: Message) -> None:
        app = self._app
        around = app.follower.around(message.conversation, key_of(message))
        await app.operator.ask(around)
        if app.state.selected != message.conversation:
            return
        talk = views.talk(app.state)
        app.main.draw()  # the pane takes the conversation up before it is told where to stand
        if talk is not None and any(one.id == message.id for one in talk.messages):
            app.main.conversation.show(message.id)
            app.open_reading()
        else:
            app.say(TOO_OLD, False)
        app.redraw()
        self.look_ahead()

    def _fetch(
        self,
        what: str,
        fetch: Callable[[str], Awaitable[None]],
        then: Callable[[], None] | None = None,
    ) -> None:
        if what not in self._fetching:
            self._fetching.add(what)
            self._app.start(self._fetched(what, fetch, then))

    async def _fetched(
        self,
        what: str,
        fetch: Callable[[str], Awaitable[None]],
        then: Callable[[], None] | None,
    ) -> None:
        conversation = self._app.state.selected
        try:
            await self._app.operator.ask(fetch(conversation))
        finally:
            self._fetching.discard(what)
        if then is not None and self._app.state.selected == conversation:
            then()
        self._app.redraw()
