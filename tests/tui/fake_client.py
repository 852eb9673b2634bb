"""A daemon in memory, behind the same methods as the real client, and makers of what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import cast

from appliance.api.errors import ConnectionLost, NotRunning, RequestError
from appliance.api.jsonable import to_json
from appliance.api.schema import (
    EVERYONE,
    CallInfo,
    Event,
    EventType,
    Link,
    MediaStatus,
    Message,
    MessagePage,
    MessageState,
    Neighbour,
    Problem,
    Reach,
    Recipient,
    SoundSettings,
    SoundTest,
    Station,
    Status,
    Trust,
    Verification,
    WallTime,
)

NOON_MS = 1_793_707_320_000
"""Tuesday, 3 November 2026, 12:02 UTC."""

ME = "me" + "a" * 54


def at(minutes: float = 0.0, *, sure: bool = True) -> WallTime:
    """Return a moment around noon."""
    return WallTime(NOON_MS + int(minutes * 60_000), sure)


def status(**changes: object) -> Status:
    """Return our own station."""
    base = Status(
        version="0.1.0",
        id=ME,
        spoken_id=" ".join(ME[place : place + 4] for place in range(0, 56, 4)),
        tag=ME[:4],
        name="amber-otter",
        name_is_default=False,
        number="4820193",
        address="fd12:3456:789a:bcde:1111:2222:3333:4444",
        boot="00",
        uptime_s=1.0,
        port=7311,
        reach=0,
        unread=0,
        clock=at(),
        media=MediaStatus(True, True, "Opus 1.6"),
        problems=(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields


def station(
    name: str, tag: str = "k7qd", *, reach: Reach = "here", trust: Trust = "new", **changes: object
) -> Station:
    """Return another station; its id begins with its tag."""
    base = Station(
        id=(tag + "".join(f"{ord(char):x}" for char in name) + "b" * 56)[:56],
        tag=tag,
        name=name,
        number="5550100",
        trust=trust,
        reach=reach,
        since_s=1200.0,
        last_seen=at(-20),
        rtt_ms=3.0 if reach == "here" else None,
        host="fe80::1%eth0",
        link="eth0",
        unread=0,
        alarm=None,
        has_card=True,
        clock_off_s=None,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields


def message(
    other: Station | None,
    text: str,
    order: int,
    *,
    outgoing: bool = False,
    state: MessageState = "delivered",
    **changes: object,
) -> Message:
    """Return a message in the conversation with `other`, or with everyone."""
    conversation = other.id if other else EVERYONE
    moment = at(order - 60)
    told = state in {"delivered", "read"}
    base = Message(
        id=f"{order:064x}",
        conversation=conversation,
        author=ME if outgoing or other is None else other.id,
        author_name="amber-otter" if outgoing or other is None else other.name,
        outgoing=outgoing,
        text=text,
        line="console",
        precedence="routine",
        state=state,
        recipients=(Recipient(conversation, state, moment),) if outgoing and told else (),
        delivered_to=1 if outgoing and told else 0,
        written_at=moment,
        received_at=moment,
        order=order,
        unread=False,
        problem=None,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields


def call(other: Station, state: str, *, outgoing: bool = False, **changes: object) -> CallInfo:
    """Return a call."""
    base = CallInfo(
        id="c1",
        station=other.id,
        line="console",
        name=other.name,
        outgoing=outgoing,
        state=state,
        end_reason=None,
        detail="",
        started_at=at(),
        talking_s=None,
        muted=False,
        volume_pct=100,
        problems=(),
        quality="none",
        loss_pct=0.0,
        level_in_db=-20.0,
        level_out_db=-40.0,
        digits=None,
        verification=None,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields


class FakeClient:
    """One station's daemon; the tests play the others."""

    def __init__(self, *stations: Station, **own: object) -> None:
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
        self.devices = SoundSettings(("USB headset", "Built-in"), ("USB headset",), None, None)
        self.read_up_to: list[tuple[str, int]] = []
        self.alive = True
        self.absence = NotRunning("Your station's program does not run.", "Start it: fencewire run")
        self.refusal: RequestError | None = None
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
        self.all_calls[changed.id] = changed
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

    async def send(self, to: str, text: str) -> Message:
        self._check()
        other = self.known.get(to)
        order = max((one.order for one in self.stored), default=0) + 1
        new = message(other, text, order, outgoing=True, state="queued", received_at=at())
        self.stored.append(new)
        self.tell("message", new)
        return new

    async def messages(
        self, conversation: str | None = None, *, before: int | None = None, limit: int = 50
    ) -> MessagePage:
        self._check()
        found = [
            one
            for one in sorted(self.stored, key=lambda item: item.order)
            if one.conversation == conversation and (before is None or one.order < before)
        ]
        return MessagePage(tuple(found[-limit:]), len(found) > limit)

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
        return tuple(self.all_calls.values())

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

    async def set_call(
        self, call: str, *, muted: bool | None = None, volume_pct: int | None = None
    ) -> CallInfo:
        self._check()
        one = self.all_calls[call]
        return self.change_call(
            replace(
                one,
                muted=one.muted if muted is None else muted,
                volume_pct=one.volume_pct if volume_pct is None else volume_pct,
            )
        )

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
        self, *, input_device: str | None, output_device: str | None
    ) -> SoundSettings:
        self._check()
        self.devices = replace(self.devices, input=input_device, output=output_device)
        return self.devices

    async def test_sound(self) -> SoundTest:
        self._check()
        return SoundTest(-18.0, True, "The microphone hears you.")

    async def links(self) -> tuple[Link, ...]:
        self._check()
        return self.interfaces


DISK_FULL = Problem("disk-full", "The disk is full.", "Delete something; new messages wait.")
