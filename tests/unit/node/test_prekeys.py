"""The ring of prekeys over years: what opens when, what a failing disk or a crash changes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from appliance.model.card import Prekey
from appliance.model.identity import StationKey
from appliance.model.record import RecordKind
from appliance.node.carry import LIFETIME_S
from appliance.node.effects import Effect, Transact
from appliance.node.ports import Moment
from appliance.node.ports.prekeys import (
    MAX_KEPT,
    DestroyPrekey,
    KeepPrekey,
    KeptPrekey,
    RetirePrekey,
)
from appliance.node.prekeys import (
    DAY_S,
    GRACE_S,
    RETRY_S,
    ROTATE_AFTER_S,
    Prekeys,
    new_prekey,
)
from appliance.protocol.sealing import open_sealed, seal


@dataclass
class Board:
    """A ring with its disk, and a card that is told when the disk takes it."""

    rng: random.Random = field(default_factory=lambda: random.Random(5))
    disk: dict[bytes, KeptPrekey] = field(default_factory=dict)
    card: bytes | None = None
    full: bool = False
    card_full: bool = False
    wall_ms: int = 0
    told: list[tuple[float, bytes]] = field(default_factory=list)
    now: float = 0.0

    def start(self) -> None:
        if not self.disk:
            new = new_prekey(self.rng.randbytes, self.now)
            self.disk[new.id] = new
        self.ring = Prekeys(self.disk.values(), self.rng.randbytes)
        self.publish(self.ring.current)

    def publish(self, prekey: Prekey) -> Sequence[Effect]:
        assert prekey.id in self.disk, "told before it is on disk"
        if not self.card_full:
            self.card = prekey.id
            self.told.append((self.now, prekey.id))
            self.ring.named(prekey.id)
        return ()

    def step(self) -> Effect | None:
        moment = Moment(self.wall_ms, True, self.now)
        effects = self.ring.wakeup(moment, self.publish)
        assert len(effects) <= 1
        return effects[0] if effects else None

    def carry_out(self, effect: Effect | None) -> None:
        if effect is None:
            return
        assert isinstance(effect, Transact)
        if self.full:
            effect.failed("full")
        else:
            self.write(effect.operation)
            effect.then(None)

    def write(self, operation: Any) -> None:
        match operation:
            case KeepPrekey(prekey):
                self.disk[prekey.id] = prekey
            case RetirePrekey(prekey_id, at):
                self.disk[prekey_id] = replace(self.disk[prekey_id], retired_s=at)
            case DestroyPrekey(prekey_id):
                self.disk.pop(prekey_id, None)

    def run(self, seconds: float) -> None:
        until, steps = self.now + seconds, 0
        while (at := self.ring.next_wakeup()) <= until:
            self.now = max(self.now, at)
            self.carry_out(self.step())
            steps += 1
            assert steps < 10_000, "it spins"
        self.now = until


def board() -> Board:
    made = Board()
    made.start()
    return made


def test_the_grace_is_at_least_as_long_as_a_message_is_carried() -> None:
    assert GRACE_S >= LIFETIME_S + ROTATE_AFTER_S


def test_prekeys_rotate_and_open_until_what_is_on_its_way_had_time_to_arrive() -> None:
    b = board()
    sizes = set()
    for _ in range(200):
        b.run(DAY_S)
        sizes.add(len(b.ring))
        assert b.ring.current.id == b.card
        assert set(b.disk) == {prekey for _, prekey in b.told if b.ring.get(prekey)}
        for (_, prekey), (until, _) in zip(b.told, b.told[1:], strict=False):
            opens = b.ring.get(prekey) is not None
            assert opens == (b.now < until + GRACE_S)
    weeks = [later - earlier for (earlier, _), (later, _) in zip(b.told, b.told[1:], strict=False)]
    assert set(weeks) == {ROTATE_AFTER_S}
    assert max(sizes) <= 8 < MAX_KEPT
    assert len({prekey for _, prekey in b.told}) == len(b.told)


def test_what_was_sealed_to_a_destroyed_prekey_is_opened_by_nobody_who_steals_the_board() -> None:
    b, author, own = board(), StationKey.generate(), StationKey.generate()
    prekey = b.ring.current
    sealed = seal(
        b"secret", author=author.id, recipient=own.id, kind=RecordKind.MESSAGE, prekey=prekey
    )

    def opened() -> list[bytes]:
        secrets = [one.secret for one in b.disk.values() if one.id == prekey.id]
        return [
            open_sealed(
                sealed,
                author=author.id,
                recipient=own.id,
                kind=RecordKind.MESSAGE,
                prekey_id=prekey.id,
                secret=secret,
            )
            for secret in secrets
        ]

    b.run(ROTATE_AFTER_S + GRACE_S - 1)
    assert opened() == [b"secret"]
    b.run(2)
    assert opened() == []
    assert b.ring.get(prekey.id) is None


def test_a_wall_clock_that_jumps_changes_nothing() -> None:
    one, other = board(), board()
    for day in range(60):
        other.wall_ms = (day * 7_919_000_000_000) % (1 << 52)
        for each in (one, other):
            each.run(DAY_S)
    assert one.told == other.told
    assert one.disk == other.disk


def test_an_hour_a_week_rotates_by_the_hours() -> None:
    b = board()
    for _ in range(167):
        b.run(3600)
        b.start()
    assert {prekey for _, prekey in b.told} == {b.ring.current.id}
    for _ in range(2):
        b.run(3600)
        b.start()
    assert len({prekey for _, prekey in b.told}) == 2


def test_a_full_disk_delays_and_loses_nothing() -> None:
    b = board()
    first = b.ring.current.id
    b.full = True
    b.run(ROTATE_AFTER_S + 5 * RETRY_S)
    assert (b.ring.current.id, set(b.disk)) == (first, {first})
    b.full, b.card_full = False, True
    b.run(3 * ROTATE_AFTER_S)
    # A new one is on disk, and no further, since no card says so; the former is still in use.
    assert len(b.disk) == 2
    assert b.card == first
    assert b.disk[first].retired_s is None
    b.card_full = False
    b.run(RETRY_S)
    assert b.card == b.ring.current.id != first
    assert b.disk[first].retired_s == b.told[-2][0]
    b.full = True
    b.run(GRACE_S)
    assert b.ring.get(first) is not None or first in b.disk
    b.full = False
    b.run(RETRY_S)
    assert first not in b.disk


def test_a_crash_at_any_point_leaves_what_was_told_and_loses_no_prekey_too_early() -> None:
    rng = random.Random(11)
    for _ in range(8):
        b = board()
        for _ in range(300):
            b.now = max(b.now, min(b.ring.next_wakeup(), b.now + DAY_S))
            effect = b.step()
            fate = rng.random()
            if isinstance(effect, Transact) and fate < 0.3:
                if fate < 0.15:  # it was on disk, and nobody heard
                    b.write(effect.operation)
                b.start()
            else:
                b.carry_out(effect)
            last_told = {prekey: at for at, prekey in b.told}
            for at, prekey in b.told:
                successor = min((t for t, p in b.told if t > at and p != prekey), default=math.inf)
                if b.now < min(successor, last_told[prekey]) + GRACE_S:
                    assert prekey in b.disk
        assert len(b.disk) <= 9
        b.run(RETRY_S)
        assert b.card == b.ring.current.id


def test_the_ring_needs_one_that_is_in_use() -> None:
    kept = replace(new_prekey(random.Random(1).randbytes, 0.0), retired_s=5.0)
    with pytest.raises(ValueError, match="empty"):
        Prekeys([kept], random.Random(1).randbytes)
    with pytest.raises(ValueError, match="size"):
        replace(kept, id=b"short")
