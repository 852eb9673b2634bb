"""What handing records on by file needs from a store (`ports` says how operations work)."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.node.ports import Operation


@dataclass(frozen=True)
class Handed:
    """A record that is carried, or waits for somebody."""

    number: int
    """Its place; those that come later have higher ones."""

    age_s: float
    """For how long it has been carried."""

    raw: bytes
    """The record, encoded."""


@dataclass(frozen=True)
class GetHanded(Operation[tuple[Handed, ...]]):
    """Ask for all that is carried or waits for somebody, a part at a time."""

    after: int
    """Only those with higher numbers; 0: from the first."""

    limit: int
    """At most so many, and one at least if there is one."""

    max_bytes: int
    """Of all of them."""

    awake_s: float
    """Now; what has expired by then is left out."""


@dataclass(frozen=True)
class GetRaw(Operation[tuple[bytes | None, ...]]):
    """Ask for records as they were signed; None: not here.

    Those of the first ids, and at least of one.
    """

    records: tuple[bytes, ...]
    """Ids."""

    max_bytes: int
    """Of all of them."""
