"""Keeps the state in step with the daemon: load, follow, and begin again when it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Final

from appliance.api.client import event_data
from appliance.api.errors import ClientError, NotYetRunning, RequestError
from appliance.api.groups import Group
from appliance.api.schema import (
    EVERYONE,
    CallInfo,
    Event,
    Message,
    Playback,
    Problem,
    Recording,
    Station,
    Status,
    Verification,
)
from appliance.api.talking import TalkInfo
from appliance.tui import views
from appliance.tui.actions import (
    Action,
    AlarmCame,
    CallCame,
    ChannelCame,
    Counted,
    GroupCame,
    LinksCame,
    Loaded,
    Lost,
    MessageCame,
    NewerCame,
    PageCame,
    PlaybackCame,
    RecordingCame,
    RemovedCame,
    StationCame,
    StatusCame,
    VerificationCame,
    WindowCame,
)
from appliance.tui.client import StationClient
from appliance.tui.paging import Meanwhile, Pager
from appliance.tui.store import TuiState
from appliance.tui.talks import Key

RETRY_S: Final = (0.2, 0.5, 1.0, 2.0)
"""Pauses between attempts to find the daemon again; the last one repeats."""

_LOOKED_THROUGH: Final = 200
_LOOKS: Final = 5
_MAX_LOOKS: Final = 25
"""Pages of so many messages that are looked through for what waits; more where not all that is
unread was found in the first few."""

_PAST_CALLS: Final = 100
"""Calls of the record that stand in their conversations."""

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
        self._pager = Pager(client)
        self._paging = asyncio.Lock()
        self._meanwhile: Meanwhile | None = None
        self._looking: Meanwhile | None = None
        self._counting = asyncio.Event()

    async def run(self) -> None:
        """Follow for ever."""
        beside = [asyncio.create_task(one) for one in (self._recounter(), self._counter())]
        try:
            await self._follow()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

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
        if event.type == "storage":
            await self._load_removed()
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
            case Group() as group:
                return GroupCame(group)
            case Message() as message:
                for one in (self._meanwhile, self._looking):
                    if one is not None:
                        one.note(message)
                if message.unread:
                    self.recount(message.conversation)
                return MessageCame(message)
            case CallInfo() as call:
                return CallCame(call, now_s)
            case TalkInfo() as channel:
                return ChannelCame(channel, now_s)
            case Verification() as verification:
                return VerificationCame(verification)
            case Recording() as recording:
                return RecordingCame(recording)
            case Playback() as playback:
                return PlaybackCame(playback)
            case Problem() as problem:
                return AlarmCame(problem)
        return None

    async def _load(self) -> None:
        client = self._client
        loaded = Loaded(
            status=await client.status(),
            stations=await client.stations(),
            calls=await self._calls(),
            verifications=await client.verifications(),
            links=await client.links(),
            groups=await client.groups(),
            channels=await client.channels(),
            now_s=self._now_s(),
        )
        self._dispatch(loaded)
        self._counting.set()
        await self.open_talk(self._state().selected, fresh=True)

    async def _calls(self) -> tuple[CallInfo, ...]:
        """The calls of this start of the daemon, and the latest of those before in the record."""
        recorded: dict[str, CallInfo] = {}
        with suppress(RequestError):  # what can't be looked up is said where it is asked for: F12
            past = await self._client.past_calls(limit=_PAST_CALLS)
            recorded = {one.id: one for one in past.calls}
        # What is seen, and how it sounded, stands in the record.
        ours = [recorded.pop(one.id, one) for one in await self._client.calls()]
        return (*ours, *recorded.values())

    async def _load_removed(self) -> None:
        self._dispatch(RemovedCame((await self._client.storage()).removed))

    async def open_talk(self, conversation: str, *, fresh: bool = False) -> None:
        """Load the newest part of a conversation, or where its first unread message stands."""

        async def fetch() -> Action | None:
            here = self._state().talks.get(conversation)
            if here is not None and not fresh:
                if not here.unread_before:
                    return None
                first = await self._pager.around(conversation, min(here.unread_before))
                return WindowCame(conversation, first)
            await self._count(conversation)
            unread = views.unread(self._state(), conversation)
            return WindowCame(conversation, await self._pager.opening(conversation, unread))

        await self._fetched(conversation, fetch)

    async def older(self, conversation: str) -> None:
        """Load the part before the oldest message that is here."""

        async def fetch() -> Action | None:
            talk = self._state().talks.get(conversation)
            if talk is None or not talk.more or not talk.messages:
                return None
            return PageCame(conversation, await self._pager.older(conversation, talk.messages[0]))

        await self._fetched(conversation, fetch)

    async def newer(self, conversation: str) -> None:
        """Load the part behind the newest message that is here."""

        async def fetch() -> Action | None:
            talk = self._state().talks.get(conversation)
            if talk is None or not talk.newer:
                return None
            messages, last = await self._pager.newer(conversation, talk)
            return NewerCame(conversation, messages, last)

        await self._fetched(conversation, fetch)

    async def beginning(self, conversation: str) -> None:
        """Load the oldest part instead of what is here."""

        async def fetch() -> Action | None:
            talk = self._state().talks.get(conversation)
            if talk is None or not talk.more or not talk.messages:
                return None
            return WindowCame(conversation, await self._pager.beginning(conversation, talk))

        await self._fetched(conversation, fetch)

    async def end(self, conversation: str) -> None:
        """Load the newest part instead of what is here."""

        async def fetch() -> Action | None:
            return WindowCame(conversation, await self._pager.newest(conversation))

        await self._fetched(conversation, fetch)

    async def around(self, conversation: str, wanted: Key) -> None:
        """Load the part around a message instead of what is here."""

        async def fetch() -> Action | None:
            return WindowCame(conversation, await self._pager.around(conversation, wanted))

        await self._fetched(conversation, fetch)

    async def _fetched(
        self, conversation: str, fetch: Callable[[], Awaitable[Action | None]]
    ) -> None:
        """Take in what is fetched, and once more what came meanwhile: it may not be in there."""
        async with self._paging:
            meanwhile = self._meanwhile = Meanwhile(conversation)
            try:
                action = await fetch()
            finally:
                self._meanwhile = None
        if action is None:
            return
        self._dispatch(action)
        if meanwhile.passed is not None:
            # Too many to be kept: what the part lacks at its end is fetched when it is wanted.
            talk = self._state().talks[conversation]
            later = replace(talk, newest=max(talk.newest, meanwhile.passed))
            self._dispatch(WindowCame(conversation, later))
        for message in meanwhile.messages.values():
            self._dispatch(MessageCame(message))

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
                for conversation in wanted - {EVERYONE}:
                    await self._count(conversation)
                await self._count(EVERYONE)

    async def _count(self, conversation: str) -> None:
        """Ask how many messages of a conversation are unread, or of all."""
        client, state = self._client, self._state()
        if conversation in state.groups:
            self._dispatch(GroupCame(await client.group(conversation)))
        elif conversation in state.stations:
            self._dispatch(StationCame(await client.station(conversation), self._now_s()))
        else:
            self._dispatch(StatusCame(await client.status(), self._now_s()))

    async def _counter(self) -> None:
        """Look through the latest messages for what waits in their conversations."""
        while True:
            await self._counting.wait()
            self._counting.clear()
            with suppress(ClientError):
                await self._load_removed()
                await self._look_through()

    async def _look_through(self) -> None:
        status = self._state().status
        unread = status.unread if status is not None else 0
        first: Message | None = None
        for look in range(_MAX_LOOKS):
            meanwhile = self._looking = Meanwhile(None)
            try:
                page = await self._client.messages(
                    before=first.order if first else None,
                    before_id=first.id if first else None,
                    limit=_LOOKED_THROUGH,
                )
            finally:
                self._looking = None
            # What was told since the page was made is newer than the page.
            self._dispatch(Counted((*page.messages, *meanwhile.messages.values())))
            unread -= sum(one.unread for one in page.messages)
            if not page.more or not page.messages or (look + 1 >= _LOOKS and unread <= 0):
                return
            first = page.messages[0]
