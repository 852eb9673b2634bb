"""What other stations say about their links, for a picture of the mesh.

Nothing is asked until somebody looks.  Then the nearest stations are asked who their neighbours
are, a few at a time, over sessions that are opened for it.  Answers are claims: what only one end
says of a link, or the other denies, stays marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Final, Protocol

from appliance.model.identity import StationId
from appliance.model.net import LinkKind
from appliance.node.effects import Effect, Send
from appliance.node.mesh import Mesh
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel
from appliance.protocol.mesh_map import (
    MAX_NEIGHBOURS,
    MAX_NUMBER,
    MapAnswer,
    MapAsk,
    MapNeighbour,
    decode_map,
    encode_map,
)

MAX_ASKED: Final = 64
"""Stations that are asked for one picture, and whose answers are kept."""

MAX_OPEN: Final = 4
"""Questions without an answer at a time."""

ANSWER_WITHIN_S: Final = 4.0
"""For the session and the answer together."""

FRESH_S: Final = 5.0
"""An answer, or that there was none, is not asked for again sooner."""

KEPT_S: Final = 60.0
"""For how long an answer counts."""

ANSWER_EVERY_S: Final = 1.0
"""A peer that asks more often is not answered."""

MAX_ASKERS: Final = 256
"""Of whom it is remembered when they asked."""

WORST: Final = (LinkKind.TUNNEL, LinkKind.RADIO, LinkKind.ETHERNET, LinkKind.CABLE)
"""Where the ends see different kinds, the one that lets expect less: a cable from one end may lead
to a radio bridge."""


class Asked(StrEnum):
    """How far the question to a station came."""

    NO = "no"
    """It was not asked."""

    WAITING = "waiting"
    """It has not answered yet."""

    ANSWERED = "answered"
    """It has."""

    SILENT = "silent"
    """It did not answer."""


class SeenBy(StrEnum):
    """Who says that there is a link."""

    US = "us"
    """It is one of ours."""

    BOTH = "both"
    """Both ends."""

    ONE = "one"
    """One end; the other was not heard."""

    DENIED = "denied"
    """One end; the other has told its links and this is none of them."""


@dataclass(frozen=True)
class MapLink:
    """A link between two stations."""

    a: str
    """Address of one end; for our own links ourselves, else the end that says so."""

    b: str
    """Address of the other end."""

    kind: LinkKind | None
    """What it is made of, as far as anybody said."""

    cost: int | None
    """As `a` reckons it."""

    loss_ab_pct: int | None
    """Of what `a` sends to `b`."""

    loss_ba_pct: int | None
    """Of what `b` sends to `a`."""

    rtt_ms: float | None
    """Round trip."""

    seen_by: SeenBy
    """Who says so."""


class Sessions(Protocol):
    """What is asked of `peers.Peers`."""

    def session(self, peer: StationId) -> SessionInfo | None:
        """Return the session with a station."""

    def sessions(self) -> tuple[SessionInfo, ...]:
        """Return all."""

    def need(self, station: StationId, now: float) -> list[Effect]:
        """Something is to be said to a station."""


@dataclass
class _Talk:
    """With one station."""

    number: int = 0
    """Of the question that is open."""

    until: float | None = None
    """When to give up; None: no question is open."""

    sent: bool = False
    """The question has left."""

    at: float | None = None
    """When it answered, or had not."""

    answer: MapAnswer | None = None
    """The last one."""

    answered_at: float = 0.0


class MeshMap:
    """Asks others about their links, and answers about ours."""

    def __init__(self, mesh: Mesh, peers: Sessions, random: Callable[[], float]) -> None:
        self._mesh, self._peers, self._random = mesh, peers, random
        self._talks: dict[StationId, _Talk] = {}
        self._queue: dict[StationId, None] = {}
        self._asked_us: dict[StationId, float] = {}

    # -- What is known

    def asked(self, station: StationId) -> Asked:
        """Say how far the question to a station came."""
        talk = self._talks.get(station)
        if station in self._queue or (talk is not None and talk.until is not None):
            return Asked.WAITING
        if talk is None or talk.at is None:
            return Asked.NO
        return Asked.ANSWERED if talk.answer is not None else Asked.SILENT

    def answers(self, now: float) -> dict[StationId, MapAnswer]:
        """Return what stations have said lately."""
        return {
            station: talk.answer
            for station, talk in self._talks.items()
            if talk.answer is not None and now - talk.answered_at < KEPT_S
        }

    def ours(self) -> list[MapNeighbour]:
        """Return our own neighbours, the nearest first."""
        met = [
            info.peer
            for info in self._peers.sessions()
            if not info.over_mesh and self._mesh.way_to(info.peer) is None
        ]
        return our_neighbours(self._mesh, met)

    # -- Inputs

    def ask(self, stations: Iterable[StationId], now: float) -> list[Effect]:
        """Ask those of whom nothing is known or only what is old; `stations`: the nearest first."""
        for station in list(stations)[:MAX_ASKED]:
            talk = self._talks.get(station)
            fresh = talk is not None and (
                talk.until is not None or (talk.at is not None and now - talk.at < FRESH_S)
            )
            if not fresh and len(self._queue) < MAX_ASKED:
                self._queue[station] = None
        return self._go_on(now)

    def session_up(self, peer: StationId) -> list[Effect]:
        """A session stands that may have been waited for."""
        talk = self._talks.get(peer)
        if talk is None or talk.until is None or talk.sent:
            return []
        talk.sent = True
        return [Send(peer, Channel.MAP, encode_map(MapAsk(talk.number)))]

    def received(self, peer: StationId, data: bytes, now: float) -> list[Effect]:
        """A message came; raises FormatError."""
        match decode_map(data):
            case MapAsk(number):
                return self._answer(peer, number, now)
            case MapAnswer() as answer:
                talk = self._talks.get(peer)
                if talk is None or talk.until is None or talk.number != answer.number:
                    return []
                talk.answer, talk.answered_at = answer, now
                talk.at, talk.until = now, None
                return self._go_on(now)
            case _:
                return []

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        times = (talk.until for talk in self._talks.values() if talk.until is not None)
        return min(times, default=None)

    def wakeup(self, now: float) -> list[Effect]:
        """Give up on those who were asked long enough."""
        for talk in self._talks.values():
            if talk.until is not None and talk.until <= now:
                talk.until, talk.at, talk.answer = None, now, None
        return self._go_on(now)

    # -- Rules

    def _go_on(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        under_way = sum(talk.until is not None for talk in self._talks.values())
        while self._queue and under_way < MAX_OPEN:
            station = next(iter(self._queue))
            del self._queue[station]
            under_way += 1
            effects += self._begin(station, now)
        return effects

    def _begin(self, station: StationId, now: float) -> list[Effect]:
        talk = self._talks.pop(station, None) or _Talk()
        self._talks[station] = talk  # the latest at the end
        while len(self._talks) > MAX_ASKED:
            idle = (one for one, old in self._talks.items() if old.until is None)
            del self._talks[next(idle)]
        talk.number = int(self._random() * (MAX_NUMBER - 1))
        talk.until, talk.sent = now + ANSWER_WITHIN_S, False
        if self._peers.session(station) is not None:
            return self.session_up(station)
        return self._peers.need(station, now)

    def _answer(self, peer: StationId, number: int, now: float) -> list[Effect]:
        if now - self._asked_us.get(peer, -ANSWER_EVERY_S) < ANSWER_EVERY_S:
            return []
        self._asked_us.pop(peer, None)
        self._asked_us[peer] = now
        while len(self._asked_us) > MAX_ASKERS:
            del self._asked_us[next(iter(self._asked_us))]
        ours = self.ours()
        answer = MapAnswer(number, len(ours), tuple(ours[:MAX_NEIGHBOURS]))
        return [Send(peer, Channel.MAP, encode_map(answer))]


def our_neighbours(mesh: Mesh, others: Collection[StationId]) -> list[MapNeighbour]:
    """Return our neighbours, the nearest first: those that routing knows, and `others` met."""
    at = mesh.neighbour_addresses()
    best: dict[bytes, MapNeighbour] = {}
    for one in mesh.neighbours():
        address = at.get((one.interface, one.address))
        link = mesh.link(one.interface)
        if address is None:
            continue
        found = MapNeighbour(
            address=IPv6Address(address).packed,
            kind=link.kind if link is not None else None,
            cost=one.cost,
            loss_in_pct=one.loss_in_pct,
            loss_out_pct=one.loss_out_pct,
            rtt_us=round(one.rtt_ms * 1000) if one.rtt_ms is not None else None,
        )
        before = best.get(found.address)
        if before is None or _cost(found) < _cost(before):
            best[found.address] = found
    for station in others:
        packed = station.address.packed
        best.setdefault(packed, MapNeighbour(packed, None, None, None, None, None))
    return sorted(best.values(), key=lambda one: (_cost(one), one.address))


def _cost(one: MapNeighbour) -> int:
    return one.cost if one.cost is not None else 0


def join(
    own: str, ours: Iterable[MapNeighbour], said: dict[str, tuple[MapNeighbour, ...]]
) -> list[MapLink]:
    """Return the links of all, each once; `said` holds what each station said, by address."""
    links = [_link(own, one, SeenBy.US) for one in ours]
    done = {frozenset((one.a, one.b)) for one in links}
    heard: dict[str, dict[str, MapNeighbour]] = {}
    for teller, neighbours in said.items():
        told = heard.setdefault(teller, {})
        for one in neighbours:
            told.setdefault(_text(one), one)
    for teller, neighbours in said.items():
        for one in neighbours:
            link = _link(teller, one, SeenBy.ONE)
            ends = frozenset((link.a, link.b))
            # Of our own links nobody has to tell us.
            if ends in done or len(ends) == 1 or own in ends:
                continue
            done.add(ends)
            back = heard.get(link.b)
            if back is not None:
                link = _both(link, back.get(teller))
            links.append(link)
    return links


def _text(one: MapNeighbour) -> str:
    return str(IPv6Address(one.address))


def _link(teller: str, one: MapNeighbour, seen_by: SeenBy) -> MapLink:
    return MapLink(
        a=teller,
        b=_text(one),
        kind=one.kind,
        cost=one.cost,
        loss_ab_pct=one.loss_out_pct,
        loss_ba_pct=one.loss_in_pct,
        rtt_ms=one.rtt_us / 1000 if one.rtt_us is not None else None,
        seen_by=seen_by,
    )


def _both(link: MapLink, echo: MapNeighbour | None) -> MapLink:
    if echo is None:
        return replace(link, seen_by=SeenBy.DENIED)
    kinds = {link.kind, echo.kind}
    return replace(
        link,
        kind=next((kind for kind in WORST if kind in kinds), None),
        # Who receives knows what was lost.
        loss_ab_pct=echo.loss_in_pct if echo.loss_in_pct is not None else link.loss_ab_pct,
        seen_by=SeenBy.BOTH,
    )
