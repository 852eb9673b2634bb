"""The local API as a Python library, for our own clients and for other programs.

    async with Client() as fencewire:
        message = await fencewire.send("north-gate", "The road is open.")
        async for event in fencewire.events():
            ...

Every method makes one request, returns shapes of `schema` and raises `RequestError` for what the
daemon refuses, `NotRunning` when there is none and `ConnectionLost` when it goes away meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeAlias, get_args
from urllib.parse import urlencode

from appliance.api import requests as ask
from appliance.api import unix_http
from appliance.api.attachment_calls import AttachmentCalls
from appliance.api.calling import listed, parsed, quoted, refusal, shaped
from appliance.api.conference_calls import ConferenceCalls
from appliance.api.errors import ClientError, ConnectionLost, NotRunning, RequestError
from appliance.api.group_calls import GroupCalls
from appliance.api.history_calls import HistoryCalls
from appliance.api.record_calls import RecordCalls
from appliance.api.recording_calls import RecordingCalls
from appliance.api.schema import (
    CallInfo,
    Check,
    Event,
    EventType,
    Group,
    Link,
    Mesh,
    MeshPath,
    Message,
    Playback,
    Precedence,
    Problem,
    Recording,
    SoundSettings,
    SoundTest,
    Station,
    Status,
    Verification,
)
from appliance.api.storage_calls import StorageCalls
from appliance.api.talking import TalkInfo
from appliance.api.talking_calls import TalkingCalls

__all__ = [
    "Client",
    "ClientError",
    "Connected",
    "ConnectionLost",
    "Disconnected",
    "EventData",
    "NotRunning",
    "RequestError",
    "event_data",
]

EventData: TypeAlias = (
    Status
    | Station
    | Message
    | Group
    | CallInfo
    | TalkInfo
    | Verification
    | Recording
    | Playback
    | Problem
    | None
)

_EVENT_TYPES: Final = frozenset(get_args(EventType))
_EVENT_CLASSES: Final[dict[str, type[EventData]]] = {
    "status": Status,
    "station": Station,
    "message": Message,
    "group": Group,
    "call": CallInfo,
    "talk": TalkInfo,
    "verification": Verification,
    "recording": Recording,
    "playback": Playback,
    "alarm": Problem,
}
_DOCTOR_TIMEOUT_S: Final = 90.0
_SILENCE_S: Final = 45.0
"""Three of the daemon's signs of life on an event stream."""

_RECONNECT_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Pauses between attempts to find the daemon again; the last one repeats."""


@dataclass(frozen=True)
class Connected:
    """The event stream stands (again); what was missed follows, or a ``reset``."""


@dataclass(frozen=True)
class Disconnected:
    """The event stream broke off or can't be opened; `Client.follow` goes on trying."""

    error: ClientError
    """Why, in words for the operator."""


def event_data(event: Event) -> EventData:
    """Return what an event holds as a dataclass; None for ``reset`` and ``links``.

    Raises ClientError when it does not have that shape.
    """
    cls = _EVENT_CLASSES.get(event.type)
    return shaped(cls, event.data) if cls is not None else None


class Client(
    AttachmentCalls,
    GroupCalls,
    HistoryCalls,
    RecordCalls,
    RecordingCalls,
    StorageCalls,
    TalkingCalls,
    ConferenceCalls,
):
    """The daemon behind one socket.  It keeps no connection, so it may be used from many tasks."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    async def index(self) -> ask.Index:
        """List the endpoints."""
        return shaped(ask.Index, await self._call("GET", "/v1"))

    async def status(self) -> Status:
        """Describe this station."""
        return shaped(Status, await self._call("GET", "/v1/status"))

    async def set_name(self, name: str) -> Status:
        """Choose the name that others see."""
        return shaped(Status, await self._call("PUT", "/v1/name", ask.SetName(name)))

    async def stations(self) -> tuple[Station, ...]:
        """List all stations known, nearest and latest first."""
        return listed(Station, await self._call("GET", "/v1/stations"))

    async def station(self, station: str) -> Station:
        """Find one by id, the first 4 or more characters of it, name or number."""
        return shaped(Station, await self._call("GET", f"/v1/stations/{quoted(station)}"))

    async def add_peer(
        self, host: str, port: int | None = None, *, timeout_s: float = 10.0
    ) -> Station:
        """Connect to a station by its network address and wait until it has proved its key."""
        peer = ask.AddPeer(host, port, timeout_s)
        answer = await self._call("POST", "/v1/peers", peer, timeout_s=timeout_s + self._timeout_s)
        return shaped(Station, answer)

    async def send(
        self,
        to: str,
        text: str,
        *,
        line: str = "console",
        precedence: Precedence = "routine",
        lifetime_s: int | None = None,
        attachments: Sequence[str] = (),
    ) -> Message:
        """Write to a station or to ``everyone``; returns when it is on our disk.

        `attachments`: ids of uploads or recordings.
        """
        new = ask.NewMessage(to, text, line, precedence, lifetime_s, tuple(attachments))
        return shaped(Message, await self._call("POST", "/v1/messages", new))

    async def message(self, message: str) -> Message:
        """Find one message by its id."""
        return shaped(Message, await self._call("GET", f"/v1/messages/{quoted(message)}"))

    async def mark_read(self, conversation: str, *, up_to: int) -> int:
        """Note that the operator has seen what came up to that `order`; how many were unread."""
        answer = await self._call("POST", "/v1/messages/read", ask.MarkRead(conversation, up_to))
        return shaped(ask.MarkedRead, answer).count

    async def draft(self, conversation: str) -> str:
        """Return the text that was begun in a conversation."""
        answer = await self._call("GET", f"/v1/drafts/{quoted(conversation)}")
        return shaped(ask.Draft, answer).text

    async def set_draft(self, conversation: str, text: str) -> None:
        """Keep the text that was begun, over restarts too."""
        await self._call("PUT", f"/v1/drafts/{quoted(conversation)}", ask.Draft(text))

    async def calls(self) -> tuple[CallInfo, ...]:
        """List running calls first, then some that are over, latest first."""
        return listed(CallInfo, await self._call("GET", "/v1/calls"))

    async def call(
        self, to: str, *, line: str = "console", play: str | None = None, record: str | None = None
    ) -> CallInfo:
        """Call; `play` and `record` are WAV files in place of microphone and speaker."""
        new = ask.PlaceCall(to, line, play, record)
        return shaped(CallInfo, await self._call("POST", "/v1/calls", new))

    async def answer(
        self, call: str, *, play: str | None = None, record: str | None = None
    ) -> CallInfo:
        """Answer a ringing call."""
        target = f"/v1/calls/{quoted(call)}/answer"
        return shaped(CallInfo, await self._call("POST", target, ask.Answer(play, record)))

    async def hang_up(self, call: str) -> CallInfo:
        """End a call, decline it while it rings here, or cancel it while it rings there."""
        return shaped(CallInfo, await self._call("POST", f"/v1/calls/{quoted(call)}/hangup"))

    async def set_call(
        self,
        call: str,
        *,
        muted: bool | None = None,
        volume_pct: int | None = None,
        push_to_talk: bool | None = None,
        talking: bool | None = None,
    ) -> CallInfo:
        """Mute, change the loudness, push to talk; None: as it is."""
        change = ask.ChangeCall(muted, volume_pct, push_to_talk, talking)
        return shaped(CallInfo, await self._call("PATCH", f"/v1/calls/{quoted(call)}", change))

    async def verify(self, station: str, *, spoken_id: str | None = None) -> Verification:
        """Begin to compare six digits, or compare a whole id that was read out."""
        target = f"/v1/stations/{quoted(station)}/verify"
        answer = await self._call("POST", target, ask.StartVerification(spoken_id))
        return shaped(Verification, answer)

    async def verifications(self) -> tuple[Verification, ...]:
        """List running and recent comparisons, latest first, abandoned ones too."""
        return listed(Verification, await self._call("GET", "/v1/verifications"))

    async def finish_verification(self, verification: str, *, match: bool) -> Verification:
        """Say whether the two operators saw the same digits."""
        target = f"/v1/verifications/{quoted(verification)}"
        answer = await self._call("POST", target, ask.FinishVerification(match))
        return shaped(Verification, answer)

    async def sound(self) -> SoundSettings:
        """List sound devices."""
        return shaped(SoundSettings, await self._call("GET", "/v1/sound"))

    async def set_sound(
        self,
        *,
        input_device: str | None,
        output_device: str | None,
        handset: bool | None = None,
        talk_key: str | None = None,
    ) -> SoundSettings:
        """Choose both sound devices, None for the system's default; kept over restarts.

        ``handset``: nothing is done to the microphone's sound; ``talk_key``: as in `SetSound`.
        """
        chosen = ask.SetSound(input_device, output_device, handset, talk_key)
        return shaped(SoundSettings, await self._call("PUT", "/v1/sound", chosen))

    async def test_sound(self) -> SoundTest:
        """Listen to the microphone and play a tone for 2 s."""
        return shaped(SoundTest, await self._call("POST", "/v1/sound/test"))

    async def links(self) -> tuple[Link, ...]:
        """List network interfaces and who is met there."""
        return listed(Link, await self._call("GET", "/v1/links"))

    async def path_to(self, station: str) -> MeshPath:
        """Find over whom packets to a station go now."""
        return shaped(MeshPath, await self._call("GET", f"/v1/stations/{quoted(station)}/path"))

    async def mesh(self) -> Mesh:
        """Describe the mesh as far as it is known; ask again while it says that it is waiting."""
        return shaped(Mesh, await self._call("GET", "/v1/mesh"))

    async def doctor(self) -> tuple[Check, ...]:
        """Look at sound, multicast, privileges, clock, disk and ports."""
        answer = await self._call("GET", "/v1/doctor", timeout_s=_DOCTOR_TIMEOUT_S)
        return listed(Check, answer)

    async def events(self, cursor: str | None = None) -> AsyncGenerator[Event]:
        """Yield what happens after `cursor` until ConnectionLost; begins with a ``reset`` if None.

        When the first event has come, whatever happens from then on will come too: load what is
        needed after the ``reset``, and nothing falls between.
        """
        async with aclosing(self._stream(cursor)) as stream:
            async for item in stream:
                if isinstance(item, Event):
                    yield item

    async def follow(
        self, cursor: str | None = None
    ) -> AsyncGenerator[Event | Connected | Disconnected]:
        """Yield events without end, coming back by itself when the daemon has gone and returns."""
        attempt = 0
        told = False
        while True:
            try:
                async with aclosing(self._stream(cursor)) as stream:
                    async for item in stream:
                        attempt, told = 0, False
                        if isinstance(item, Event):
                            cursor = item.cursor
                        yield item
            except ClientError as error:
                if not told:
                    yield Disconnected(error)
                told = True
            await asyncio.sleep(_RECONNECT_S[min(attempt, len(_RECONNECT_S) - 1)])
            attempt += 1

    async def _stream(self, cursor: str | None) -> AsyncGenerator[Event | Connected]:
        target = "/v1/events" + (f"?{urlencode({'cursor': cursor})}" if cursor else "")
        lines = unix_http.lines(self.path, target, timeout_s=self._timeout_s, silence_s=_SILENCE_S)
        async with aclosing(lines) as stream:
            async for status, line in stream:
                if status != 200 and line:
                    raise refusal(status, line)
                if not line:
                    if status == 200:
                        yield Connected()
                    continue
                data = parsed(line)
                if isinstance(data, dict) and data.get("type") in _EVENT_TYPES:
                    yield shaped(Event, data)
