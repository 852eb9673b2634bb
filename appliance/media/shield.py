"""Against floods: when more comes than is read, the kernel sorts out what is not the known source.

What a flood brings beyond a beat's budget stays in the socket's buffer, and there most of what is
genuine would find no room.  The filter is only there during a flood, and is taken off again from
time to time and when nothing genuine comes: a source may begin anew with another number.
"""

from __future__ import annotations

from math import inf
from typing import Final, Protocol

HOLD_S: Final = 10.0
"""For how long a filter stays before it is seen whether the flood goes on."""

UNHEARD_S: Final = 0.5
"""Without anything genuine for this long, the filter might keep it out."""

AGAIN_S: Final = 1.0
"""How long it stays off then."""


class Filtered(Protocol):
    """A socket that can be told whom to hear."""

    def hear_only(self, ssrc: int) -> None: ...

    def hear_all(self) -> None: ...

    @property
    def dropped(self) -> int: ...


class Shield:
    """One socket's."""

    def __init__(self, sock: Filtered) -> None:
        self._socket = sock
        self._raised_at: float | None = None
        self._not_before = 0.0
        self.dropped = 0
        """Datagrams that the kernel dropped while the filter was there."""
        self._dropped_before = 0

    def beat(self, now: float, *, flooded: bool, source: int | None, heard_at: float) -> None:
        """Each 20 ms: ``flooded``: more came than was read; ``source``: who is genuine, and
        ``heard_at`` when that was last."""
        if self._raised_at is None:
            if flooded and source is not None and now >= self._not_before:
                self._raise(source, now)
            return
        unheard = now - max(heard_at, self._raised_at) > UNHEARD_S
        if unheard or now - self._raised_at > HOLD_S:
            self._not_before = now + AGAIN_S if unheard else 0.0
            self.lower()

    def _raise(self, source: int, now: float) -> None:
        self._dropped_before = self._socket.dropped
        try:
            self._socket.hear_only(source)
        except OSError:
            self._not_before = inf  # This kernel has no filters; then there is just no shield.
        else:
            self._raised_at = now

    def lower(self) -> None:
        """Take the filter off."""
        if self._raised_at is not None:
            self._socket.hear_all()
            self.dropped, self._raised_at = self.total, None

    @property
    def total(self) -> int:
        """`dropped`, with what the filter that is there now has dropped."""
        if self._raised_at is None:
            return self.dropped
        return self.dropped + self._socket.dropped - self._dropped_before
