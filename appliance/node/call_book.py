"""What the parts of the call logic share: sessions, calls, the user agent, and the effects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from appliance.model.call import Call, CallState, EndReason
from appliance.model.identity import CONSOLE, Address, StationId
from appliance.model.media import MediaCommand, Ring
from appliance.node.active_call import ActiveCall
from appliance.node.call_effects import CallChanged, CallEffect, Media, SendSip
from appliance.node.call_media import CallMedia
from appliance.node.call_states import CALL_STEPS, CallStep
from appliance.protocol.sip.message import Origin, RandomBytes
from appliance.protocol.sip.sdes import Suite
from appliance.protocol.sip.station_uri import station_host
from appliance.protocol.sip.transaction_layer import Hop
from appliance.protocol.sip.user_agent import UserAgent

HISTORY: Final = 100
"""Ended and missed calls that are kept; the oldest is forgotten first."""

BUSY_TONE_S: Final = 3.0
"""How long the caller hears that the other side is in a call."""

TONES: Final = {CallState.RINGING_HERE: "ring", CallState.RINGING_THERE: "ringback"}


@dataclass(frozen=True)
class Session:
    """The path to a peer that its session has proved; sound takes it too."""

    local_host: str
    """Our address, with scope where it is link-local."""

    remote_host: str
    """Theirs."""

    boot: bytes
    """The other station's start."""


class CallBook:
    """All calls of the station."""

    def __init__(
        self,
        *,
        station: StationId,
        random_bytes: RandomBytes,
        suites: Sequence[Suite],
        lines: Collection[str],
    ) -> None:
        self.station = station
        self.random_bytes = random_bytes
        self.suites = tuple(suites)
        self.lines = frozenset(lines)
        self.agent = UserAgent(
            origin=Origin("WSS", station_host(station)), random_bytes=random_bytes
        )
        self.sessions: dict[StationId, Session] = {}
        self.active: dict[str, ActiveCall] = {}
        self.history: deque[Call] = deque(maxlen=HISTORY)
        self._effects: list[CallEffect] = []
        self._tone: str | None = None
        self.busy_tone_until: float | None = None
        self.way_kbit: Callable[[StationId], int | None] = lambda _: None
        """What our end of the way to a station takes; None: that is not known."""
        self.keep: Callable[[ActiveCall, EndReason, float], bool] = lambda *_: False
        """Whether a call that ends by what others did keeps its place in a conference."""

    def emit(self, effect: CallEffect) -> None:
        """Want something done."""
        self._effects.append(effect)

    def emit_media(self, command: MediaCommand) -> None:
        """Want something of the voice process."""
        self._effects.append(Media(command))

    def take_effects(self) -> list[CallEffect]:
        """Return what is to be done, once, in order."""
        effects, self._effects = self._effects, []
        return effects

    def new_media(self, call_id: str, peer: StationId) -> CallMedia:
        """Make the stream of a call with a station."""
        return CallMedia(
            call_id,
            random_bytes=self.random_bytes,
            suites=self.suites,
            emit=self.emit_media,
            way_kbit=lambda: self.way_kbit(peer),
        )

    def begin(
        self, peer: Address, *, line: str, outgoing: bool, state: CallState, now: float
    ) -> ActiveCall:
        """Note a new call."""
        call_id = self.random_bytes(8).hex()
        media = self.new_media(call_id, peer.station)
        call = Call(call_id, peer, outgoing, state, created_at=now, line=line)
        session = self.sessions.get(peer.station)
        active = ActiveCall(call, media, peer_boot=session.boot if session is not None else None)
        self.active[call_id] = active
        self.emit(CallChanged(call))
        return active

    def change(self, active: ActiveCall, **changes: Any) -> None:
        """Change what the operator sees of a call, and say so if it is a change."""
        call = replace(active.call, **changes)
        if call != active.call:
            active.call = call
            self.emit(CallChanged(call))

    def step(self, active: ActiveCall, step: CallStep, **changes: Any) -> None:
        """Move a call on; what its state does not know is ignored, as a late ring is."""
        state = CALL_STEPS.get((active.call.state, step))
        if state is not None:
            self.change(active, state=state, **changes)

    def end(
        self,
        active: ActiveCall,
        reason: EndReason,
        now: float,
        *,
        detail: str = "",
        code: int = 480,
    ) -> None:
        """End a call on every side: its leg (with `code` if it is not answered), its stream."""
        if self.keep(active, reason, now):
            return
        if active.leg is not None:
            self.agent.close(active.leg, now, code=code)
        if active.hung_up and reason is EndReason.THEY_HUNG_UP:
            reason = EndReason.HUNG_UP
        active.media.close()
        del self.active[active.call.id]
        if reason is EndReason.BUSY and active.call.line == CONSOLE:
            self.busy_tone_until = now + BUSY_TONE_S
        self.step(
            active,
            CallStep.END,
            peer=active.began_with or active.call.peer,  # the record's order: with whom it began
            ended_at=now,
            end_reason=reason,
            detail=detail,
            problems=(),
            away=False,
        )
        self.history.append(active.call)

    def note_missed(
        self, peer: Address, *, line: str, reason: EndReason, detail: str, now: float
    ) -> None:
        """Note a call that never reached our operator."""
        call = Call(
            self.random_bytes(8).hex(),
            peer,
            outgoing=False,
            state=CallState.ENDED,
            created_at=now,
            ended_at=now,
            end_reason=reason,
            line=line,
            detail=detail,
        )
        self.history.append(call)
        self.emit(CallChanged(call))

    def on_line(self, line: str) -> ActiveCall | None:
        """Return the call that a line is in."""
        return next((a for a in self.active.values() if a.call.line == line), None)

    def of_leg(self, leg: str) -> ActiveCall | None:
        """Return the call that a leg belongs to."""
        return next((a for a in self.active.values() if a.leg == leg), None)

    def with_peer(self, peer: StationId) -> list[ActiveCall]:
        """Return the calls with a station."""
        return [a for a in self.active.values() if a.call.peer.station == peer]

    def flush(self, now: float) -> None:
        """Bring the tone up to date and send what the user agent has written."""
        if self.busy_tone_until is not None and now >= self.busy_tone_until:
            self.busy_tone_until = None
        console = self.on_line(CONSOLE)
        tone = "busy" if self.busy_tone_until is not None else None
        if console is not None:
            tone, self.busy_tone_until = TONES.get(console.call.state), None
        if tone != self._tone:
            self._tone = tone
            self.emit_media(Ring(tone))
        for outgoing in self.agent.take_outgoing():
            peer = StationId.parse(outgoing.hop.name)
            if peer in self.sessions:  # else it is sent again when the session is back
                self.emit(SendSip(peer, outgoing.data))


def hop_of(peer: StationId) -> Hop:
    """Return the hop of a session."""
    return Hop(peer.text)
