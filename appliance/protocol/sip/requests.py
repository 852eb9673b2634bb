"""What a user agent does with requests, once their transaction is known."""

from __future__ import annotations

from typing import Final

from sipmessage import URI, Request

from appliance.protocol.sip import events as ev
from appliance.protocol.sip.dialog import Dialog
from appliance.protocol.sip.leg import Leg, LegState, LegStep
from appliance.protocol.sip.leg_book import MAX_LEGS, RESERVED_LEGS, LegBook
from appliance.protocol.sip.message import SDP, new_response, new_tag, tag_of
from appliance.protocol.sip.screening import screen
from appliance.protocol.sip.transaction_layer import AckArrived, Exchange

_WITH_BYE: Final = {LegState.ANSWERED, LegState.LEAVING, LegState.TALKING}
_WITH_OFFER: Final = {LegState.ANSWERED, LegState.TALKING}


class RequestHandler:
    """The user agent server (RFC 3261 section 8.2)."""

    def __init__(self, book: LegBook) -> None:
        self._book = book

    def on_request(self, exchange: Exchange, now: float) -> None:
        """Serve a new request; every one is answered, at once or by the user."""
        request = exchange.request
        merged = self._book.layer.is_merged(exchange)
        if refusal := screen(request, merged=merged):
            self._book.refuse(exchange, refusal.code, now, extra=refusal.extra)
        elif request.method == "CANCEL":
            self._on_cancel(exchange, now)
        elif local_tag := tag_of(request.to_address):
            leg = self._book.find(exchange.hop, request.call_id, local_tag)
            dialog = leg.dialog if leg is not None else None
            if dialog is None or leg is None or dialog.remote_tag != tag_of(request.from_address):
                self._book.refuse(exchange, 481, now)
            elif not dialog.take_request(request):
                self._book.refuse(exchange, 500, now)
            else:
                self._on_request_in_dialog(leg, exchange, now)
        elif request.method == "INVITE":
            self._on_invite(exchange, now)
        elif request.method == "OPTIONS":
            self._book.refuse(exchange, 200, now, extra=(("Accept", SDP),))
        else:
            self._book.refuse(exchange, 481, now)

    def _on_invite(self, exchange: Exchange, now: float) -> None:
        if not self._book.has_room(exchange.hop, MAX_LEGS - RESERVED_LEGS):
            self._book.refuse(exchange, 503, now, extra=(("Retry-After", "10"),))
            return
        request = exchange.request
        leg_id, tag = new_tag(self._book.random_bytes), new_tag(self._book.random_bytes)
        exchange.owner = leg_id
        # Our Contact is what they called: the line, wherever it is registered here.
        contact = f"<{request.uri}>"
        leg = Leg(leg_id, exchange.hop, False, exchange, tag, LegState.INVITED, contact)
        leg.dialog = Dialog.of_callee(request, tag)
        self._book.legs[leg_id] = leg
        self._book.layer.respond(exchange, new_response(request, 100), now)
        caller = request.from_address.uri
        self._book.events.append(
            ev.Invited(
                leg_id, exchange.hop, caller, request.uri, request.body, *_conference(request)
            )
        )

    def _on_cancel(self, exchange: Exchange, now: float) -> None:
        invite = self._book.layer.invite_of_cancel(exchange)
        leg = self._book.legs.get(invite.owner) if invite is not None else None
        if invite is None:
            self._book.refuse(exchange, 481, now)
            return
        tag = leg.local_tag if leg is not None else new_tag(self._book.random_bytes)
        self._book.layer.respond(exchange, new_response(exchange.request, 200, to_tag=tag), now)
        if leg is None:
            return
        if leg.state is LegState.INVITED:
            leg.step(LegStep.CANCEL)
            self._book.events.append(ev.Cancelled(leg.id))
            self._book.respond(leg, invite, 487, now)
            self._book.end(leg, now)
        elif leg.offer_in is invite:
            leg.offer_in = None
            self._book.events.append(ev.OfferWithdrawn(leg.id))
            self._book.respond(leg, invite, 487, now)

    def _on_request_in_dialog(self, leg: Leg, exchange: Exchange, now: float) -> None:
        request = exchange.request
        if request.method == "OPTIONS":
            self._book.refuse(exchange, 200, now, extra=(("Accept", SDP),))
        elif request.method == "INFO" and leg.state in _WITH_OFFER:
            self._book.layer.respond(exchange, new_response(request, 200), now)
            self._book.events.append(ev.Informed(leg.id, request.body))
        elif request.method == "BYE" and leg.state in _WITH_BYE:
            self._book.layer.respond(exchange, new_response(request, 200), now)
            was_ours = leg.state is LegState.LEAVING
            leg.step(LegStep.REMOTE_BYE)
            if not was_ours:
                self._book.events.append(ev.HungUp(leg.id))
            self._book.end(leg, now)
        elif request.method == "INVITE" and leg.state in _WITH_OFFER:
            self._on_reinvite(leg, exchange, now)
        else:
            self._book.refuse(exchange, 481, now)

    def _on_reinvite(self, leg: Leg, exchange: Exchange, now: float) -> None:
        if leg.offer_in is not None:  # RFC 3261 section 14.2
            self._book.refuse(exchange, 500, now, extra=(("Retry-After", "3"),))
        elif leg.offer_out is not None:
            self._book.refuse(exchange, 491, now)
        else:
            self._acknowledged(leg)  # whoever re-INVITEs has seen our 2xx, if not sent its ACK
            if leg.dialog is not None:
                leg.dialog.refresh_target(exchange.request)
            exchange.owner = leg.id
            leg.offer_in = exchange
            self._book.layer.respond(exchange, new_response(exchange.request, 100), now)
            self._book.events.append(ev.Offered(leg.id, exchange.request.body))

    def on_ack(self, arrived: AckArrived, now: float) -> None:
        """Take the ACK of a 2xx; one that fits nothing is ignored."""
        request = arrived.request
        leg = self._book.find(arrived.hop, request.call_id, tag_of(request.to_address))
        if leg is None or leg.unacknowledged is None or leg.dialog is None:
            return
        same = leg.unacknowledged.response.cseq.sequence == request.cseq.sequence
        if not same or leg.dialog.remote_tag != tag_of(request.from_address):
            return
        self._acknowledged(leg)
        if leg.state is LegState.OVER:
            self._book.send_bye(leg, now)

    def _acknowledged(self, leg: Leg) -> None:
        leg.unacknowledged = None
        if leg.state is LegState.ANSWERED:
            self._book.events.append(ev.Confirmed(leg.id))
        leg.step(LegStep.ACK)


def _conference(request: Request) -> tuple[URI | None, bool]:
    """The conference that an INVITE comes from (RFC 4579 section 5.1, RFC 3840 section 10), and
    whether it calls somebody back, which is a word of ours."""
    contact = request.contact[0]
    is_focus = "isfocus" in contact.parameters
    return (contact.uri, "again" in contact.parameters) if is_focus else (None, False)
