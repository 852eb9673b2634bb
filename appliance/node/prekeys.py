"""Our prekeys: which one others are told, which still open, and when one is destroyed.

What is sealed to a prekey can be opened by whoever has its secret half, at any time.  So a new one
is told every week, and a former one is destroyed when what was sealed to it has had the time to
arrive.  From then on nobody can open that: neither who has recorded it on its way and steals the
board later, nor we.  What arrives later still is not lost: we answer that it can't be opened, and
its author, who keeps the text, seals it anew.

What this does not protect: the messages that have arrived lie readable in this board's database,
and a board that is stolen has them, and opens whatever is sealed to the prekeys that it still has.
A backup has the prekeys of its day, for as long as somebody keeps it.  And a card or disk that
keeps former contents of what was overwritten may give them to a laboratory.

All times are seconds of being awake, so no clock that is wrong or jumps can destroy anything early.
A board that is on for an hour a week takes three years to its next prekey, and 17 until the former
is destroyed: what reaches it was on its way while it was off.  A carrier that was off in the
meantime may bring a record that is much older than its lifetime; that is sealed anew as well.

A prekey is on disk before a card names it, and counts as retired only when a card that names
another is on disk.  Wherever the process dies in between, the next start's card names the newest,
and what that takes the place of is retired then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from appliance.model.card import Prekey
from appliance.model.record import PREKEY_ID_SIZE
from appliance.model.secret import Secret
from appliance.node.carry import LIFETIME_S
from appliance.node.effects import Effect, Transact
from appliance.node.ports import Moment
from appliance.node.ports.prekeys import (
    SECRET_SIZE,
    DestroyPrekey,
    KeepPrekey,
    KeptPrekey,
    PrekeyOperation,
    RetirePrekey,
)
from appliance.protocol.prekeys import public_half

DAY_S: Final = 24 * 3600.0

ROTATE_AFTER_S: Final = 7 * DAY_S
"""How long others are told the same prekey.  Ours: each new one costs a card to everybody."""

UNHEARD_S: Final = 7 * DAY_S
"""For how long others may seal to a prekey after its time, since they have not heard of the next.
Ours: as long as until there would be yet another."""

GRACE_S: Final = LIFETIME_S + UNHEARD_S
"""How long a retired prekey opens what is still on its way: the longest time for which a message is
carried, for one that was sealed at the last moment."""

RETRY_S: Final = 600.0
"""After the disk has refused something."""


def new_prekey(random_bytes: Callable[[int], bytes], awake_s: float) -> KeptPrekey:
    """Return a prekey that nobody knows yet."""
    return KeptPrekey(random_bytes(PREKEY_ID_SIZE), Secret(random_bytes(SECRET_SIZE)), awake_s)


class Prekeys:
    """The ring of our prekeys.  One thing at a time is asked of the disk."""

    def __init__(self, kept: Iterable[KeptPrekey], random_bytes: Callable[[int], bytes]) -> None:
        """`kept` is what is on disk, with one in use; `random_bytes` must be the kernel's."""
        self._random_bytes = random_bytes
        self._kept = {one.id: one for one in kept}
        in_use = [one for one in self._kept.values() if one.retired_s is None]
        self.newest = max(in_use, key=lambda one: (one.created_s, one.id))
        """The one to be told to others ..."""

        self.current = public_half(self.newest.id, self.newest.secret)
        """... and the half of it that they get."""

        self._named: bytes | None = None
        """The prekey in our card on disk; None: not known yet."""

        self._tell_at: float | None = None
        """When to tell `current` again, if no card has it yet."""

        self._asked = False
        """The disk has not answered yet."""

        self._not_before = -math.inf
        """When the disk may be asked again."""

        self._next: float | None = None
        """When to wake up; None: to be computed anew."""

    def get(self, prekey_id: bytes) -> Secret | None:
        """Return what opens, or None: it is destroyed, or was never ours."""
        kept = self._kept.get(prekey_id)
        return None if kept is None else kept.secret

    def __len__(self) -> int:
        return len(self._kept)

    def named(self, prekey_id: bytes) -> None:
        """A card of ours with this prekey is on disk, and on its way to others."""
        self._named, self._next = prekey_id, None

    # -- Time, in seconds of being awake

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`."""
        if self._next is None:
            due = (self._retirement(), self._destruction()[0], self._rotation(), self._telling())
            self._next = math.inf if self._asked else max(min(due), self._not_before)
        return self._next

    def wakeup(self, moment: Moment, renewed: Callable[[Prekey], Sequence[Effect]]) -> list[Effect]:
        """Do what is due; `renewed` is called with a prekey that is on disk and to be told."""
        now, self._next = moment.awake_s, None
        if self._asked or now < self._not_before:
            return []
        if self._retirement() <= now:
            return [self._retire(self._outdated()[0], now)]
        at, oldest = self._destruction()
        if oldest is not None and at <= now:
            return [self._destroy(oldest, now)]
        if self._rotation() <= now:
            return [self._rotate(now, renewed)]
        if self._telling() <= now:
            # The first time, the card of the start is still on its way to the disk.
            again, self._tell_at = self._tell_at is not None, now + RETRY_S
            return [*renewed(self.current)] if again else []
        return []

    def _is_told(self) -> bool:
        return self._named == self.newest.id

    def _outdated(self) -> list[KeptPrekey]:
        """Those in use in whose place our card has another."""
        if not self._is_told():
            return []
        return [k for k in self._kept.values() if k.retired_s is None and k is not self.newest]

    def _retirement(self) -> float:
        return -math.inf if self._outdated() else math.inf

    def _destruction(self) -> tuple[float, KeptPrekey | None]:
        retired = [
            (k.retired_s + GRACE_S, k) for k in self._kept.values() if k.retired_s is not None
        ]
        return min(retired, key=lambda one: one[0], default=(math.inf, None))

    def _rotation(self) -> float:
        # Not while the last one is still to be told: there would be more and more of them.
        return self.newest.created_s + ROTATE_AFTER_S if self._is_told() else math.inf

    def _telling(self) -> float:
        if self._is_told():
            return math.inf
        return -math.inf if self._tell_at is None else self._tell_at

    # -- Steps

    def _retire(self, old: KeptPrekey, now: float) -> Effect:
        def done() -> None:
            self._kept[old.id] = replace(old, retired_s=now)

        return self._ask(RetirePrekey(old.id, now), now, done)

    def _destroy(self, old: KeptPrekey, now: float) -> Effect:
        # From now on, not from when the disk has done it: what we would still open by then, an
        # author who asks again later could not understand.
        del self._kept[old.id]

        def failed() -> None:
            self._kept = {old.id: old} | self._kept

        return self._ask(DestroyPrekey(old.id), now, lambda: None, failed=failed)

    def _rotate(self, now: float, renewed: Callable[[Prekey], Sequence[Effect]]) -> Effect:
        new = new_prekey(self._random_bytes, now)

        def done() -> Sequence[Effect]:
            self._kept[new.id] = self.newest = new
            self.current, self._tell_at = public_half(new.id, new.secret), now + RETRY_S
            return renewed(self.current)

        return self._ask(KeepPrekey(new), now, done)

    def _ask(
        self,
        operation: PrekeyOperation,
        now: float,
        done: Callable[[], Sequence[Effect] | None],
        *,
        failed: Callable[[], None] = lambda: None,
    ) -> Effect:
        self._asked = True

        def is_done(_: None) -> Sequence[Effect]:
            self._asked, self._next = False, None
            return done() or ()

        def not_done(_: str) -> Sequence[Effect]:
            self._asked, self._not_before, self._next = False, now + RETRY_S, None
            failed()
            return ()

        return Transact(operation, is_done, not_done)
