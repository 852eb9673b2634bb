"""The shape of the local API that is about comparing keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

VerificationState: TypeAlias = Literal[
    "waiting", "compare", "verified", "mismatch", "abandoned", "refused"
]


@dataclass(frozen=True)
class Verification:
    """One comparison of two stations by their operators."""

    id: str
    """Unique at this station."""

    station: str
    """Station id of the other side."""

    ours: bool
    """We began it."""

    state: VerificationState
    """compare: both operators should see the same digits now."""

    digits: str | None
    """Six digits, in state ``compare`` and after."""

    text: str
    """One sentence for the operator."""
