"""How often somebody may ring here or bring cards: a small allowance that fills up again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from appliance.model.identity import StationId

BURST: Final = 8
"""Calls in a row that are let through: an anxious operator who redials."""

REFILL_S: Final = 5.0
"""Seconds until one more is."""

MAX_PEERS: Final = 256
"""Peers that are remembered; the one that has been quiet longest is forgotten first."""


class CallGate:
    """A token bucket for every peer."""

    def __init__(self, *, burst: int = BURST, refill_s: float = REFILL_S) -> None:
        """Let `burst` through in a row, and one more every `refill_s`."""
        self._burst, self._refill_s = float(burst), refill_s
        self._peers: OrderedDict[StationId, tuple[float, float]] = OrderedDict()

    def allows(self, peer: StationId, now: float) -> bool:
        """Tell whether `peer` may ring now, and count it if so."""
        tokens, since = self._peers.pop(peer, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) / self._refill_s)
        allowed = tokens >= 1.0
        self._peers[peer] = (tokens - 1.0 if allowed else tokens, now)
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        return allowed


class StrangersGate(CallGate):
    """The same, but all of whom nothing is known share one bucket: keys are free to make."""

    def __init__(
        self,
        own: StationId,
        is_stranger: Callable[[StationId], bool],
        *,
        burst: int,
        refill_s: float,
    ) -> None:
        """`own`, our own id, stands for all strangers: it never comes here as anybody's."""
        super().__init__(burst=burst, refill_s=refill_s)
        self._own, self._is_stranger = own, is_stranger

    def allows(self, peer: StationId, now: float) -> bool:
        """See `CallGate.allows`."""
        return super().allows(self._own if self._is_stranger(peer) else peer, now)
