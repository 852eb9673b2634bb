"""Shapes of the local API that are about conferences: calls of up to 16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ConferenceMember:
    """One station of a conference."""

    station: str
    """Station id; ours among them."""

    name: str
    """Its name as of now."""

    state: str
    """``in``, ``calling`` while it rings there, ``lost`` while it is looked for."""

    talking: bool
    """Its voice is heard just now."""


@dataclass(frozen=True)
class ConferenceInfo:
    """The conference that a call is part of."""

    id: str
    """The same at all of its stations."""

    focus: str
    """Id of the station that mixes: it hears everything in the clear."""

    members: tuple[ConferenceMember, ...]
    """At most 16, in the order of joining: it is also that of taking over."""

    searching: bool
    """Nobody mixes just now; another one is about to."""


@dataclass(frozen=True)
class AddToCall:
    """POST /v1/calls/ID/add."""

    to: str
    """A station, as in `PlaceCall`."""


class ConferenceBackend(Protocol):
    """What the daemon does about conferences."""

    async def add(self, call: str, to: str) -> None:
        """Have another station join a call."""
