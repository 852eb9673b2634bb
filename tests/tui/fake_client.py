"""A daemon in memory, behind the same methods as the real client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any, cast

from fake_conferences import FakeConferences
from fake_files import FakeFiles
from fake_groups import FakeGroups
from fake_history import FakeHistory, as_daemon
from fake_talk import FakeTalk
from shapes import ME, at, call, edge, message, node, station, status

from appliance.api.errors import ConnectionLost, NotRunning, RequestError
from appliance.api.jsonable import to_json
from appliance.api.schema import (
    CallInfo,
    Event,
    EventType,
    Link,
    Mesh,
    MeshEdge,
    MeshPath,
    Message,
    MessagePage,
    Neighbour,
    PathHop,
    Precedence,
    Problem,
    Recipient,
    SoundSettings,
    SoundTest,
    Station,
    Status,
    Verification,
)
from appliance.api.storage import MAX_RECIPIENTS, FoundMessages, Recipients, Removed, Storage


class FakeClient(FakeConferences, FakeFiles, FakeGroups, FakeHistory, FakeTalk):
    """One station's daemon; the tests play the others."""

    def __init__(self, *stations: Station, **own: object) -> None:
        FakeFiles.__init__(self)
        FakeGroups.__init__(self)
        FakeHistory.__init__(self)
        FakeTalk.__init__(self)
        self.own = status(reach=sum(one.reach == "here" for one in stations), **own)
        self.known = {one.id: one for one in stations}
        self.stored: list[Message] = []
        self.drafts: dict[str, str] = {}
        self.all_calls: dict[str, CallInfo] = {}
        self.comparisons: list[Verification] = []
        self.interfaces: tuple[Link, ...] = (
            Link(
                "eth0",
                True,
                ("192.168.1.5/24", "fe80::5/64"),
                tuple(
                    Neighbour(one.id, one.host or "", one.rtt_ms)
                    for one in stations
                    if one.reach == "here"
                ),
            ),
            Link("wlan1", False, (), ()),
        )
        self.edges: tuple[MeshEdge, ...] = ()
        """Links between others."""
        self.devices = SoundSettings(("USB headset", "Built-in"), ("USB headset",), None, None)
        self.read_up_to: list[tuple[str, int]] = []
        self.alive = True
        self.absence = NotRunning("Your station's program does not run.", "Start it: fencewire run")
        self.refusal: RequestError | None = None
        self.lifetimes: list[int | None] = []
        """What was asked for with each message that was sent."""
        self.searches: list[str] = []
        self.slice_s = 0.0
        """How long a part of a search takes."""
        self.how_far: list[Recipient] = []
        """With whom a message is, whichever it is."""
        self.carriers: tuple[str, ...] = ()
        self.removed: tuple[Removed, ...] = ()
        self._queues: list[asyncio.Queue[Event | None]] = []
        self._count = 0

    # What the tests do

    def tell(self, kind: EventType, data: object = None) -> None:
        """Let an event happen."""
        self._count += 1
        body = cast("dict[str, object]", to_json(data)) if data is not None else {}
        for queue in self._queues:
            queue.put_nowait(Event(str(self._count), kind, body))

    def arrive(self, new: Message) -> None:
        """Let a message come in."""
        self.stored.append(new)
        self._count_unread()
        self.tell("message", new)

    def meet(self, other: Station) -> None:
        """Let a station come, go or change."""
        self.known[other.id] = other
        here = sum(one.reach == "here" for one in self.known.values())
        self.own = replace(self.own, reach=here)
        self.tell("station", other)
        self.tell("status", self.own)

    def ring(self, other: Station) -> CallInfo:
        """Let somebody call."""
        return self.change_call(call(other, "ringing-here"))

    def change_call(self, changed: CallInfo) -> CallInfo:
        """Let a call come into another state."""
        self.all_calls[changed.id] = changed = as_daemon(changed)
        self.tell("call", changed)
        return changed

    def die(self) -> None:
        """Let the daemon go away."""
        self.alive = False
        for queue in self._queues:
            queue.put_nowait(None)

    def _count_unread(self) -> None:
        waiting = [one for one in self.stored if one.unread]
        self.own = replace(self.own, unread=len(waiting))
        for group in self.all_groups.values():
            count = sum(1 for item in waiting if item.conversation == group.id)
            self.all_groups[group.id] = replace(group, unread=count)
        for key, one in self.known.items():
            count = sum(1 for item in waiting if item.conversation == key)
            self.known[key] = replace(one, unread=count)

    def _check(self) -> None:
        if not self.alive:
            raise self.absence
        if self.refusal is not None:
            raise self.refusal

    # What the screen calls

    async def events(self, cursor: str | None = None) -> AsyncGenerator[Event]:
        self._check()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._queues.append(queue)
        try:
            yield Event("0", "reset", {})
            while (event := await queue.get()) is not None:
                yield event
            raise ConnectionLost("The daemon went away.", "")
        finally:
            self._queues.remove(queue)

    async def status(self) -> Status:
        self._check()
        return self.own

    async def set_name(self, name: str) -> Status:
        self._check()
        self.own = replace(self.own, name=name, name_is_default=False)
        return self.own

    async def stations(self) -> tuple[Station, ...]:
        self._check()
        return tuple(self.known.values())

    async def station(self, station: str) -> Station:
        self._check()
        return self.known[station]

    async def add_peer(
        self, host: str, port: int | None = None, *, timeout_s: float = 10.0
    ) -> Station:
        self._check()
        found = station("far-mill", "ffff", host=host)
        self.known[found.id] = found
        return found

    async def send(
        self,
        to: str,
        text: str,
        *,
        precedence: Precedence = "routine",
        lifetime_s: int | None = None,
        attachments: Sequence[str] = (),
    ) -> Message:
        self._check()
        self.lifetimes.append(lifetime_s)
        other = self.known.get(to)
        order = max((one.order for one in self.stored), default=0) + 1
        new = message(other, text, order, outgoing=True, state="queued", received_at=at())
        if to in self.all_groups:
            new = replace(new, conversation=to)
        new = replace(new, precedence=precedence, attachments=self.attached(attachments))
        self.stored.append(new)
        self.tell("message", new)
        return new

    async def messages(
        self,
        conversation: str | None = None,
        *,
        before: int | None = None,
        before_id: str | None = None,
        after: int | None = None,
        after_id: str | None = None,
        limit: int = 50,
    ) -> MessagePage:
        self._check()
        found = [
            one
            for one in sorted(self.stored, key=lambda item: (item.order, item.id))
            if conversation in {None, one.conversation}
            and (before is None or (one.order, one.id) < (before, before_id or ""))
            and (after is None or (one.order, one.id) > (after, after_id or "~"))
        ]
        page = found[-limit:] if after is None else found[:limit]
        return MessagePage(tuple(page), len(found) > limit)

    async def search(
        self,
        words: str,
        conversation: str | None = None,
        *,
        before: int | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> FoundMessages:
        """Look through ten messages at a time, latest first."""
        self._check()
        page = await self.messages(conversation, before=before, before_id=before_id, limit=10)
        found = tuple(one for one in reversed(page.messages) if words in one.text)
        first = page.messages[0] if page.more else None
        self.searches.append(words)
        await asyncio.sleep(self.slice_s)
        return FoundMessages(found, first.order if first else None, first.id if first else None)

    async def recipients(
        self, message: str, *, after: str | None = None, limit: int = MAX_RECIPIENTS
    ) -> Recipients:
        self._check()
        found = [one for one in self.how_far if after is None or one.station > after]
        counts = Counter(one.state for one in self.how_far)
        return Recipients(
            tuple(found[:20]),
            len(found) > 20,
            queued=counts["queued"],
            relayed=counts["relayed"],
            delivered=counts["delivered"],
            read=counts["read"],
            carriers=self.carriers,
        )

    async def storage(self) -> Storage:
        self._check()
        count = sum(one.records for one in self.removed)
        return Storage((), 1, 1, self.removed, count)

    async def message(self, message: str) -> Message:
        self._check()
        return next(one for one in self.stored if one.id == message)

    async def mark_read(self, conversation: str, *, up_to: int) -> int:
        self._check()
        self.read_up_to.append((conversation, up_to))
        before = self.own.unread
        self.stored = [
            replace(one, unread=False)
            if one.conversation == conversation and one.order <= up_to
            else one
            for one in self.stored
        ]
        self._count_unread()
        return before - self.own.unread

    async def draft(self, conversation: str) -> str:
        self._check()
        return self.drafts.get(conversation, "")

    async def set_draft(self, conversation: str, text: str) -> None:
        self._check()
        self.drafts[conversation] = text

    async def calls(self) -> tuple[CallInfo, ...]:
        self._check()
        return tuple(replace(as_daemon(one), seen=True) for one in self.all_calls.values())

    async def call(self, to: str) -> CallInfo:
        self._check()
        return self.change_call(call(self.known[to], "dialling", outgoing=True))

    async def answer(self, call: str) -> CallInfo:
        self._check()
        return self.change_call(replace(self.all_calls[call], state="talking", talking_s=0.0))

    async def hang_up(self, call: str) -> CallInfo:
        self._check()
        one = self.all_calls[call]
        reason = "declined" if one.state == "ringing-here" else "hung-up"
        return self.change_call(replace(one, state="ended", end_reason=reason))

    async def set_call(self, call: str, **changes: Any) -> CallInfo:
        self._check()
        one = self.all_calls[call]
        talking = changes.pop("talking", None)
        one = replace(one, **{name: new for name, new in changes.items() if new is not None})
        if talking is not None:
            one = replace(one, talk_left_s=60.0 if talking and one.push_to_talk else None)
        return self.change_call(one)

    async def verify(self, station: str, *, spoken_id: str | None = None) -> Verification:
        self._check()
        if spoken_id is None:
            new = Verification("v1", station, True, "compare", "482917", "Compare the digits.")
        else:
            state = "verified" if spoken_id == station else "mismatch"
            new = Verification("v2", station, True, state, None, f"The ids: {state}.")  # type: ignore[arg-type]  # one of two literals
        self.comparisons.insert(0, new)
        return new

    async def verifications(self) -> tuple[Verification, ...]:
        self._check()
        return tuple(self.comparisons)

    async def finish_verification(self, verification: str, *, match: bool) -> Verification:
        self._check()
        (old,) = [one for one in self.comparisons if one.id == verification]
        text = "Verified." if match else "The digits were different: somebody may stand between."
        new = replace(old, state="verified" if match else "mismatch", text=text)
        self.comparisons = [new, *(one for one in self.comparisons if one.id != verification)]
        if match:
            self.meet(replace(self.known[old.station], trust="verified"))
        return new

    async def sound(self) -> SoundSettings:
        self._check()
        return self.devices

    async def set_sound(
        self, *, input_device: str | None, output_device: str | None, **more: Any
    ) -> SoundSettings:
        self._check()
        kept = {name: new for name, new in more.items() if new is not None}
        self.devices = replace(self.devices, input=input_device, output=output_device, **kept)
        return self.devices

    async def test_sound(self) -> SoundTest:
        self._check()
        return SoundTest(-18.0, True, "The microphone hears you.")

    async def mesh(self) -> Mesh:
        self._check()
        there = [one for one in self.known.values() if one.reach in {"here", "reachable"}]
        return Mesh(
            nodes=(node(None), *(node(one) for one in there)),
            edges=(*self.edges, *(edge(None, one) for one in there if (one.hops or 1) == 1)),
            waiting=0,
            not_asked=0,
        )

    async def path_to(self, station: str) -> MeshPath:
        self._check()
        hops: list[PathHop] = []
        here = self.known[station]
        while True:
            by = next((one for one in self.edges if one.b == here.id), edge(None, here))
            hop = PathHop(here.id, here.id, here.name, by.kind, by.seen_by, 96, 4, 0, here.rtt_ms)
            hops.insert(0, hop)
            if by.a == ME:
                break
            here = self.known[by.a]
        return MeshPath(station, tuple(hops), complete=True, metric=96 * len(hops), link="eth0")

    async def links(self) -> tuple[Link, ...]:
        self._check()
        return self.interfaces


DISK_FULL = Problem("disk-full", "The disk is full.", "Delete something; new messages wait.")
