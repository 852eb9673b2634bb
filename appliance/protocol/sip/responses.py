"""What a user agent does with responses, and with the lack of them."""

from __future__ import annotations

from sipmessage import Response

from appliance.protocol.sip import events as ev
from appliance.protocol.sip.dialog import Dialog
from appliance.protocol.sip.leg import Leg, LegState, LegStep
from appliance.protocol.sip.leg_book import LegBook
from appliance.protocol.sip.message import tag_of
from appliance.protocol.sip.transaction_layer import Exchange, ResponseArrived, TimedOut


class ResponseHandler:
    """The user agent client (RFC 3261 sections 8.1.3, 13.2.2 and 14.1)."""

    def __init__(self, book: LegBook) -> None:
        self._book = book

    def on_response(self, arrived: ResponseArrived, now: float) -> None:
        """Take a response; a 2xx to an INVITE is always acknowledged."""
        response, exchange = arrived.response, arrived.exchange
        if response.cseq.method == "INFO" and exchange is not None:
            self._on_info_response(exchange, response.code)
        if response.cseq.method != "INVITE":
            return  # a BYE or CANCEL is done, whatever they say
        if exchange is None:
            leg = self._book.find(arrived.hop, response.call_id, tag_of(response.from_address))
            if leg is not None and 200 <= response.code < 300:
                self._book.acknowledge_again(leg, response)
            return
        leg = self._book.legs.get(exchange.owner)
        if leg is None or exchange not in (leg.invite, leg.offer_out):
            if 200 <= response.code < 300 and not self._book.acknowledge_again(leg, response):
                self._book.discard_answer(exchange, response, now)
        elif exchange is leg.offer_out:
            self._on_offer_response(leg, exchange, response)
        elif leg.state is LegState.CALLING or leg.state is LegState.CANCELLING:
            self._on_invite_response(leg, response, now)
        elif 200 <= response.code < 300 and not self._book.acknowledge_again(leg, response):
            self._book.discard_answer(exchange, response, now)

    def _on_invite_response(self, leg: Leg, response: Response, now: float) -> None:
        waiting = leg.state is LegState.CALLING
        if response.code < 200:
            if not waiting:
                self._book.send_cancel(leg, now)
            elif response.code >= 180:
                self._book.events.append(ev.RingingThere(leg.id))
        elif response.code < 300 and waiting:
            leg.step(LegStep.SUCCESS)
            invite = leg.first_invite().request
            leg.dialog = Dialog.of_caller(invite, response)
            self._book.acknowledge(leg, leg.dialog, invite)
            self._book.events.append(ev.Answered(leg.id, response.body))
        elif response.code < 300:
            leg.step(LegStep.SUCCESS)
            self._book.discard_answer(leg.first_invite(), response, now)
            self._book.end(leg, now)
        else:
            leg.step(LegStep.FAILURE)
            if waiting:
                self._book.events.append(ev.Refused(leg.id, response.code))
            self._book.end(leg, now)

    def _on_info_response(self, exchange: Exchange, code: int) -> None:
        leg = self._book.legs.get(exchange.owner)
        if leg is not None and leg.info_out is exchange and code >= 200:
            leg.info_out = None
            leg.takes_info = code not in {405, 415, 501}

    def _on_offer_response(self, leg: Leg, exchange: Exchange, response: Response) -> None:
        if response.code < 200 or leg.dialog is None:
            return
        leg.offer_out = None
        if response.code >= 300:
            self._book.events.append(ev.OfferRefused(leg.id, response.code))
            return
        leg.dialog.refresh_target(response)
        self._book.acknowledge(leg, leg.dialog, exchange.request)
        self._book.events.append(ev.OfferAnswered(leg.id, response.body))

    def on_silence(self, silent: TimedOut, now: float) -> None:
        """Learn that nothing came back (section 8.1.3.1: as if it were a 408)."""
        exchange = silent.exchange
        leg = self._book.legs.get(exchange.owner)
        if leg is None:
            return
        if exchange is leg.info_out:
            leg.info_out = None
        elif exchange is leg.offer_out:
            leg.offer_out = None
            self._book.events.append(ev.OfferRefused(leg.id, 408))
        elif exchange is leg.invite and leg.outgoing:
            waiting = leg.state is LegState.CALLING
            leg.step(LegStep.FAILURE)
            if waiting:
                self._book.events.append(ev.Refused(leg.id, 408))
            self._book.end(leg, now)
