"""Bytes that must never be seen in a log, a traceback or a repr."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Secret:
    """Key material; its repr tells the length alone."""

    value: bytes
    """The bytes."""

    def __repr__(self) -> str:
        return f"Secret({len(self.value)} bytes)"
