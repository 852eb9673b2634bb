"""The transaction layer: finds the transaction of a message and carries out its steps.

Matching is that of RFC 3261 sections 17.1.3 and 17.2.3, within one hop: what comes from one peer
can't touch the transactions of another.  What a request means is the user agent's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final, TypeAlias

from sipmessage import Request, Response

from appliance.protocol.sip.message import (
    MAGIC_COOKIE,
    ack_for_failure,
    new_response,
    tag_of,
)
from appliance.protocol.sip.reader import Message
from appliance.protocol.sip.transaction import Action, Happening, Kind, Transaction

MAX_SERVER_PER_HOP: Final = 32
"""Ours: requests of one hop that are remembered; further ones get 503 and are forgotten."""

MAX_SERVER: Final = 256
"""Ours: the same for all hops together."""


@dataclass(frozen=True)
class Hop:
    """The next element on the way: a station's session, or a phone's address."""

    name: str
    """Who it is, as the transport has proved or seen it."""

    reliable: bool = True
    """The transport delivers in order or breaks, as sessions do; False: UDP."""


@dataclass(frozen=True)
class Outgoing:
    """A message to send."""

    hop: Hop
    """To whom."""

    data: bytes
    """The message; it may hold keys: `redact` before logging."""


@dataclass(eq=False)
class Exchange:
    """A transaction with its messages."""

    transaction: Transaction
    """The state machine."""

    hop: Hop
    """The other side."""

    request: Request
    """What it is about."""

    key: tuple[str, ...]
    """What its messages are found by, within the hop."""

    owner: str = ""
    """The leg that it belongs to; empty: none."""

    response: Response | None = None
    """The last one that a server sent, or the last that a client received."""


@dataclass(frozen=True)
class RequestArrived:
    """A new request; it has to be answered by `respond`."""

    exchange: Exchange
    """Its server transaction."""


@dataclass(frozen=True)
class AckArrived:
    """An ACK that belongs to a 2xx, and so to a dialog."""

    hop: Hop
    """From whom."""

    request: Request
    """The ACK."""


@dataclass(frozen=True)
class ResponseArrived:
    """A response."""

    hop: Hop
    """From whom."""

    exchange: Exchange | None
    """Its client transaction; None: there is none any more."""

    response: Response
    """The response."""


@dataclass(frozen=True)
class TimedOut:
    """The other side of a transaction is silent."""

    exchange: Exchange
    """Which."""


LayerEvent: TypeAlias = RequestArrived | AckArrived | ResponseArrived | TimedOut


def _happening(response: Response) -> Happening:
    if response.code < 200:
        return Happening.PROVISIONAL
    return Happening.SUCCESS if response.code < 300 else Happening.FAILURE


def _server_key(request: Request, method: str) -> tuple[str, ...]:
    via = request.via[0]
    branch = via.parameters["branch"] or ""
    if not branch.startswith(MAGIC_COOKIE):  # an RFC 2543 phone: section 17.2.3
        branch += f"|{request.call_id}|{tag_of(request.from_address)}|{request.cseq.sequence}"
    return ("server", branch, via.host, str(via.port), method)


class TransactionLayer:
    """All transactions of one user agent."""

    def __init__(self) -> None:
        self._exchanges: dict[tuple[Hop, tuple[str, ...]], Exchange] = {}
        self._outgoing: list[Outgoing] = []

    def take_outgoing(self) -> list[Outgoing]:
        """Return what is to be sent, once."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def send(self, hop: Hop, message: Message) -> None:
        """Send without a transaction: an ACK, a 2xx once more."""
        self._outgoing.append(Outgoing(hop, bytes(message)))

    def request(self, hop: Hop, request: Request, *, owner: str = "", now: float) -> Exchange:
        """Send a request and wait for its response."""
        kind = Kind.INVITE_CLIENT if request.method == "INVITE" else Kind.NON_INVITE_CLIENT
        transaction = Transaction(kind, reliable=hop.reliable, now=now)
        branch = request.via[0].parameters["branch"] or ""
        exchange = Exchange(transaction, hop, request, ("client", branch, request.method), owner)
        self._exchanges[hop, exchange.key] = exchange
        self.send(hop, request)
        return exchange

    def respond(self, exchange: Exchange, response: Response, now: float) -> None:
        """Answer a request; a response that comes too late is dropped."""
        exchange.response = response
        self._step(exchange, _happening(response), now)

    def forget(self, exchange: Exchange) -> None:
        """Drop a transaction whose outcome no longer matters (RFC 3261 section 9.1)."""
        self._exchanges.pop((exchange.hop, exchange.key), None)

    def invite_of_cancel(self, exchange: Exchange) -> Exchange | None:
        """Return the INVITE that a CANCEL is about (RFC 3261 section 9.2)."""
        return self._exchanges.get((exchange.hop, _server_key(exchange.request, "INVITE")))

    def is_merged(self, exchange: Exchange) -> bool:
        """Tell whether the same request came by another way before (section 8.2.2.2)."""
        identity = _identity(exchange.request)
        return any(
            other is not exchange and _identity(other.request) == identity
            for other in self._of(exchange.hop, "server")
        )

    def receive(self, hop: Hop, message: Message, now: float) -> LayerEvent | None:
        """Take a message; return what the user agent has to know of it."""
        if isinstance(message, Response):
            return self._receive_response(hop, message, now)
        method = "INVITE" if message.method == "ACK" else message.method
        key = _server_key(message, method)
        exchange = self._exchanges.get((hop, key))
        if message.method == "ACK":
            if exchange is None:
                return AckArrived(hop, message)
            self._step(exchange, Happening.ACK, now)
            return None
        if exchange is not None:
            self._step(exchange, Happening.REQUEST, now)
            return None
        if self._is_full(hop):
            self.send(hop, new_response(message, 503, extra=(("Retry-After", "10"),)))
            return None
        kind = Kind.INVITE_SERVER if method == "INVITE" else Kind.NON_INVITE_SERVER
        transaction = Transaction(kind, reliable=hop.reliable, now=now)
        exchange = Exchange(transaction, hop, message, key)
        self._exchanges[hop, key] = exchange
        return RequestArrived(exchange)

    def link_back(self, hop: Hop, now: float) -> None:
        """Send again what may have been lost with the old connection to `hop`."""
        for exchange in (*self._of(hop, "client"), *self._of(hop, "server")):
            self._step(exchange, Happening.LINK_BACK, now)

    def handle_timers(self, now: float) -> list[TimedOut]:
        """Do what is due."""
        silent = []
        for exchange in list(self._exchanges.values()):
            if exchange.transaction.next_wakeup() <= now:
                actions = exchange.transaction.handle_timer(now)
                self._carry_out(exchange, actions)
                if Action.REPORT_TIMEOUT in actions:
                    silent.append(TimedOut(exchange))
        return silent

    def next_wakeup(self) -> float:
        """Return when `handle_timers` has something to do; infinity: never."""
        first = inf
        for exchange in self._exchanges.values():
            first = min(first, exchange.transaction.next_wakeup())
        return first

    def __len__(self) -> int:
        return len(self._exchanges)

    def _of(self, hop: Hop, side: str) -> Iterator[Exchange]:
        found = [e for e in self._exchanges.values() if e.hop == hop and e.key[0] == side]
        return iter(found)

    def _is_full(self, hop: Hop) -> bool:
        servers = [e for e in self._exchanges.values() if e.key[0] == "server"]
        mine = sum(exchange.hop == hop for exchange in servers)
        return mine >= MAX_SERVER_PER_HOP or len(servers) >= MAX_SERVER

    def _receive_response(self, hop: Hop, response: Response, now: float) -> LayerEvent | None:
        branch = response.via[0].parameters["branch"] or ""
        exchange = self._exchanges.get((hop, ("client", branch, response.cseq.method)))
        if exchange is None:
            return ResponseArrived(hop, None, response)
        exchange.response = response
        if Action.PASS_UP in self._step(exchange, _happening(response), now):
            return ResponseArrived(hop, exchange, response)
        return None

    def _step(self, exchange: Exchange, happening: Happening, now: float) -> tuple[Action, ...]:
        actions = exchange.transaction.handle(happening, now)
        self._carry_out(exchange, actions)
        return actions

    def _carry_out(self, exchange: Exchange, actions: tuple[Action, ...]) -> None:
        for action in actions:
            if action is Action.SEND_REQUEST:
                self.send(exchange.hop, exchange.request)
            elif action is Action.SEND_RESPONSE and exchange.response is not None:
                self.send(exchange.hop, exchange.response)
            elif action is Action.SEND_ACK and exchange.response is not None:
                self.send(exchange.hop, ack_for_failure(exchange.request, exchange.response))
        if exchange.transaction.is_over:
            self.forget(exchange)


def _identity(request: Request) -> tuple[object, ...]:
    """Return what two copies of one request outside of a dialog share."""
    if tag_of(request.to_address):
        return (id(request),)
    return (tag_of(request.from_address), request.call_id, request.cseq)
