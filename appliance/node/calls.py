"""The station's calls: commands, sessions, SIP and the voice process in; effects out.

What is to be done next for a call follows from its state at each moment (`_advance`), not from the
order in which things happened, so no order of answers, lost sessions and dying processes leaves
one stuck.  A line has one call at a time.  The other side of a call is always the peer whose key
the session has proved; what SIP headers claim is compared with it and never believed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from math import inf

from appliance.model.call import Call, CallState, EndReason
from appliance.model.identity import CONSOLE, Address, StationId
from appliance.model.kept_call import KeptCall
from appliance.model.media import MediaEvent
from appliance.node.active_call import RING_S, ActiveCall
from appliance.node.call_book import CallBook, Session, hop_of
from appliance.node.call_effects import CallEffect, NeedSession
from appliance.node.call_media import NoSharedSoundError
from appliance.node.call_return import CallReturn, came_back
from appliance.node.call_signals import FORGOTTEN, NO_SECURITY, CallSignals
from appliance.node.call_sound import MEDIA_GONE_DETAIL, CallSound
from appliance.node.call_states import ANSWERED, FORGOTTEN_ENDS, CallStep
from appliance.node.conference import ConferenceError, Conferences
from appliance.protocol.conference import Contact
from appliance.protocol.sip.leg import UserAgentError
from appliance.protocol.sip.message import RandomBytes
from appliance.protocol.sip.reader import SipError
from appliance.protocol.sip.sdes import PREFERRED, Suite
from appliance.protocol.sip.station_uri import uri_of

_log = logging.getLogger(__name__)


class CallError(ValueError):
    """A command does not fit; the message tells the operator why and what to do."""


class Calls:
    """All calls of a station.

    Feed it (`place` ... `wakeup`), then carry out `take_effects` in order, then call `wakeup` at
    `next_wakeup`.  `random_bytes` makes keys: it must be the kernel's.  `way_kbit` says what our
    end of the way to a station takes; None: that is not known.
    """

    def __init__(
        self,
        *,
        station: StationId,
        random_bytes: RandomBytes,
        suites: Sequence[Suite] = PREFERRED,
        lines: Collection[str] = (CONSOLE,),
        way_kbit: Callable[[StationId], int | None] = lambda _: None,
    ) -> None:
        self._book = CallBook(
            station=station, random_bytes=random_bytes, suites=suites, lines=lines
        )
        self._book.way_kbit = way_kbit
        self.ring_s = RING_S
        """How long a call rings here, at most `RING_S`, before its caller hears of no answer."""
        self._conferences = Conferences(self._book)
        self._signals = CallSignals(self._book, self._conferences)
        self._sound = CallSound(self._book)
        self._return = CallReturn(self._book)
        self._dropped = 0

    # What comes out

    def take_effects(self) -> list[CallEffect]:
        """Return what is to be done outside, once, in order."""
        return self._book.take_effects()

    def next_wakeup(self) -> float:
        """Return when `wakeup` has something to do; infinity: never."""
        book = self._book
        first = min(book.agent.next_wakeup(), self._conferences.next_wakeup())
        if book.busy_tone_until is not None:
            first = min(first, book.busy_tone_until)
        for active in book.active.values():
            first = min(first, active.next_wakeup(self.ring_s))
        return first

    @property
    def active(self) -> tuple[Call, ...]:
        """The calls that are not over."""
        return tuple(active.call for active in self._book.active.values())

    @property
    def history(self) -> tuple[Call, ...]:
        """Calls that are over, missed ones among them; oldest first, at most 100."""
        return tuple(self._book.history)

    def lost_at(self, call_id: str) -> float:
        """Return when an answered call that is away is given up; infinity: it is not."""
        active = self._book.active.get(call_id)
        return active.lost_at if active is not None and active.call.away else inf

    def restore(self, kept: Sequence[KeptCall], *, lost_at: float, now: float) -> None:
        """Go on with calls of before a restart; the station stopped at `lost_at`, about."""
        self._return.restore(tuple(kept), lost_at=lost_at, now=now)
        self._settle(now)

    # Commands of the operator

    def place(
        self, to: Address, *, play: str | None = None, record: str | None = None, now: float
    ) -> str:
        """Call somebody from the console; returns the call's id.

        If this very peer is ringing here, its call is answered.  Raises CallError.
        """
        if to.station == self._book.station:
            raise CallError("this is your own station: choose another one to call")
        other = self._book.on_line(CONSOLE)
        if other is not None:
            if other.call.state is CallState.RINGING_HERE and other.call.peer == to:
                self.answer(other.call.id, play=play, record=record, now=now)
                return other.call.id
            raise CallError("there is a call already: hang up first")
        active = self._book.begin(
            to, line=CONSOLE, outgoing=True, state=CallState.DIALLING, now=now
        )
        active.media.choose_files(play=play, record=record)
        if to.station not in self._book.sessions:
            active.away_since = now
            self._book.emit(NeedSession(to.station))
        self._settle(now)
        return active.call.id

    def answer(
        self,
        call_id: str,
        *,
        play: str | None = None,
        record: str | None = None,
        now: float,
    ) -> None:
        """Take a call that rings here; raises CallError."""
        active = self._ringing(call_id)
        active.media.choose_files(play=play, record=record)
        active.answer_wanted = True
        active.heard_at = now
        self._book.step(active, CallStep.ANSWER, answered_at=now)
        self._settle(now)

    def decline(self, call_id: str, *, now: float) -> None:
        """Refuse a call that rings here; raises CallError."""
        self._book.end(self._ringing(call_id), EndReason.DECLINED, now, code=603)
        self._settle(now)

    def hangup(self, call_id: str, *, now: float) -> None:
        """End a call in whatever state; raises CallError when it is over already."""
        active = self._active(call_id)
        if active.call.state is CallState.RINGING_HERE:
            self.decline(call_id, now=now)
            return
        if not self._conferences.hang_up(active, now):
            self._book.end(active, EndReason.HUNG_UP, now)
        self._settle(now)

    def hang_up_all(self, *, now: float) -> None:
        """End all calls, since the station stops; whoever it mixes for goes on with another one."""
        for _ in range(2):  # The first goodbye to a conference names who mixes next.
            for call in self.active:
                if call.id in self._book.active:  # else it ended with another one
                    self.hangup(call.id, now=now)

    def add(self, call_id: str, to: StationId, *, now: float) -> None:
        """Have another station join a call, which makes a conference of it; raises CallError."""
        try:
            self._conferences.add(self._active(call_id), to, now)
        except ConferenceError as error:
            raise CallError(str(error)) from None
        self._settle(now)

    def mute(self, call_id: str, *, muted: bool) -> None:
        """Switch our microphone off or on; raises CallError."""
        for active in self._conferences.together(self._active(call_id)):
            active.media.adjust(muted=muted)
            self._book.change(active, muted=muted)

    def set_volume(self, call_id: str, *, volume_pct: int) -> None:
        """Set how loud the other side is, 0 to 200; raises CallError."""
        if not 0 <= volume_pct <= 200:
            raise CallError("the volume goes from 0 to 200 percent")
        for active in self._conferences.together(self._active(call_id)):
            active.media.adjust(volume_pct=volume_pct)

    def key(self, call_id: str, *, used: bool | None, held: bool | None, now: float) -> None:
        """Push to talk: whether it is used, and whether its key is held; raises CallError."""
        active = self._active(call_id)
        until = active.media.key(used=used, held=held, now=now)
        self._book.change(active, push_to_talk=active.media.uses_push_to_talk, talking_until=until)

    # Inputs

    def session_up(
        self, peer: StationId, *, boot: bytes, local_host: str, remote_host: str, now: float
    ) -> None:
        """Learn of a session with `peer` since its start `boot`; it may replace one before."""
        if peer in self._book.sessions:
            self.session_down(peer, now=now)
        self._book.sessions[peer] = Session(local_host, remote_host, boot)
        restarted = set()
        for active in self._book.with_peer(peer):
            known_to, active.peer_boot = active.peer_boot, boot
            if known_to in (None, boot):
                continue
            restarted.add(active.call.id)
            reason = FORGOTTEN_ENDS.get(active.call.state)
            if reason is not None:
                # Before anything is sent again: that would ring there once more.
                if active.leg is not None:
                    self._book.agent.forget(active.leg)
                self._book.end(active, reason, now, detail=FORGOTTEN)
        self._book.agent.link_back(hop_of(peer), now)
        for active in self._book.with_peer(peer):
            if active.call.state in ANSWERED:
                again = active.call.id in restarted
                self._return.session_up(active, restarted=again, now=now)
            else:
                active.away_since = None
        self._conferences.session_up(peer, now)
        self._handle_due(now)
        self._settle(now)

    def session_down(self, peer: StationId, *, now: float, heard_at: float | None = None) -> None:
        """Learn that there is no session with `peer` any more; sound may flow on.

        `heard_at`: when something last came in it, which may be seconds ago; None: just now.
        """
        self._book.sessions.pop(peer, None)
        self._book.agent.link_down(hop_of(peer))
        for active in self._book.with_peer(peer):
            if active.away_since is None:
                answered = active.call.state in ANSWERED
                active.away_since = heard_at if answered and heard_at is not None else now
        self._settle(now)

    def sip_received(self, peer: StationId, data: bytes, *, now: float) -> None:
        """Take a SIP message from the session with `peer`; what is none is dropped."""
        if peer not in self._book.sessions:
            return
        try:
            self._book.agent.receive(hop_of(peer), data, now)
        except SipError as error:
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # 1, 2, 4, 8 ...: a flood stays short
                _log.warning(
                    "dropped a SIP message from %s: %s (%d so far)", peer.tag, error, self._dropped
                )
        self._settle(now)

    def media_event(self, event: MediaEvent, *, now: float) -> None:
        """Take an event of the voice process."""
        self._sound.take(event, now)
        self._conferences.media_event(event, now)
        self._settle(now)

    def wakeup(self, *, now: float) -> None:
        """Do what is due."""
        self._book.agent.handle_timers(now)
        self._handle_due(now)
        self._settle(now)

    # Parts

    def _active(self, call_id: str) -> ActiveCall:
        active = self._book.active.get(call_id)
        if active is None:
            raise CallError("there is no such call any more")
        return active

    def _ringing(self, call_id: str) -> ActiveCall:
        active = self._active(call_id)
        if active.call.state in ANSWERED:
            raise CallError("this call was answered already, on another screen or by a command")
        if active.call.state is not CallState.RINGING_HERE:
            raise CallError("this call does not ring here")
        return active

    def _handle_due(self, now: float) -> None:
        for active in list(self._book.active.values()):
            if now >= active.refresh_at:
                active.refresh_at, active.refresh_due = inf, True
            if now >= active.reopen_at:
                active.reopen_at = inf
            if now >= active.invite_at:
                active.invite_at = -inf
            if now >= active.lost_at:
                self._book.end(active, EndReason.UNREACHABLE, now)
            elif now >= active.media_lost_at:
                self._book.end(active, EndReason.FAILED, now, detail=MEDIA_GONE_DETAIL, code=500)
            elif now >= active.gives_up_at(self.ring_s):
                self._book.end(active, EndReason.NO_ANSWER, now)

    def _settle(self, now: float) -> None:
        """Let everything that follows from the last input happen."""
        for event in self._book.agent.take_events():
            self._signals.take(event, now)
        self._conferences.settle(now)
        for active in list(self._book.active.values()):
            self._advance(active, now)
        for active in self._book.active.values():
            limit_kbit = active.media.limit_kbit if active.call.state in ANSWERED else None
            self._book.change(active, away=active.is_away, limit_kbit=limit_kbit)
        self._book.flush(now)
        self._return.note()

    def _advance(self, active: ActiveCall, now: float) -> None:
        """Do the next thing for a call, if there is one and everything for it is there."""
        session = self._book.sessions.get(active.call.peer.station)
        if session is None or active.reopen_at != inf:
            return
        media, agent = active.media, self._book.agent
        if not media.is_open() and not media.is_opening:
            media.open(session.local_host)
        if active.leg is None:
            due = now >= active.invite_at
        else:
            renews = active.refresh_due and agent.can_offer(active.leg)
            due = active.answer_wanted or renews
            due = due or (active.offer is not None and active.call.state in ANSWERED)
        if not due:
            return
        if not media.is_open(session.local_host):
            media.open(session.local_host)
        elif active.leg is None:
            self._invite(active, now)
        elif active.offer is not None:
            self._answer(active, active.leg, active.offer, session, now)
        else:
            active.refresh_due = False
            agent.offer(active.leg, media.offer(), now)

    def _invite(self, active: ActiveCall, now: float) -> None:
        us = uri_of(Address(self._book.station, active.call.line))
        peer, contact = active.call.peer, self._conferences.contact(active) or Contact(us)
        try:
            active.leg = self._book.agent.invite(
                hop_of(peer.station),
                target=uri_of(peer),
                caller=us,
                contact=contact.uri,
                contact_parameters=contact.parameters,
                body=active.media.offer(),
                now=now,
            )
        except UserAgentError as error:
            self._book.end(active, EndReason.FAILED, now, detail=f"There are {error}.")
            return
        active.we_invited, active.refresh_due = True, False

    def _answer(
        self, active: ActiveCall, leg: str, offer: bytes, session: Session, now: float
    ) -> None:
        """Answer the first INVITE or a re-INVITE."""
        first, active.answer_wanted, active.offer = active.answer_wanted, False, None
        try:
            body = active.media.answer(offer, session.remote_host)
        except (NoSharedSoundError, SipError):
            if first:
                reason = EndReason.NO_COMMON_CODEC
                self._book.end(active, reason, now, detail=NO_SECURITY, code=488)
            else:
                self._book.agent.refuse_offer(leg, 488, now)
            return
        active.refresh_due = False
        came_back(active)
        if first:
            self._book.agent.accept(leg, body, now)
        else:
            self._book.agent.answer_offer(leg, body, now)
