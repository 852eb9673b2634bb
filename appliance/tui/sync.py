"""Keeps the state in step with the daemon: load, follow, and begin again when it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Final

from appliance.api.client import event_data
from appliance.api.errors import ClientError, NotYetRunning
from appliance.api.schema import (
    CallInfo,
    Event,
    Message,
    Problem,
    Station,
    Status,
    Verification,
)
from appliance.tui import views
from appliance.tui.client import StationClient
from appliance.tui.store import (
    Action,
    AlarmCame,
    CallCame,
    LinksCame,
    Loaded,
    Lost,
    MessageCame,
    PageCame,
    StationCame,
    StatusCame,
    TuiState,
    VerificationCame,
)

PAGE_MESSAGES: Final = 100
"""Asked for at once."""

MAX_UNREAD_PAGES: Final = 10
"""Asked for by itself, to begin where the unread ones do; the reader pages back for more."""

RETRY_S: Final = (0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts to find the daemon again; the last one repeats."""

_RECOUNT_S: Final = 0.2
"""Unread counts are asked for at most this often."""


class Follower:
    """Feeds what the daemon tells into the state, as long as `run` runs."""

    def __init__(
        self,
        client: StationClient,
        *,
        state: Callable[[], TuiState],
        dispatch: Callable[[Action], None],
        now_s: Callable[[], float],
    ) -> None:
        self._client = client
        self._state = state
        self._dispatch = dispatch
        self._now_s = now_s
        self._recount: set[str] = set()
        self._recounting = asyncio.Event()
        self._paging = asyncio.Lock()

    async def run(self) -> None:
        """Follow for ever."""
        recounter = asyncio.create_task(self._recounter())
        try:
            await self._follow()
        finally:
            recounter.cancel()
            with suppress(asyncio.CancelledError):
                await recounter

    async def _follow(self) -> None:
        attempt = 0
        while True:
            try:
                async with aclosing(self._client.events(None)) as events:
                    async for event in events:
                        attempt = 0
                        await self._take(event)
            except ClientError as error:
                # What was never there and is on its way is not lost.
                if not isinstance(error, NotYetRunning) or self._state().status is not None:
                    self._dispatch(Lost(str(error)))
            else:
                self._dispatch(Lost(""))
            await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    async def _take(self, event: Event) -> None:
        if event.type == "reset":
            await self._load()
            return
        if event.type == "links":
            self._dispatch(LinksCame(await self._client.links()))
            return
        action = self._action(event)
        if action is not None:
            self._dispatch(action)

    def _action(self, event: Event) -> Action | None:
        now_s = self._now_s()
        match event_data(event):
            case Status() as status:
                return StatusCame(status, now_s)
            case Station() as station:
                return StationCame(station, now_s)
            case Message() as message:
                if message.unread:
                    self.recount(message.conversation)
                return MessageCame(message)
            case CallInfo() as call:
                return CallCame(call, now_s)
            case Verification() as verification:
                return VerificationCame(verification)
            case Problem() as problem:
                return AlarmCame(problem)
        return None

    async def _load(self) -> None:
        client = self._client
        loaded = Loaded(
            status=await client.status(),
            stations=await client.stations(),
            calls=await client.calls(),
            verifications=await client.verifications(),
            links=await client.links(),
            now_s=self._now_s(),
        )
        self._dispatch(loaded)
        await self.open_talk(self._state().selected, fresh=True)

    async def open_talk(self, conversation: str, *, fresh: bool = False) -> None:
        """Load the newest part of a conversation, and on to its first unread message."""
        async with self._paging:
            if conversation in self._state().talks and not fresh:
                return
            page = await self._client.messages(conversation, limit=PAGE_MESSAGES)
            self._dispatch(PageCame(conversation, page, fresh=True))
            for _ in range(MAX_UNREAD_PAGES):
                talk = self._state().talks.get(conversation)
                if talk is None or not talk.more or views.first_unread(talk.messages) != 0:
                    return
                await self._older(conversation)

    async def older(self, conversation: str) -> None:
        """Load the part before the oldest message that is here."""
        async with self._paging:
            await self._older(conversation)

    async def _older(self, conversation: str) -> None:
        talk = self._state().talks.get(conversation)
        if talk is None or not talk.more or not talk.messages:
            return
        page = await self._client.messages(
            conversation,
            before=talk.messages[0].order,
            before_id=talk.messages[0].id,
            limit=PAGE_MESSAGES,
        )
        self._dispatch(PageCame(conversation, page, fresh=False))

    def recount(self, conversation: str) -> None:
        """Ask soon how many messages are unread."""
        self._recount.add(conversation)
        self._recounting.set()

    async def _recounter(self) -> None:
        while True:
            await self._recounting.wait()
            await asyncio.sleep(_RECOUNT_S)
            self._recounting.clear()
            wanted, self._recount = self._recount, set()
            # The stream of events says so when the daemon has gone; counts come anew after that.
            with suppress(ClientError):
                for conversation in wanted & self._state().stations.keys():
                    station = await self._client.station(conversation)
                    self._dispatch(StationCame(station, self._now_s()))
                self._dispatch(StatusCame(await self._client.status(), self._now_s()))
