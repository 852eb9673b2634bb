"""What the user agent tells its user.  A leg is one dialog, from its INVITE to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sipmessage import URI

from appliance.protocol.sip.transaction_layer import Hop


@dataclass(frozen=True)
class Invited:
    """Somebody calls; to be answered by `accept` or `reject`."""

    leg: str
    """The new leg."""

    hop: Hop
    """Who really sent it."""

    caller: URI
    """Who the From header says it is: a claim."""

    target: URI
    """Request URI: who is called."""

    body: bytes
    """Their SDP offer; empty: there is none."""

    conference: URI | None = None
    """Where they are in a conference (RFC 4579): their Contact has ``isfocus``."""

    again: bool = False
    """They call back somebody who was in that conference: it is no matter for anybody else."""


@dataclass(frozen=True)
class Informed:
    """An INFO came in the dialog; it is answered."""

    leg: str
    """Which."""

    body: bytes
    """What it says; see `protocol.conference`."""


@dataclass(frozen=True)
class RingingThere:
    """The other side rings."""

    leg: str
    """Which."""


@dataclass(frozen=True)
class Answered:
    """The other side took our call; the ACK is sent."""

    leg: str
    """Which."""

    body: bytes
    """Their SDP answer."""


@dataclass(frozen=True)
class Refused:
    """Our call did not come to pass; the leg is over."""

    leg: str
    """Which."""

    code: int
    """Status code; 408 also when nothing came back."""


@dataclass(frozen=True)
class Cancelled:
    """The caller gave up before we answered; the leg is over."""

    leg: str
    """Which."""


@dataclass(frozen=True)
class Confirmed:
    """The ACK of our 2xx to a first INVITE came."""

    leg: str
    """Which."""


@dataclass(frozen=True)
class Offered:
    """A re-INVITE; to be answered by `answer_offer` or `refuse_offer`."""

    leg: str
    """Which."""

    body: bytes
    """Their new SDP offer; empty: there is none."""


@dataclass(frozen=True)
class OfferWithdrawn:
    """The re-INVITE was cancelled; nothing is to be answered any more."""

    leg: str
    """Which."""


@dataclass(frozen=True)
class OfferAnswered:
    """Our re-INVITE was taken."""

    leg: str
    """Which."""

    body: bytes
    """Their SDP answer."""


@dataclass(frozen=True)
class OfferRefused:
    """Our re-INVITE was not taken; the leg stays as it was."""

    leg: str
    """Which."""

    code: int
    """Status code; 408 also when nothing came back."""


@dataclass(frozen=True)
class HungUp:
    """The other side ended it; the leg is over."""

    leg: str
    """Which."""


@dataclass(frozen=True)
class NeverConfirmed:
    """No ACK came; the leg was ended by us."""

    leg: str
    """Which."""


Event: TypeAlias = (
    Invited
    | Informed
    | RingingThere
    | Answered
    | Refused
    | Cancelled
    | Confirmed
    | Offered
    | OfferWithdrawn
    | OfferAnswered
    | OfferRefused
    | HungUp
    | NeverConfirmed
)
