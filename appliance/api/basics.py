"""Shapes of the local API that others are made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WallTime:
    """A moment on some station's wall clock."""

    ms: int
    """Milliseconds since 1970, UTC."""

    sure: bool
    """False: the clock behind it had not been set by anything trustworthy."""


@dataclass(frozen=True)
class Problem:
    """Something that the operator should know and can do something about."""

    code: str
    """For programs, such as ``disk-full``."""

    text: str
    """What happened, in a sentence."""

    fix: str
    """What to do, in a sentence."""
