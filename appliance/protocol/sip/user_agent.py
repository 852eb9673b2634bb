"""A user agent core: many legs, no IO, no sound.

Commands and received messages go in; `Event`s for the user and `Outgoing` messages for the
transport come out.  A station's console is one user; a back-to-back user agent for phones is
another, with two legs a call.  Offers and answers pass through it unread.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Final

from sipmessage import URI

from appliance.protocol.sip import events as ev
from appliance.protocol.sip.dialog import Dialog
from appliance.protocol.sip.leg import Leg, LegState, LegStep, UserAgentError
from appliance.protocol.sip.leg_book import MAX_LEGS, LegBook
from appliance.protocol.sip.message import (
    Origin,
    RandomBytes,
    new_branch,
    new_request,
    new_tag,
)
from appliance.protocol.sip.reader import read_message
from appliance.protocol.sip.requests import RequestHandler
from appliance.protocol.sip.responses import ResponseHandler
from appliance.protocol.sip.transaction import GIVE_UP_S, T2_S, State
from appliance.protocol.sip.transaction_layer import (
    AckArrived,
    Hop,
    Outgoing,
    RequestArrived,
    ResponseArrived,
)

_TAKEN: Final = frozenset({LegState.ANSWERED, LegState.TALKING})

RESTORED_GAP: Final = 100
"""Numbers of requests that are left out after a restart."""


class UserAgent:
    """The legs of one station towards its peers, or towards its phones."""

    def __init__(self, *, origin: Origin, random_bytes: RandomBytes) -> None:
        self._book = LegBook(origin=origin, random_bytes=random_bytes)
        self._requests = RequestHandler(self._book)
        self._responses = ResponseHandler(self._book)

    # What comes out

    def take_events(self) -> list[ev.Event]:
        """Return what happened, once, in order."""
        events, self._book.events = self._book.events, []
        return events

    def take_outgoing(self) -> list[Outgoing]:
        """Return what is to be sent, once, in order."""
        return self._book.layer.take_outgoing()

    def next_wakeup(self) -> float:
        """Return when `handle_timers` has something to do; infinity: never."""
        first = self._book.layer.next_wakeup()
        for leg in self._book.legs.values():
            first = min(first, leg.next_wakeup())
        return first

    def can_offer(self, leg_id: str) -> bool:
        """Tell whether `offer` is allowed just now."""
        leg = self._book.legs.get(leg_id)
        if leg is None or leg.state is not LegState.TALKING:
            return False
        return leg.offer_out is None and leg.offer_in is None and leg.unacknowledged is None

    @property
    def leg_count(self) -> int:
        """How many legs there are, those that are being ended among them."""
        return len(self._book.legs)

    # Commands

    def is_confirmed(self, leg_id: str) -> bool:
        """Tell whether both sides know that a leg is answered."""
        leg = self._book.legs.get(leg_id)
        return leg is not None and leg.state is LegState.TALKING

    def can_inform(self, leg_id: str) -> bool:
        """Tell whether `inform` is allowed just now."""
        leg = self._book.legs.get(leg_id)
        if leg is None or leg.state is not LegState.TALKING:
            return False
        return leg.takes_info and leg.info_out is None

    def inform(self, leg_id: str, body: bytes, now: float) -> None:
        """Send an INFO in the dialog; raises UserAgentError unless `can_inform`."""
        leg = self._book.get(leg_id)
        if not self.can_inform(leg_id) or leg.dialog is None:
            raise UserAgentError("an INFO must wait")
        request = self._book.in_dialog(leg.dialog, "INFO", body=body)
        leg.info_out = self._book.layer.request(leg.hop, request, owner=leg.id, now=now)

    def invite(
        self,
        hop: Hop,
        *,
        target: URI,
        caller: URI,
        contact: URI,
        body: bytes,
        contact_parameters: tuple[str, ...] = (),
        now: float,
    ) -> str:
        """Call `target`; returns the leg.  Raises UserAgentError when there are too many.

        `contact_parameters` say more of it, as ``isfocus`` does of a conference (RFC 4579).
        """
        if not self._book.has_room(hop, MAX_LEGS):
            raise UserAgentError("too many calls at once")
        tag = new_tag(self._book.random_bytes)
        described = ";".join((f"<{contact}>", *contact_parameters))
        request = new_request(
            "INVITE",
            target,
            origin=self._book.origin,
            branch=new_branch(self._book.random_bytes),
            from_=f"<{caller}>;tag={tag}",
            to=f"<{target}>",
            call_id=self._book.random_bytes(16).hex(),
            cseq=1,
            contact=described,
            body=body,
        )
        leg_id = new_tag(self._book.random_bytes)
        exchange = self._book.layer.request(hop, request, owner=leg_id, now=now)
        self._book.legs[leg_id] = Leg(leg_id, hop, True, exchange, tag, LegState.CALLING, described)
        return leg_id

    def restore(self, hop: Hop, dialog: Dialog, *, contact: URI, outgoing: bool) -> str:
        """Go on with a dialog that was confirmed before a restart; returns the leg.

        What we sent in it since `dialog` was noted may have had higher numbers, so they go on with
        a gap (RFC 3261 section 12.2.2 allows one).
        """
        leg_id = new_tag(self._book.random_bytes)
        ours = replace(dialog, local_seq=dialog.local_seq + RESTORED_GAP, remote_seq=None)
        self._book.legs[leg_id] = Leg(
            leg_id, hop, outgoing, None, ours.local_tag, LegState.TALKING, f"<{contact}>", ours
        )
        return leg_id

    def dialog_of(self, leg_id: str) -> Dialog | None:
        """Return a copy of the dialog of a call that was taken; None: there is none."""
        leg = self._book.legs.get(leg_id)
        if leg is None or leg.dialog is None or leg.state not in _TAKEN:
            return None
        return replace(leg.dialog)

    def ring(self, leg_id: str, now: float) -> None:
        """Tell the caller that it rings here."""
        leg = self._book.get(leg_id)
        if leg.state is not LegState.INVITED:
            raise UserAgentError(f"a leg that is {leg.state} can't ring")
        self._book.respond(leg, leg.first_invite(), 180, now)

    def accept(self, leg_id: str, body: bytes, now: float) -> None:
        """Take a call, with our SDP answer."""
        leg = self._book.get(leg_id)
        leg.step(LegStep.ACCEPT)
        self._book.accept(leg, leg.first_invite(), body, now)

    def reject(self, leg_id: str, code: int, now: float) -> None:
        """Refuse a call; the leg is over."""
        leg = self._book.get(leg_id)
        leg.step(LegStep.REJECT)
        self._book.respond(leg, leg.first_invite(), code, now)
        self._book.end(leg, now)

    def cancel(self, leg_id: str, now: float) -> None:
        """Give up a call that nobody has answered; no further event comes for the leg."""
        leg = self._book.get(leg_id)
        leg.step(LegStep.CANCEL)
        leg.give_up_at = now + GIVE_UP_S
        if leg.first_invite().transaction.state is State.PROCEEDING:
            self._book.send_cancel(leg, now)

    def bye(self, leg_id: str, now: float) -> None:
        """Hang up; no further event comes for the leg."""
        leg = self._book.get(leg_id)
        leg.step(LegStep.BYE)
        if leg.state is LegState.LEAVING:
            leg.give_up_at = now + GIVE_UP_S
        else:
            self._book.send_bye(leg, now)

    def close(self, leg_id: str, now: float, *, code: int = 480) -> None:
        """End a leg as its state wants it: CANCEL, `code` or BYE; one that is over is left."""
        leg = self._book.legs.get(leg_id)
        if leg is None:
            return
        if leg.state is LegState.CALLING:
            self.cancel(leg_id, now)
        elif leg.state is LegState.INVITED:
            self.reject(leg_id, code, now)
        elif leg.state in {LegState.ANSWERED, LegState.TALKING}:
            self.bye(leg_id, now)

    def forget(self, leg_id: str) -> None:
        """Let go of a leg whose other side knows nothing of it any more: nothing is sent."""
        leg = self._book.legs.pop(leg_id, None)
        for exchange in (leg.invite, leg.offer_out, leg.offer_in) if leg is not None else ():
            if exchange is not None:
                self._book.layer.forget(exchange)

    def offer(self, leg_id: str, body: bytes, now: float) -> None:
        """Send a re-INVITE; raises UserAgentError unless `can_offer`."""
        leg = self._book.get(leg_id)
        if not self.can_offer(leg_id) or leg.dialog is None:
            raise UserAgentError("a re-INVITE must wait")
        request = self._book.in_dialog(leg.dialog, "INVITE", contact=leg.contact, body=body)
        leg.offer_out = self._book.layer.request(leg.hop, request, owner=leg.id, now=now)

    def answer_offer(self, leg_id: str, body: bytes, now: float) -> None:
        """Take their re-INVITE, with our SDP answer."""
        leg = self._book.get(leg_id)
        exchange = self._book.take_offer_in(leg)
        self._book.accept(leg, exchange, body, now)

    def refuse_offer(self, leg_id: str, code: int, now: float) -> None:
        """Refuse their re-INVITE; the call stays as it was."""
        leg = self._book.get(leg_id)
        self._book.respond(leg, self._book.take_offer_in(leg), code, now)

    # Inputs

    def receive(self, hop: Hop, data: bytes, now: float) -> None:
        """Take a message from a peer; raises SipError when it is none."""
        happened = self._book.layer.receive(hop, read_message(data), now)
        if isinstance(happened, RequestArrived):
            self._requests.on_request(happened.exchange, now)
        elif isinstance(happened, AckArrived):
            self._requests.on_ack(happened, now)
        elif isinstance(happened, ResponseArrived):
            self._responses.on_response(happened, now)

    def link_down(self, hop: Hop) -> None:
        """Learn that there is no connection to `hop`: nobody can acknowledge anything."""
        for leg in self._book.of_hop(hop):
            if leg.unacknowledged is not None:
                leg.unacknowledged.deadline = inf

    def link_back(self, hop: Hop, now: float) -> None:
        """Learn of a new connection to `hop`: send again what the old one may have lost."""
        self._book.layer.link_back(hop, now)
        for leg in self._book.of_hop(hop):
            if leg.unacknowledged is not None:
                leg.unacknowledged.deadline = now + GIVE_UP_S
                self._book.layer.send(hop, leg.unacknowledged.response)

    def handle_timers(self, now: float) -> None:
        """Do what is due."""
        for silent in self._book.layer.handle_timers(now):
            self._responses.on_silence(silent, now)
        for leg in list(self._book.legs.values()):
            if leg.next_wakeup() <= now:
                self._handle_leg_timer(leg, now)

    def _handle_leg_timer(self, leg: Leg, now: float) -> None:
        waiting = leg.unacknowledged
        if waiting is not None and waiting.deadline <= now:
            was_leaving = leg.state is LegState.LEAVING
            leg.step(LegStep.NO_ACK)
            if not was_leaving:
                self._book.events.append(ev.NeverConfirmed(leg.id))
            self._book.send_bye(leg, now)
        elif leg.give_up_at <= now:
            if leg.state is LegState.LEAVING:
                leg.step(LegStep.NO_ACK)
                self._book.send_bye(leg, now)
            else:
                leg.step(LegStep.FAILURE)
                self._book.layer.forget(leg.first_invite())
                self._book.end(leg, now)
        elif waiting is not None and waiting.resend_at <= now:
            waiting.pause_s = min(2 * waiting.pause_s, T2_S)
            waiting.resend_at = now + waiting.pause_s
            self._book.layer.send(leg.hop, waiting.response)
