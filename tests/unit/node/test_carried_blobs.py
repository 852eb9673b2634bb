"""Who gets room for small blobs that are carried for others."""

from __future__ import annotations

from random import Random

import pytest

from appliance.model.cargo import Tier
from appliance.model.identity import StationId
from appliance.model.record import Precedence
from appliance.node import carried_blobs as module
from appliance.node.carried_blobs import MAX_SIZE, CarriedBlob, CarriedBlobs

ANA, EVE = StationId(b"a" * 32), StationId(b"e" * 32)


def blob(
    number: int,
    size: int = 100,
    tier: Tier = Tier.NEW,
    precedence: Precedence = Precedence.ROUTINE,
    by: StationId = ANA,
) -> CarriedBlob:
    return CarriedBlob(number.to_bytes(32, "big"), size, tier, precedence, by, float(number))


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 4000)


def held(carried: CarriedBlobs, numbers: range) -> list[int]:
    return [number for number in numbers if number.to_bytes(32, "big") in carried]


def test_only_small_ones_are_carried() -> None:
    carried = CarriedBlobs()
    assert carried.take(blob(1, MAX_SIZE + 1)) is None
    assert carried.take(blob(2, 0)) is None
    assert carried.take(blob(3, 10)) == ()
    assert carried.take(blob(3, 10)) == ()
    assert carried.total == 10


def test_a_flood_of_strangers_takes_its_share_alone() -> None:
    carried = CarriedBlobs()
    for number in range(10):
        carried.take(blob(number, tier=Tier.KNOWN))
    for number in range(100, 300):
        carried.take(blob(number, by=EVE, precedence=Precedence.EMERGENCY))
    assert held(carried, range(10)) == list(range(10))
    assert len(held(carried, range(100, 300))) == 5
    for number in range(300, 320):
        assert carried.take(blob(number, by=ANA)) is not None
    assert len(held(carried, range(300, 320))) == 5
    for number in range(10, 100):
        carried.take(blob(number, tier=Tier.KNOWN, precedence=Precedence.PRIORITY))
    assert carried.total <= 4000
    assert len(held(carried, range(10, 100))) >= 38


def test_the_urgent_stays_and_the_old_goes() -> None:
    carried = CarriedBlobs()
    for number in range(40):
        precedence = Precedence.PRIORITY if number < 5 else Precedence.ROUTINE
        carried.take(blob(number, tier=Tier.VERIFIED, precedence=precedence))
    assert carried.take(blob(40, tier=Tier.VERIFIED)) == ((5).to_bytes(32, "big"),)
    assert carried.take(blob(1000, tier=Tier.KNOWN)) is None
    assert held(carried, range(6)) == [0, 1, 2, 3, 4]
    assert len(carried.make_room(1000)) == 10
    assert held(carried, range(6)) == [0, 1, 2, 3, 4]
    carried.give_up((0).to_bytes(32, "big"))
    assert held(carried, range(2)) == [1]


def test_another_size_under_the_same_root_is_counted() -> None:
    carried = CarriedBlobs()
    for number in range(20):
        carried.take(blob(number, 1, precedence=Precedence.PRIORITY))
        carried.take(blob(number, 200))
    assert len(held(carried, range(20))) == 2
    assert carried.total == 400


@pytest.mark.parametrize("seed", range(5))
def test_bounds_hold_whatever_comes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNT", 30)
    rng = Random(seed)
    carried = CarriedBlobs()
    taken: dict[bytes, CarriedBlob] = {}
    for _ in range(500):
        each = blob(
            rng.randrange(200),
            rng.randint(1, 900),
            rng.choice([Tier.NEW, Tier.KNOWN, Tier.VERIFIED]),
            rng.choice(list(Precedence)),
            rng.choice([ANA, EVE]),
        )
        dropped = carried.take(each)
        if dropped is not None:
            taken[each.root] = each
            for root in dropped:
                del taken[root]
            assert each.root in carried
        else:
            taken.pop(each.root, None)
            assert each.root not in carried
        assert all(root in carried for root in taken)
        assert carried.total <= 4000
        strangers = [b for b in carried._all.values() if b.tier is Tier.NEW]
        assert sum(b.size for b in strangers) <= 1000
        assert len(carried._all) <= 30
    assert carried.total == sum(each.size for each in carried._all.values())
    again = CarriedBlobs()
    for each in carried._all.values():
        again.take(each)
    assert again.roots() == carried.roots()
