"""Makers of what a daemon tells, for tests of the screen."""

from __future__ import annotations

from dataclasses import replace

from api_samples import CALL, OUR_NODE

from appliance.api.schema import (
    EVERYONE,
    CallInfo,
    MediaStatus,
    MeshEdge,
    MeshNode,
    Message,
    MessageState,
    Reach,
    Recipient,
    Station,
    Status,
    Trust,
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
        carried_by=0,
        written_at=moment,
        received_at=moment,
        order=order,
        unread=False,
        problem=None,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields


def emergency(author: Station, order: int, text: str) -> Message:
    """Return an emergency that nobody has looked at."""
    return message(author, text, order, unread=True, precedence="emergency")


def call(other: Station, state: str, *, outgoing: bool = False, **changes: object) -> CallInfo:
    """Return a call."""
    base = replace(
        CALL,
        station=other.id,
        name=other.name,
        outgoing=outgoing,
        state=state,
        started_at=at(),
        level_in_db=-20.0,
        level_out_db=-40.0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields


def node(of: Station | None) -> MeshNode:
    """Return a station, or ourselves, in the picture of the mesh; its address is its id."""
    base = replace(OUR_NODE, address=ME, station=ME, name="amber-otter", tag=ME[:4])
    if of is None:
        return base
    return replace(
        base,
        address=of.id,
        station=of.id,
        name=of.name,
        tag=of.tag,
        trust=of.trust,
        us=False,
        hops=of.hops or 1,
    )


def edge(a: Station | None, b: Station, **changes: object) -> MeshEdge:
    """Return a link between two stations, or one of ours."""
    ours = a is None
    base = MeshEdge(
        a=a.id if a is not None else ME,
        b=b.id,
        kind="ethernet" if ours else "radio",
        interface=b.link or "" if ours else "",
        cost=96,
        loss_ab_pct=0,
        loss_ba_pct=0,
        rtt_ms=1.0,
        seen_by="us" if ours else "both",
    )
    return replace(base, **changes)  # type: ignore[arg-type]  # tests name real fields
