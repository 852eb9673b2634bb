"""The record of calls, as operations on the store (`ports` says how these work)."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.identity import StationId
from appliance.node.ports import Operation


@dataclass(frozen=True)
class RecordedCall:
    """One call, as it is remembered."""

    id: str
    """Of the call at this station."""

    station: StationId
    """The other side."""

    line: str
    """Line at the other side (outgoing) or here (incoming)."""

    outgoing: bool
    """We placed it."""

    known: bool
    """Our operator had written to it, called it or verified it by then."""

    begun_ms: int
    """When it began, by our clock."""

    begun_sure: bool
    """Whether that clock had been set by something trustworthy."""

    answered: bool
    """Somebody took it."""

    talked_s: float | None = None
    """How long it lasted, once over; None: it was not answered, or nobody knows."""

    reason: str | None = None
    """Why it ended, a `model.call.EndReason`; None: it goes on."""

    detail: str = ""
    """A sentence where there is something to say."""

    quality: str = "none"
    """How it sounded, in a word."""

    missed: bool = False
    """They called, and our operator did not know of it in time."""

    seen: bool = True
    """Of a missed one: our operator has looked at it."""

    number: int = 0
    """Its place in the record; the store's to give."""


@dataclass(frozen=True)
class SaveCall(Operation[None]):
    """Note a call that begins, or how one that is noted goes on: when it began stays."""

    call: RecordedCall
    """Which."""


@dataclass(frozen=True)
class CutCalls(Operation[None]):
    """Note that calls which were going on are over, since this station stopped."""

    reason: str
    """Why."""

    running: tuple[str, ...]
    """Ids of those that go on."""


@dataclass(frozen=True)
class GetCalls(Operation[tuple[RecordedCall, ...]]):
    """Ask for calls that are over, latest first."""

    station: StationId | None
    """With whom; None: with anybody."""

    missed: bool
    """Missed ones only."""

    before: int | None
    """Only those of lower numbers; None: from the latest on."""

    limit: int
    """At most so many."""


@dataclass(frozen=True)
class CountMissed(Operation[int]):
    """Ask how many missed calls nobody has looked at."""


@dataclass(frozen=True)
class SeeCalls(Operation[int]):
    """Note that our operator has looked at missed calls; how many were new."""

    station: StationId | None
    """With whom; None: all."""

    up_to: int
    """The highest number among them."""
