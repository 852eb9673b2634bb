"""The station's own Lamport clock and what it stamps on records."""

from __future__ import annotations

from typing import Final

from appliance.model.record import MAX_LAMPORT, Certainty, Stamp
from appliance.node.ports import Moment

MAX_JUMP: Final = 1 << 20
"""How far one record can push the counter, so that a liar can't use it up."""

STEP: Final = 1 << 10
"""How far one record pushes it that may not leap: in a year of records without a pause, none has
used it up."""

ORDER_BITS: Final = 16
"""Low bits of an order: from the record's id, so that all stations break ties alike."""

_MAX_ORDERED: Final = (1 << 62 - ORDER_BITS) - 1


class LamportClock:
    """Counts so that whatever is written after something was seen counts higher (Lamport 1978)."""

    def __init__(self, boot: bytes, highest: int = 0) -> None:
        """`highest` is the highest order in the store."""
        self._boot = boot
        self._counter = highest >> ORDER_BITS

    def leaps(self, lamport: int) -> bool:
        """Tell whether somebody's counter is more than a step ahead of ours."""
        return lamport > self._counter + STEP

    def witness(self, lamport: int, *, most: int = MAX_JUMP) -> int:
        """Take somebody's counter; return the part of it that is believed, `most` ahead of ours.

        One that is too high to be true moves ours only when `accept` is told that its record was
        kept: else one record, sent again and again, would use the counter up.
        """
        believed = min(lamport, self._counter + most, MAX_LAMPORT - 1)
        if believed == lamport:
            self.accept(believed)
        return believed

    def accept(self, believed: int) -> None:
        """Count from here: a record in this place was kept."""
        self._counter = max(self._counter, believed)

    def stamp(self, moment: Moment, *, uptime_s: float) -> Stamp:
        """Make the stamp of a record that is written now."""
        self._counter += 1
        return Stamp(
            lamport=self._counter,
            boot=self._boot,
            uptime_ms=max(int(uptime_s * 1000), 0),
            wall_ms=min(max(moment.wall_ms, 0), (1 << 53) - 1),
            certainty=_certainty(moment),
        )


def _certainty(moment: Moment) -> Certainty:
    if not moment.sure:
        return Certainty.UNSET
    return Certainty.PEERS if moment.agreed else Certainty.SYNCED


def order_of(lamport: int, record_id: bytes) -> int:
    """Return what sorts a record in its conversation."""
    tie = int.from_bytes(record_id[: ORDER_BITS // 8], "big")
    return min(lamport, _MAX_ORDERED) << ORDER_BITS | tie
