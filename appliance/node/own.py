"""This station's own card and the prekeys that it names, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.model.card import Prekey
from appliance.model.record import Record, Stamp
from appliance.node.beginnings import Identity, Memory, Now
from appliance.node.effects import Effect
from appliance.node.own_card import OwnCard
from appliance.node.usage import SessionInfo


class Own:
    """What this station tells others of itself."""

    def __init__(
        self,
        identity: Identity,
        memory: Memory,
        *,
        stamp: Callable[[Now], Stamp],
        published: Callable[[bytes], Sequence[Effect]],
    ) -> None:
        """`published` is called with each card that is on disk, and returns who is told."""
        self.prekeys = identity.prekeys
        """What opens what others seal to us."""

        self._boot, self._stamp, self._told = identity.boot, stamp, published
        self.card = OwnCard(
            identity.key,
            self.prekeys.current,
            memory.card,
            published=self._published,
            restored=memory.restored,
        )
        """The card."""

    def start(self, now: Now) -> list[Effect]:
        """Write a card for this start."""
        return self.card.start(lambda: self._stamp(now))

    def set_name(
        self, name: str, now: Now, *, done: Callable[[], None], failed: Callable[[str], None]
    ) -> list[Effect]:
        """Take another name; raises IdentityError when it is none."""
        return self.card.set_name(name, lambda: self._stamp(now), done=done, failed=failed)

    def came_back(self, record: Record, now: Now) -> list[Effect]:
        """Take a card of ours that somebody else has."""
        return self.card.came_back(record, lambda: self._stamp(now))

    def session_opened(self, info: SessionInfo, now: Now) -> list[Effect]:
        """Somebody has proved our own key: ourselves, or a copy."""
        if info.boot == self._boot:
            return []
        return self.card.met_copy(info.boot, info.remote_host, lambda: self._stamp(now))

    def _published(self, raw: bytes) -> Sequence[Effect]:
        names = self.card.names
        if names is not None:
            self.prekeys.named(names)
        return self._told(raw)

    # -- Time, in monotonic seconds

    def next_wakeup(self, now: Now) -> float:
        """Say when to call `wakeup`."""
        return min(
            self.prekeys.next_wakeup() + now.monotonic - now.moment.awake_s,
            self.card.next_wakeup() + now.monotonic - now.uptime_s,
        )

    def wakeup(self, now: Now) -> list[Effect]:
        """Do what is due."""

        def renewed(prekey: Prekey) -> Sequence[Effect]:
            return self.card.use(prekey, lambda: self._stamp(now))

        effects = self.prekeys.wakeup(now.moment, renewed)
        return [*effects, *self.card.wakeup(now.uptime_s, lambda: self._stamp(now))]
