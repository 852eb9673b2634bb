"""What SIP events mean for the station's calls."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from appliance.model.call import CallState, EndReason
from appliance.model.identity import Address, StationId
from appliance.node.active_call import GLARE_S, ActiveCall
from appliance.node.call_book import CallBook
from appliance.node.call_gate import CallGate
from appliance.node.call_media import NoSharedSoundError
from appliance.node.call_return import came_back
from appliance.node.call_states import ANSWERED, UNANSWERED, CallStep, reason_of
from appliance.node.conference import Conferences
from appliance.protocol.sip import events as ev
from appliance.protocol.sip.reader import SipError
from appliance.protocol.sip.sdp import read_description
from appliance.protocol.sip.station_uri import address_of

FORGOTTEN: Final = "The other station no longer knows this call: it was probably restarted."
OVER_MEANWHILE: Final = "The call was over before this station had started again."
NO_SECURITY: Final = "The other side offers no encrypted Opus sound, so the call was refused."

_log = logging.getLogger(__name__)


class CallSignals:
    """Takes the events of the user agent."""

    def __init__(self, book: CallBook, conferences: Conferences) -> None:
        self._book = book
        self._conferences = conferences
        self._gate = CallGate()
        self._handlers: dict[type[ev.Event], Callable[[ActiveCall, Any, float], None]] = {
            ev.Informed: self._informed,
            ev.RingingThere: self._ringing_there,
            ev.Answered: self._answered,
            ev.Refused: self._refused,
            ev.Cancelled: self._cancelled,
            ev.Confirmed: self._confirmed,
            ev.Offered: self._offered,
            ev.OfferWithdrawn: self._offer_withdrawn,
            ev.OfferAnswered: self._offer_answered,
            ev.OfferRefused: self._offer_refused,
            ev.HungUp: self._hung_up,
            ev.NeverConfirmed: self._never_confirmed,
        }

    def take(self, event: ev.Event, now: float) -> None:
        """Act on one event; those of legs that were given up are nobody's business."""
        if isinstance(event, ev.Invited):
            self._invited(event, now)
            return
        active = self._book.of_leg(event.leg)
        if active is not None:
            self._handlers[type(event)](active, event, now)

    def _invited(self, event: ev.Invited, now: float) -> None:
        agent, proved = self._book.agent, StationId.parse(event.hop.name)
        caller, target = address_of(event.caller), self._our_line(event)
        genuine = caller is not None and caller.station == proved
        if caller is not None and genuine and self._conferences.invited(event, caller, now):
            return
        other = self._dialled(caller) if caller is not None else None
        if other is None and target is not None:
            other = self._book.on_line(target.line)
        if genuine and other is not None and _is_forgotten(other, proved):
            # Whoever calls anew after a restart knows nothing of the call that was.
            self._book.end(other, EndReason.THEY_HUNG_UP, now, detail=FORGOTTEN)
            other = None
        if caller is not None and genuine and other is not None and _is_glare(other, caller):
            self._meet(other, event, now)
        elif not self._gate.allows(proved, now):
            agent.reject(event.leg, 503, now)
        elif caller is None or not genuine:
            _log.warning("refused a call under a false name from %s", proved.tag)
            agent.reject(event.leg, 403, now)
        elif target is None:
            agent.reject(event.leg, 404, now)
        elif other is not None:
            agent.reject(event.leg, 486, now)
            line, reason = target.line, EndReason.BUSY
            self._book.note_missed(caller, line=line, reason=reason, detail="", now=now)
        else:
            self._ring(event, caller, target, now)

    def _dialled(self, caller: Address) -> ActiveCall | None:
        """Return the call in which we are calling who calls us."""
        calls = self._book.with_peer(caller.station)
        return next((active for active in calls if _is_glare(active, caller)), None)

    def _informed(self, active: ActiveCall, event: ev.Informed, now: float) -> None:
        self._conferences.informed(active, event.body, now)

    def _our_line(self, event: ev.Invited) -> Address | None:
        target = address_of(event.target)
        if target is None or target.station != self._book.station:
            return None
        return target if target.line in self._book.lines else None

    def _ring(self, event: ev.Invited, caller: Address, target: Address, now: float) -> None:
        book, agent = self._book, self._book.agent
        try:
            description = read_description(event.body)
        except SipError as error:
            _log.warning("refused a call from %s: %s", caller.station.tag, error)
            agent.reject(event.leg, 400, now)
            return
        if description is None:
            agent.reject(event.leg, 488, now)
            reason = EndReason.NO_COMMON_CODEC
            book.note_missed(caller, line=target.line, reason=reason, detail=NO_SECURITY, now=now)
            return
        active = book.begin(
            caller, line=target.line, outgoing=False, state=CallState.RINGING_HERE, now=now
        )
        active.leg, active.offer = event.leg, event.body
        agent.ring(event.leg, now)

    def _meet(self, ours: ActiveCall, event: ev.Invited, now: float) -> None:
        """Make one call of two, when both dialled each other: the lower id's INVITE is taken.

        Whoever has the higher id takes back its own INVITE and answers at once, since its operator
        has just dialled this very peer; so does one whose own INVITE has not left yet.
        """
        book = self._book
        if ours.leg is not None and book.station < ours.call.peer.station:
            book.agent.reject(event.leg, 491, now)
            return
        if ours.leg is not None:
            book.agent.close(ours.leg, now)
        ours.leg, ours.we_invited = event.leg, False
        ours.offer, ours.answer_wanted = event.body, True
        book.step(ours, CallStep.ANSWER, answered_at=now)

    def _ringing_there(self, active: ActiveCall, event: ev.RingingThere, now: float) -> None:
        self._book.step(active, CallStep.RING)

    def _answered(self, active: ActiveCall, event: ev.Answered, now: float) -> None:
        self._book.step(active, CallStep.ANSWER, answered_at=now)
        active.heard_at = now
        self._take_answer(active, event.body, now)

    def _take_answer(self, active: ActiveCall, body: bytes, now: float) -> None:
        session = self._book.sessions.get(active.call.peer.station)
        if session is None:  # it came in the last moment of a session: the next one renews it
            active.refresh_due = True
            return
        try:
            active.media.take_answer(body, session.remote_host)
        except (NoSharedSoundError, SipError) as error:
            detail = f"The two stations found no way of sending sound: {error}."
            self._book.end(active, EndReason.NO_COMMON_CODEC, now, detail=detail)
            return
        came_back(active)
        if not active.media.is_open(session.local_host):
            active.refresh_due = True

    def _refused(self, active: ActiveCall, event: ev.Refused, now: float) -> None:
        if event.code == 491 and active.call.state in UNANSWERED:
            active.leg = None
            active.invite_at = now + GLARE_S
            return
        rang = active.call.state is CallState.RINGING_THERE
        reason, detail = reason_of(event.code, rang=rang)
        self._book.end(active, reason, now, detail=detail)

    def _cancelled(self, active: ActiveCall, event: ev.Cancelled, now: float) -> None:
        self._book.end(active, EndReason.CANCELLED, now)

    def _confirmed(self, active: ActiveCall, event: ev.Confirmed, now: float) -> None:
        """Do nothing: `_advance` sees that a re-INVITE can be sent now."""

    def _offered(self, active: ActiveCall, event: ev.Offered, now: float) -> None:
        try:
            usable = read_description(event.body) is not None
        except SipError:
            usable = False
        if usable and active.call.state in ANSWERED:
            active.offer = event.body
            active.refresh_due = False
            active.refresh_at = float("inf")
        else:
            self._book.agent.refuse_offer(event.leg, 488, now)

    def _offer_withdrawn(self, active: ActiveCall, event: ev.OfferWithdrawn, now: float) -> None:
        active.offer = None

    def _offer_answered(self, active: ActiveCall, event: ev.OfferAnswered, now: float) -> None:
        self._take_answer(active, event.body, now)

    def _offer_refused(self, active: ActiveCall, event: ev.OfferRefused, now: float) -> None:
        book = self._book
        if event.code == 481:
            detail = OVER_MEANWHILE if active.restored else FORGOTTEN
            book.end(active, EndReason.THEY_HUNG_UP, now, detail=detail)
        elif event.code == 408:
            if active.away_since is None:
                detail = "The other station stopped answering."
                book.end(active, EndReason.UNREACHABLE, now, detail=detail)
        elif event.code in {491, 500, 503}:
            # RFC 3261 section 14.1: who owns the Call-ID waits longer, so that one goes first.
            share = book.random_bytes(1)[0] / 255
            active.refresh_at = now + (2.1 + 1.9 * share if active.we_invited else 2.0 * share)
        else:
            book.end(active, EndReason.NO_COMMON_CODEC, now)

    def _hung_up(self, active: ActiveCall, event: ev.HungUp, now: float) -> None:
        self._book.end(active, EndReason.THEY_HUNG_UP, now)

    def _never_confirmed(self, active: ActiveCall, event: ev.NeverConfirmed, now: float) -> None:
        detail = "The other station never confirmed that the call was answered."
        self._book.end(active, EndReason.FAILED, now, detail=detail)


def _is_forgotten(ours: ActiveCall, proved: StationId) -> bool:
    return ours.call.peer.station == proved and ours.returns_until is not None


def _is_glare(ours: ActiveCall, caller: Address) -> bool:
    return ours.call.peer == caller and ours.call.state in UNANSWERED
