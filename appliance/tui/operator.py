"""What the operator does, as requests to the daemon; what goes wrong is said in words.

Everything here runs beside the screen: a key never waits for the daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from appliance.api.errors import ClientError, ConnectionLost
from appliance.api.schema import CallInfo, Station
from appliance.tui.actions import (
    Action,
    CallCame,
    GroupCame,
    MarkedRead,
    MessageCame,
    StationCame,
    StatusCame,
    VerificationCame,
)
from appliance.tui.client import StationClient
from appliance.tui.composer import too_long
from appliance.tui.drafts import Drafts
from appliance.tui.letters import Letter, Letters
from appliance.tui.store import TuiState
from appliance.tui.text import one_line, plain_name
from appliance.tui.voice import Voice

T = TypeVar("T")

VOLUME_STEP_PCT = 20
MAX_VOLUME_PCT = 200

ALL_CALLS = 2**53
"""Above the numbers of all calls in the record."""

_PLAIN_LETTER = Letter()

_UNSURE = (
    "The connection broke while it was sent: look below whether it is there before you repeat."
)


class Operator:
    """The hands on the station."""

    def __init__(
        self,
        client: StationClient,
        drafts: Drafts,
        *,
        state: Callable[[], TuiState],
        dispatch: Callable[[Action], None],
        say: Callable[[str, bool], None],
        start: Callable[[Coroutine[Any, Any, None]], object],
        now_s: Callable[[], float],
    ) -> None:
        self.client = client
        self.drafts = drafts
        self.state = state
        self.dispatch = dispatch
        self.say = say
        self.start = start
        self.now_s = now_s
        self.voice = Voice(client, dispatch=dispatch, say=say, start=start)
        self._sending = asyncio.Lock()
        self._marked: tuple[str, int] | None = None

    async def ask(self, request: Awaitable[T]) -> T | None:
        """Wait for an answer; None, and words on the screen, when it is an error."""
        try:
            return await request
        except ClientError as error:
            self.say(str(error), True)
            return None

    # Messages

    def send(self, letters: Letters) -> None:
        """Send the message line; it comes back where that fails."""
        text = self.drafts.editor.text
        if not text.strip() and not letters.of(self.drafts.conversation).enclosed:
            self.say("Type a message first, then press Enter.", False)
            return
        problem = too_long(text)
        if problem:
            self.say(problem, True)
            return
        conversation = self.drafts.conversation
        letter = letters.take(conversation)
        self.start(self._send(conversation, self.drafts.take(), letter, letters))

    async def _send(
        self,
        conversation: str,
        text: str,
        letter: Letter = _PLAIN_LETTER,
        letters: Letters | None = None,
    ) -> None:
        async with self._sending:
            try:
                message = await self.client.send(
                    conversation,
                    text,
                    precedence=letter.precedence,
                    lifetime_s=letter.lifetime_s,
                    attachments=tuple(one.id for one in letter.enclosed),
                )
            except ClientError as error:
                self.drafts.give_back(conversation, text)
                if letters is not None:
                    letters.give_back(conversation, letter)
                unsure = f" {_UNSURE}" if isinstance(error, ConnectionLost) else ""
                self.say(f"Not sent. {error}{unsure}", True)
                return
        self.drafts.sent(conversation)
        self.dispatch(MessageCame(message))

    def seen(self, conversation: str, up_to: int) -> None:
        """Report what the operator has seen, once."""
        if self._marked == (conversation, up_to):
            return
        self._marked = (conversation, up_to)
        self.start(self._seen(conversation, up_to))

    async def _seen(self, conversation: str, up_to: int) -> None:
        try:
            await self.client.mark_read(conversation, up_to=up_to)
            self.dispatch(MarkedRead(conversation, up_to))
            if conversation in self.state().stations:
                station = await self.client.station(conversation)
                self.dispatch(StationCame(station, self.now_s()))
            if conversation in self.state().groups:
                self.dispatch(GroupCame(await self.client.group(conversation)))
            self.dispatch(StatusCame(await self.client.status(), self.now_s()))
        except ClientError:
            pass  # tried again when the conversation is drawn next
        finally:
            self._marked = None

    # Calls

    def answer(self, call: CallInfo) -> None:
        """Take a call."""
        self.start(self._call_came(self.client.answer(call.id)))

    def hang_up(self, call: CallInfo) -> None:
        """End, decline or cancel a call."""
        self.start(self._call_came(self.client.hang_up(call.id)))

    def add_to_call(self, call: CallInfo, station: str) -> None:
        """Have another station join a call."""
        self.start(self._call_came(self.client.add_to_call(call.id, station)))

    def mute(self, call: CallInfo) -> None:
        """Turn our microphone off, or on again."""
        self.start(self._call_came(self.client.set_call(call.id, muted=not call.muted)))

    def change_call(
        self, call: CallInfo, *, push_to_talk: bool | None = None, talking: bool | None = None
    ) -> None:
        """Use push to talk or not; begin and end talking."""
        request = self.client.set_call(call.id, push_to_talk=push_to_talk, talking=talking)
        self.start(self._call_came(request))

    def volume(self, call: CallInfo, by_pct: int) -> None:
        """Make the other side louder, or softer."""
        wanted = min(max(call.volume_pct + by_pct, 0), MAX_VOLUME_PCT)
        self.start(self._call_came(self.client.set_call(call.id, volume_pct=wanted)))

    def saw_calls(self, station: str) -> None:
        """Report that missed calls of a station were seen."""
        self.start(self._saw_calls(ALL_CALLS, station))

    def saw_all_calls(self, up_to: int) -> None:
        """Report that missed calls were seen, up to one in the record."""
        self.start(self._saw_calls(up_to, None))

    async def _saw_calls(self, up_to: int, station: str | None) -> None:
        with suppress(ClientError):  # counted again, and seen again, when it is back
            await self.client.see_calls(up_to, station)

    async def _call_came(self, request: Awaitable[CallInfo]) -> None:
        call = await self.ask(request)
        if call is not None:
            self.dispatch(CallCame(call, self.now_s()))

    def decline_with(self, call: CallInfo, text: str) -> None:
        """Decline a call and write instead."""
        self.start(self._decline_with(call, text))

    async def _decline_with(self, call: CallInfo, text: str) -> None:
        await self._call_came(self.client.hang_up(call.id))
        await self._send(call.station, text)

    # Trust

    def verify(self, station: Station) -> None:
        """Begin to compare digits."""
        self.start(self._verification(self.client.verify(station.id)))

    def verify_by_id(self, station: Station, spoken: str) -> None:
        """Compare a whole id that was read out."""
        self.start(self._verification(self.client.verify(station.id, spoken_id=spoken), say=True))

    def finish_verification(self, verification: str, *, match: bool) -> None:
        """Say whether the digits were the same."""
        finish = self.client.finish_verification(verification, match=match)
        self.start(self._verification(finish, say=True))

    async def _verification(self, request: Awaitable[Any], *, say: bool = False) -> None:
        result = await self.ask(request)
        if result is None:
            return
        self.dispatch(VerificationCame(result))
        if say and result.text:
            self.say(one_line(result.text), result.state != "verified")

    # The station itself

    def rename(self, name: str) -> None:
        """Choose the name that others see."""
        self.start(self._rename(name))

    async def _rename(self, name: str) -> None:
        status = await self.ask(self.client.set_name(name))
        if status is not None:
            self.dispatch(StatusCame(status, self.now_s()))
            self.say(f"Others see you as {plain_name(status.name)} now.", False)

    def add_peer(self, typed: str) -> None:
        """Look for a station at a network address."""
        self.say("Looking there...", False)
        self.start(self._add_peer(typed))

    async def _add_peer(self, typed: str) -> None:
        host, port = split_host(typed)
        station = await self.ask(self.client.add_peer(host, port))
        if station is not None:
            self.dispatch(StationCame(station, self.now_s()))
            self.say(f"Found {plain_name(station.name)}.", False)


def split_host(typed: str) -> tuple[str, int | None]:
    """Return host and port of ``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address."""
    text = typed.strip()
    if text.startswith("["):
        host, _, tail = text[1:].partition("]")
        port = tail.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    valid = port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536
    return host, int(port) if valid else None
