"""The shapes of the local API that are about records handed on by file, as they were signed.

A record is what stations sign and send each other; here it is base64 (RFC 4648, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

MAX_RECORDS: Final = 64
"""In one request or answer."""

MAX_RECORDS_BYTES: Final = 512 * 1024
"""Of the body of a request, and about of an answer."""

RecordKindName: TypeAlias = Literal["card", "message", "receipt", "group", "request", "unknown"]
"""``card``: of a station; ``group``: who belongs to one; ``request``: to seal a message again;
``unknown``: it could not be read."""

HandedOutcome: TypeAlias = Literal[
    "new",
    "carried",
    "known",
    "cannot-open",
    "too-old",
    "no-room",
    "damaged",
    "not-now",
]
"""``new``: for us, and stored now; ``carried``: for others, and now carried for them;
``cannot-open``: for us, but sealed to a key that is gone, so its author is asked to seal it again;
``too-old``: its author, or whoever carries it, has given it up by then; ``no-room``: no more is
carried of such authors; ``damaged``: it is no record, its signature is wrong, or a later version
made it; ``not-now``: it could not be stored, so bring it again."""


@dataclass(frozen=True)
class HandedRecord:
    """A record on its way by hand."""

    record: str
    """In base64."""

    age_s: int = 0
    """For how long it has been carried."""


@dataclass(frozen=True)
class HandRecords:
    """POST /v1/records."""

    records: tuple[HandedRecord, ...]
    """At most 64."""


@dataclass(frozen=True)
class RecordOutcome:
    """What became of one of them."""

    kind: RecordKindName
    """What it is."""

    outcome: HandedOutcome
    """What became of it."""


@dataclass(frozen=True)
class HandedIn:
    """What POST /v1/records answers: what is ``new`` or ``carried`` is on disk."""

    outcomes: tuple[RecordOutcome, ...]
    """In the order of the request."""


@dataclass(frozen=True)
class HandedOn:
    """GET /v1/records: a part of what this station has for others."""

    records: tuple[HandedRecord, ...]
    """Cards of stations first."""

    next: str | None
    """Give it as ?after= to go on; None: that was all."""


@dataclass(frozen=True)
class FindRecords:
    """POST /v1/records/find."""

    ids: tuple[str, ...]
    """Of messages; at most 64."""


@dataclass(frozen=True)
class FoundRecords:
    """What POST /v1/records/find answers."""

    records: tuple[str | None, ...]
    """Those of the first ids, at least of one; None: there is none, as of a notice."""


class RecordBackend(Protocol):
    """What hands records on."""

    async def hand_in(self, brought: HandRecords) -> HandedIn:
        """Take records as if a neighbour had carried them here."""

    async def handed_on(self, after: str | None) -> HandedOn:
        """List a part of what this station has for others."""

    async def find(self, ids: tuple[str, ...]) -> FoundRecords:
        """Find messages as they were signed."""
