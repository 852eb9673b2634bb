"""A conference as its operators know it: who is in it, and who mixes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.model.identity import StationId

MAX_MEMBERS: Final = 16
"""People in a conference, whoever mixes among them."""


class MemberState(StrEnum):
    """Where a member is."""

    IN = "in"
    """In the conference."""

    CALLING = "calling"
    """It rings there, or is about to."""

    LOST = "lost"
    """Was in it, and can't be reached just now."""


@dataclass(frozen=True)
class Member:
    """One station of a conference."""

    station: StationId
    """Which."""

    number: int
    """The order of joining: whoever has the lowest of those that are left mixes next."""

    state: MemberState
    """Where it is."""

    talking: bool = False
    """Its voice is heard just now."""


@dataclass(frozen=True)
class Conference:
    """A conference at one moment."""

    id: str
    """32 hexadecimal digits, known to its members alone."""

    focus: StationId
    """Who mixes: that station hears everything in the clear, whoever speaks."""

    members: tuple[Member, ...]
    """All of them, ourselves among them, by number."""

    searching: bool = False
    """Nobody mixes just now: another one is about to take over."""
