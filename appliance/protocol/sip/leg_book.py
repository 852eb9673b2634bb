"""The legs of a user agent, and the parts that its commands, requests and responses share."""

from __future__ import annotations

from typing import Final

from sipmessage import Request, Response

from appliance.protocol.sip import events as ev
from appliance.protocol.sip.dialog import Dialog
from appliance.protocol.sip.leg import Leg, Unacknowledged, UserAgentError
from appliance.protocol.sip.message import (
    Origin,
    RandomBytes,
    cancel_for,
    new_branch,
    new_response,
    new_tag,
    tag_of,
)
from appliance.protocol.sip.transaction import GIVE_UP_S, T1_S
from appliance.protocol.sip.transaction_layer import Exchange, Hop, TransactionLayer

MAX_LEGS_PER_HOP: Final = 16
"""Ours: calls with one peer at a time; further ones get 503."""

MAX_LEGS: Final = 64
"""Ours: calls with everybody together."""

RESERVED_LEGS: Final = 16
"""Ours: of these, kept for calls that we place."""


class LegBook:
    """All legs, the transactions under them, and the events that wait for the user."""

    def __init__(self, *, origin: Origin, random_bytes: RandomBytes) -> None:
        self.origin = origin
        self.random_bytes = random_bytes
        self.layer = TransactionLayer()
        self.legs: dict[str, Leg] = {}
        self.events: list[ev.Event] = []

    def acknowledge(self, leg: Leg, dialog: Dialog, invite: Request) -> None:
        """Send the ACK of a 2xx and keep it."""
        leg.last_ack = self.in_dialog(dialog, "ACK", ack_of=invite.cseq.sequence)
        self.layer.send(leg.hop, leg.last_ack)

    def acknowledge_again(self, leg: Leg | None, response: Response) -> bool:
        """Send the last ACK once more if it is this 2xx's."""
        if leg is None or leg.last_ack is None or leg.dialog is None:
            return False
        if tag_of(response.to_address) != leg.dialog.remote_tag:
            return False
        if response.cseq.sequence == leg.last_ack.cseq.sequence:
            self.layer.send(leg.hop, leg.last_ack)
        return True

    def discard_answer(self, exchange: Exchange, response: Response, now: float) -> None:
        """End a dialog that we do not want: a second fork's, or one that came after a CANCEL."""
        dialog = Dialog.of_caller(exchange.request, response)
        number = exchange.request.cseq.sequence
        self.layer.send(exchange.hop, self.in_dialog(dialog, "ACK", ack_of=number))
        self.layer.request(exchange.hop, self.in_dialog(dialog, "BYE"), now=now)

    def in_dialog(
        self,
        dialog: Dialog,
        method: str,
        *,
        contact: str | None = None,
        body: bytes = b"",
        ack_of: int | None = None,
    ) -> Request:
        """Make a request in a dialog (see `Dialog.new_request`)."""
        branch = new_branch(self.random_bytes)
        return dialog.new_request(
            method, origin=self.origin, branch=branch, contact=contact, body=body, ack_of=ack_of
        )

    def accept(self, leg: Leg, exchange: Exchange, body: bytes, now: float) -> None:
        """Send a 2xx and wait for its ACK."""
        response = new_response(
            exchange.request, 200, to_tag=leg.local_tag, contact=leg.contact, body=body
        )
        self.layer.respond(exchange, response, now)
        waiting = Unacknowledged(response, now + GIVE_UP_S)
        if not leg.hop.reliable:
            # Section 13.3.1.4 repeats it on every transport, for the sake of UDP hops farther on;
            # a session ends at the station that answers, so only a new session repeats it.
            waiting.pause_s = T1_S
            waiting.resend_at = now + T1_S
        leg.unacknowledged = waiting

    def respond(self, leg: Leg, exchange: Exchange, code: int, now: float) -> None:
        """Send a response of the leg, with its tag."""
        contact = leg.contact if code < 200 else None
        response = new_response(exchange.request, code, to_tag=leg.local_tag, contact=contact)
        self.layer.respond(exchange, response, now)

    def refuse(
        self, exchange: Exchange, code: int, now: float, extra: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Answer a request that begins no leg."""
        tag = new_tag(self.random_bytes)
        response = new_response(exchange.request, code, to_tag=tag, extra=extra)
        self.layer.respond(exchange, response, now)

    def send_cancel(self, leg: Leg, now: float) -> None:
        """Send the CANCEL of our INVITE, once."""
        if not leg.cancel_sent:
            leg.cancel_sent = True
            self.layer.request(leg.hop, cancel_for(leg.first_invite().request), now=now)

    def send_bye(self, leg: Leg, now: float) -> None:
        """Send a BYE and forget the leg."""
        if leg.dialog is not None:
            self.layer.request(leg.hop, self.in_dialog(leg.dialog, "BYE"), now=now)
        self.end(leg, now)

    def end(self, leg: Leg, now: float) -> None:
        """Forget the leg; what it still owes is refused."""
        if leg.offer_in is not None:  # section 15.1.2
            self.respond(leg, leg.offer_in, 487, now)
        self.legs.pop(leg.id, None)

    def take_offer_in(self, leg: Leg) -> Exchange:
        """Return their re-INVITE, to be answered now."""
        exchange, leg.offer_in = leg.offer_in, None
        if exchange is None:
            raise UserAgentError("there is no re-INVITE to answer")
        return exchange

    def get(self, leg_id: str) -> Leg:
        """Return a leg; raises UserAgentError when there is none."""
        leg = self.legs.get(leg_id)
        if leg is None:
            raise UserAgentError("there is no such leg")
        return leg

    def of_hop(self, hop: Hop) -> list[Leg]:
        """Return the legs with one peer."""
        return [leg for leg in self.legs.values() if leg.hop == hop]

    def find(self, hop: Hop, call_id: str, local_tag: str) -> Leg | None:
        """Return the leg of a dialog; only its own hop can reach it."""
        for leg in self.legs.values():
            if leg.local_tag == local_tag and leg.hop == hop:
                return leg if leg.call_id == call_id else None
        return None

    def has_room(self, hop: Hop, total: int) -> bool:
        """Tell whether one more leg with `hop` may begin."""
        return len(self.legs) < total and len(self.of_hop(hop)) < MAX_LEGS_PER_HOP
