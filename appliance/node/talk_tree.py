"""The tree over which a spurt's packets come and go on: one copy for every child.

Each station that wants a spurt, for its operator or for those behind it, asks the next one towards
the speaker for it, once a second; who is asked asks on.  Nobody knows more of the tree than this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from appliance.model.identity import StationId
from appliance.model.secret import Secret
from appliance.model.talk_media import (
    MAX_CHILDREN,
    SetTalk,
    TalkCommand,
    TalkHeard,
    TalkHop,
    TalkReport,
    TalkStats,
)
from appliance.node.talk_sockets import MAX_HOSTS, TalkSockets
from appliance.node.talk_spurts import Spurt
from appliance.node.usage import SessionInfo
from appliance.protocol.talk import Full, Join, Joined, Leave, TalkMessage, Thin
from appliance.protocol.talk_keys import SUITE

JOIN_EVERY_S: Final = 1.0
JOIN_FOR_S: Final = 3.0
"""How often a spurt is asked for, and how long that holds."""

REPORT_AFTER_S: Final = 0.2
"""It is asked for sooner than that where there is something to report, but not before this."""

SHUN_S: Final = 5.0
"""How long a neighbour is not asked again that had no room, or from whom nothing came ..."""

DRY_S: Final = 2.0
"""... for so long."""

LOOK_EVERY_S: Final = 0.4
"""How often the route to a speaker is looked up: in a large mesh that takes a while."""

NEED_EVERY_S: Final = 5.0
MAX_JOINS_OF_ONE: Final = 32
"""Spurts that one neighbour asks for, also such of which nothing is known here yet."""


@dataclass(frozen=True)
class Use:
    """What is wanted of one talk."""

    talk: str
    """Its name for the voice process."""

    spurt: Spurt | None = None
    """Which has the floor, or is to be passed on."""

    speaking: bool = False
    """It is ours."""

    listening: bool = False
    """Our operator wants to hear what comes."""

    key: Secret | None = None
    """Of the spurt."""

    play: str | None = None
    """Stands in for the microphone."""

    record: str | None = None
    """Stands in for the speaker."""


@dataclass
class _Child:
    port: int
    until: float
    told: int = 0
    """Our port that it was told."""


@dataclass
class _Branch:
    spurt: bytes
    upstream: StationId | None = None
    port: int = 0
    joined_at: float = float("-inf")
    joined_port: int = 0
    shunned: dict[StationId, float] = field(default_factory=dict)
    hop: StationId | None = None
    """The next on the way to the speaker ..."""
    looked_at: float = float("-inf")
    """... as of then."""
    flowed_at: float = 0.0
    packets_in: int = 0
    report: TalkReport | None = None
    """For whom is asked next."""
    cut: tuple[TalkHop, ...] = ()
    """Children whose link takes no sound."""


class TalkTree:
    """Our place in the trees of all spurts."""

    def __init__(
        self,
        *,
        emit: Callable[[TalkCommand], None],
        send: Callable[[StationId, TalkMessage], None],
        need: Callable[[StationId], None],
        next_hop: Callable[[StationId], StationId | None],
    ) -> None:
        """`need` asks for a session; `next_hop` knows where packets to a station go first."""
        self._emit, self._send, self._need, self._next_hop = emit, send, need, next_hop
        self.sockets = TalkSockets(emit)
        self.sessions: dict[StationId, SessionInfo] = {}
        """Neighbours, and others to whom a session stands."""

        self._children: dict[bytes, dict[StationId, _Child]] = {}
        self._branches: dict[str, _Branch] = {}
        self._said: dict[str, SetTalk] = {}
        self._needed_at: dict[StationId, float] = {}
        self.active = False
        """Something is asked for or passed on, so that time matters."""

    def in_use(self, peer: StationId) -> bool:
        """Tell whether a session is needed, since packets come from there or go there."""
        return any(branch.upstream == peer for branch in self._branches.values()) or any(
            peer in children for children in self._children.values()
        )

    # -- Inputs

    def session_up(self, info: SessionInfo) -> None:
        """A session stands, perhaps at another address than before."""
        if info.peer in self.sessions:
            self.session_down(info.peer)
        self.sessions[info.peer] = info

    def session_down(self, peer: StationId) -> None:
        """It ended."""
        self.sessions.pop(peer, None)
        for children in self._children.values():
            children.pop(peer, None)
        for branch in self._branches.values():
            if branch.upstream == peer:
                branch.upstream = None

    def joined(self, peer: StationId, join: Join, now: float) -> None:
        """A neighbour wants a spurt."""
        self._drop_old(now)
        children = self._children.get(join.spurt, {})
        child = children.get(peer)
        if child is None:
            asked = sum(peer in one for one in self._children.values())
            if len(children) >= MAX_CHILDREN or asked >= MAX_JOINS_OF_ONE:
                self._send(peer, Full(join.spurt))
                return
            child = children[peer] = _Child(join.port, 0.0)
            self._children[join.spurt] = children
        child.port, child.until, child.told = join.port, now + JOIN_FOR_S, 0
        if join.report is not None and (info := self.sessions.get(peer)) is not None:
            hop = TalkHop(info.local_host, info.remote_host, child.port)
            for talk, branch in self._branches.items():
                if branch.spurt == join.spurt and talk in self.sockets.talks:
                    self._emit(TalkHeard(talk, join.spurt.hex(), hop, join.report))

    def left(self, peer: StationId, spurt: bytes) -> None:
        """It does not any more."""
        self._children.get(spurt, {}).pop(peer, None)

    def answered(self, peer: StationId, spurt: bytes, port: int | None, now: float) -> None:
        """Whom we have asked sends it from a port; None: has no room for us."""
        for branch in self._branches.values():
            if branch.spurt == spurt and branch.upstream == peer:
                if port is None:
                    branch.shunned[peer] = now + SHUN_S
                    branch.upstream = None
                else:
                    branch.port = port

    def thinned(self, peer: StationId, spurt: bytes, now: float) -> bool:
        """Whom we have asked can't get it through to us; tells whether it was asked."""
        if not any(
            branch.spurt == spurt and branch.upstream == peer for branch in self._branches.values()
        ):
            return False
        for child in self._children.get(spurt, {}):
            self._send(child, Thin(spurt))
        self.answered(peer, spurt, None, now)
        return True

    def measured(self, stats: TalkStats, now: float) -> None:
        """The voice process says how much came, and how it went on."""
        branch = self._branches.get(stats.talk)
        if branch is None or stats.spurt != branch.spurt.hex():
            return
        branch.report, branch.cut = stats.report, stats.cut
        if branch.upstream is None:
            return
        if stats.packets_in != branch.packets_in:
            branch.packets_in, branch.flowed_at = stats.packets_in, now
        elif now - branch.flowed_at >= DRY_S:
            branch.shunned[branch.upstream] = now + SHUN_S

    def media_lost(self) -> None:
        """The voice process is another, and has nothing open."""
        self.sockets.lost()
        self._said.clear()
        for branch in self._branches.values():
            branch.joined_port = 0
        for children in self._children.values():
            for child in children.values():
                child.told = 0

    # -- What follows

    def settle(self, uses: Iterable[Use], now: float) -> None:
        """Ask, answer and tell the voice process, as far as something is not so yet."""
        self._drop_old(now)
        wanted = {use.talk: use for use in uses}
        self.active = False
        for talk in list(self._branches):
            if talk not in wanted:
                self._end_branch(talk)
        for talk in self.sockets.talks:
            if talk not in wanted:
                self._close(talk)
        # Those of our operator first: what is passed on for others takes the places that are left.
        for use in sorted(wanted.values(), key=lambda use: not (use.speaking or use.listening)):
            self._settle(use, now)

    def _drop_old(self, now: float) -> None:
        for spurt, children in list(self._children.items()):
            for peer in [peer for peer, child in children.items() if child.until <= now]:
                del children[peer]
            if not children:
                del self._children[spurt]

    def _settle(self, use: Use, now: float) -> None:
        spurt = use.spurt
        branch = self._branches.get(use.talk)
        if branch is not None and (spurt is None or branch.spurt != spurt.id):
            self._end_branch(use.talk)
            branch = None
        children = {} if spurt is None else self._children.get(spurt.id, {})
        hears = use.listening and use.key is not None
        if spurt is None or not (use.speaking or hears or children):
            self._end_branch(use.talk)
            if not use.listening:
                self._close(use.talk)
            elif use.talk in self.sockets.talks:
                self._say(SetTalk(use.talk, None, listening=True, play=use.play, record=use.record))
            return
        if not self.sockets.has_room(use.talk):
            for peer in list(children):
                self._send(peer, Full(spurt.id))
                del children[peer]
            return
        self.active = True
        if branch is None:
            branch = self._branches[use.talk] = _Branch(spurt.id, flowed_at=now)
        upstream = None if use.speaking else self._ask(use.talk, branch, spurt, children, now)
        hops = self._serve(use.talk, branch, children, now)
        if use.speaking:
            for host in sorted({info.local_host for info in self.sessions.values()})[:MAX_HOSTS]:
                self.sockets.port(use.talk, host, now)
        if use.talk in self.sockets.talks:
            self._say(_state(use, spurt, upstream, hops))

    def _ask(
        self,
        talk: str,
        branch: _Branch,
        spurt: Spurt,
        children: dict[StationId, _Child],
        now: float,
    ) -> TalkHop | None:
        parent = self._parent(branch, spurt, children, now)
        if parent != branch.upstream:
            self._leave(branch)
            branch.upstream, branch.port, branch.joined_port = parent, 0, 0
            branch.flowed_at = now
        if parent is None:
            return None
        info = self.sessions[parent]
        port = self.sockets.port(talk, info.local_host, now)
        if port is None:
            return None
        every_s = JOIN_EVERY_S if branch.report is None else REPORT_AFTER_S
        if port != branch.joined_port or now - branch.joined_at >= every_s:
            branch.joined_at, branch.joined_port = now, port
            report, branch.report = branch.report, None
            self._send(parent, Join(spurt.id, port, report))
        return TalkHop(info.local_host, info.remote_host, branch.port)

    def _parent(
        self, branch: _Branch, spurt: Spurt, children: dict[StationId, _Child], now: float
    ) -> StationId | None:
        """Return whom to ask: the next on the way to the speaker, or whoever heard it earlier."""
        branch.shunned = {peer: until for peer, until in branch.shunned.items() if until > now}
        if now - branch.looked_at >= LOOK_EVERY_S:
            branch.hop, branch.looked_at = self._next_hop(spurt.speaker), now
        hop = branch.hop
        if hop is not None and hop not in branch.shunned:
            if hop in self.sessions:
                return hop
            if now - self._needed_at.get(hop, float("-inf")) >= NEED_EVERY_S:
                self._needed_at = {
                    peer: at for peer, at in self._needed_at.items() if now - at < NEED_EVERY_S
                }
                self._needed_at[hop] = now
                self._need(hop)
        # One that has asked us can't be asked: each would wait for the other.
        fit = {
            peer: hops
            for peer, hops in spurt.tellers().items()
            if peer in self.sessions and peer not in branch.shunned and peer not in children
        }
        if branch.upstream in fit:
            return branch.upstream
        return min(fit, key=lambda peer: (fit[peer], peer), default=None)

    def _serve(
        self, talk: str, branch: _Branch, children: dict[StationId, _Child], now: float
    ) -> tuple[TalkHop, ...]:
        hops = []
        for peer, child in children.items():
            info = self.sessions.get(peer)
            # A route that changes may have two ask each other for a moment.
            if info is None or peer == branch.upstream:
                continue
            port = self.sockets.port(talk, info.local_host, now)
            if port is None:
                continue
            hops.append(hop := TalkHop(info.local_host, info.remote_host, child.port))
            if child.told != port:
                child.told = port
                thin = hop in branch.cut
                self._send(peer, Thin(branch.spurt) if thin else Joined(branch.spurt, port))
        return tuple(hops)

    def _say(self, state: SetTalk) -> None:
        if self._said.get(state.talk) != state:
            self._said[state.talk] = state
            self._emit(state)

    def _end_branch(self, talk: str) -> None:
        branch = self._branches.pop(talk, None)
        if branch is not None:
            self._leave(branch)

    def _leave(self, branch: _Branch) -> None:
        if branch.upstream in self.sessions and branch.joined_port:
            self._send(branch.upstream, Leave(branch.spurt))

    def _close(self, talk: str) -> None:
        self._said.pop(talk, None)
        self.sockets.close(talk)


def _state(
    use: Use, spurt: Spurt, upstream: TalkHop | None, children: tuple[TalkHop, ...]
) -> SetTalk:
    hears = use.listening and not use.speaking and use.key is not None
    return SetTalk(
        talk=use.talk,
        spurt=spurt.id.hex(),
        speaking=use.speaking,
        listening=hears,
        suite=SUITE.value,
        key=use.key if use.speaking or hears else None,
        ssrc=spurt.flood.claim.ssrc,
        upstream=upstream,
        children=children,
        play=use.play,
        record=use.record,
    )
