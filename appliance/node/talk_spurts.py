"""The spurts that there are now on all channels, from the claims that go around.

Which of several has the floor of a channel follows from the claims alone, so that all who have
heard the same ones agree, also after two halves of a mesh have met.  A spurt whose speaker says
nothing more for `SILENT_S` is over, and so is one that goes beyond its time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from appliance.model.identity import StationId
from appliance.node.beginnings import Now
from appliance.node.call_gate import CallGate
from appliance.protocol.talk import LIMIT_S, MAX_HOPS, MAX_NUMBER, REFRESH_S, Flooded

SILENT_S: Final = 2.5
"""After two claims that did not come, somebody else may speak."""

GRACE_S: Final = 2.0
"""How much longer than allowed a spurt seems to whoever hears its first claim early."""

OLD_MS: Final = 10 * 60 * 1000
"""A claim that is so old by two clocks that are both sure is a recording of one."""

MAX_SPURTS: Final = 64
"""On all channels ..."""

MAX_ON_CHANNEL: Final = 16
"""... and on one, where at most one is heard: of these the first in rank."""

MAX_SEEN: Final = 1024
"""Speakers of whom it is remembered which claim was the last."""

CLAIMS_BURST: Final = 64
CLAIM_EVERY_S: Final = 0.05
"""Claims that one neighbour may bring in a row, and seconds until it may bring one more: each costs
a signature to check."""


@dataclass
class Spurt:
    """One time of holding the key, as it is known here."""

    flood: Flooded
    """The newest claim."""

    began_at: float
    """When it began, by the number of its first claim that came."""

    heard_at: float
    """When the newest came."""

    vias: dict[StationId, tuple[int, int]] = field(default_factory=dict)
    """Which neighbours have told of it: number of the claim, and hops that it had come."""

    @property
    def id(self) -> bytes:
        """Its name."""
        return self.flood.claim.spurt

    @property
    def speaker(self) -> StationId:
        """Whose it is."""
        return self.flood.claim.speaker

    def ends_at(self, own: StationId) -> float:
        """Say when it is over if nothing more is heard of it."""
        if self.speaker == own:
            return self.began_at + LIMIT_S
        return min(self.heard_at + SILENT_S, self.began_at + LIMIT_S + GRACE_S)

    def hops(self, own: StationId) -> int:
        """Say how far from the speaker we are."""
        if self.speaker == own:
            return 0
        return min(self.tellers().values(), default=MAX_HOPS - 1) + 1

    def tellers(self) -> dict[StationId, int]:
        """Return the neighbours that still tell of it, and how far from the speaker they are."""
        oldest = self.flood.claim.number - 2
        return {peer: hops for peer, (number, hops) in self.vias.items() if number >= oldest}


class Spurts:
    """All that are known."""

    def __init__(self, own: StationId, *, is_stranger: Callable[[StationId], bool]) -> None:
        """`is_stranger`: our operator has nothing to do with this station."""
        self._own, self._is_stranger = own, is_stranger
        self._spurts: dict[bytes, Spurt] = {}
        self._seen: OrderedDict[tuple[StationId, bytes], tuple[int, int]] = OrderedDict()
        """By speaker and start: the count of the last spurt and the number of its last claim."""
        self._gate = CallGate(burst=CLAIMS_BURST, refill_s=CLAIM_EVERY_S)

    def __iter__(self) -> Iterator[Spurt]:
        return iter(list(self._spurts.values()))

    def get(self, spurt: bytes) -> Spurt | None:
        """Return the one with this name."""
        return self._spurts.get(spurt)

    def on(self, channel: bytes) -> list[Spurt]:
        """Return those of a channel, the one that has the floor first."""
        here = [one for one in self._spurts.values() if one.flood.claim.channel == channel]
        return sorted(here, key=lambda one: one.flood.claim.rank)

    def own(self, flood: Flooded, now: float) -> None:
        """We claim, or give back, a floor ourselves."""
        self._keep(flood, now)

    def take(self, peer: StationId, flood: Flooded, now: Now) -> bool:
        """Take a claim that a neighbour has passed on; tells whether it is good and new here."""
        claim = flood.claim
        known = self._spurts.get(claim.spurt)
        if known is not None and known.flood.body == flood.body:
            known.vias[peer] = (claim.number, flood.hops)
        key = (claim.speaker, claim.boot)
        if (claim.count, claim.number) <= self._seen.get(key, (-1, -1)):
            return False
        if claim.speaker == self._own or not self._gate.allows(peer, now.monotonic):
            return False
        both_sure = claim.sure and now.moment.sure
        if both_sure and claim.wall_ms < now.moment.wall_ms - OLD_MS:
            return False
        if not flood.is_genuine() or not self._has_room(flood):
            return False
        self._keep(flood, now.monotonic)
        spurt = self._spurts.get(claim.spurt)
        if spurt is not None:
            spurt.vias[peer] = (claim.number, flood.hops)
        return True

    def _keep(self, flood: Flooded, now: float) -> None:
        claim = flood.claim
        key = (claim.speaker, claim.boot)
        self._seen.pop(key, None)
        self._seen[key] = (claim.count, claim.number if claim.held else MAX_NUMBER)
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        for one in self:
            # Nobody speaks twice at a time.
            if one.speaker == claim.speaker and one.id != claim.spurt:
                del self._spurts[one.id]
        known = self._spurts.get(claim.spurt)
        if not claim.held:
            self._spurts.pop(claim.spurt, None)
        elif known is None:
            began_at = now - claim.number * REFRESH_S
            self._spurts[claim.spurt] = Spurt(flood, began_at, now)
        else:
            known.flood, known.heard_at = flood, now

    def _has_room(self, flood: Flooded) -> bool:
        """Make room for one more if that is right; keys are free, so strangers make it first."""
        claim = flood.claim
        if not claim.held or claim.spurt in self._spurts:
            return True
        here = [one for one in self.on(claim.channel) if one.speaker != self._own]
        if len(here) >= MAX_ON_CHANNEL:
            if claim.rank > here[-1].flood.claim.rank:
                return False
            del self._spurts[here[-1].id]
        if len(self._spurts) >= MAX_SPURTS:
            strange = [one for one in self if self._is_stranger(one.speaker)]
            if not strange or self._is_stranger(claim.speaker):
                return False
            del self._spurts[strange[-1].id]
        return True

    def forget_peer(self, peer: StationId) -> None:
        """A neighbour is gone."""
        for one in self._spurts.values():
            one.vias.pop(peer, None)

    def next_wakeup(self) -> float | None:
        """Say when to call `wakeup`."""
        return min((one.ends_at(self._own) for one in self._spurts.values()), default=None)

    def wakeup(self, now: float) -> None:
        """Forget those that are over; our own is ended by whoever holds our key."""
        for one in self:
            if one.speaker != self._own and one.ends_at(self._own) <= now:
                if now >= one.began_at + LIMIT_S:
                    claim = one.flood.claim
                    self._seen[claim.speaker, claim.boot] = (claim.count, MAX_NUMBER)
                del self._spurts[one.id]
