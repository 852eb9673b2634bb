"""An ordered set of ids: what a plain set says, and fingerprints of ranges."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest

from appliance.protocol.id_set import END, FIRST, IdSet, count_of


def numbered(number: int) -> bytes:
    return number.to_bytes(32)


def hashed(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(32) for _ in range(count)]


def expected(ids: Iterable[bytes], lower: bytes, upper: bytes, salt: bytes = b"") -> bytes:
    inside = [record for record in ids if lower <= record < upper]
    total = sum(int.from_bytes(record) for record in inside) % (1 << 256)
    return hashlib.sha256(salt + total.to_bytes(32) + len(inside).to_bytes(8)).digest()[:16]


def check(ids: IdSet, model: set[bytes], rng: random.Random) -> None:
    ordered = sorted(model)
    assert len(ids) == len(model)
    assert list(ids) == ordered
    cuts = sorted([*(rng.randbytes(rng.randrange(1, 33)) for _ in range(6)), *ordered[::97]])
    bounds = [FIRST, *cuts, END]
    for lower, upper in (*pairwise(bounds), (FIRST, END), (cuts[1], cuts[-2])):
        inside = [record for record in ordered if lower <= record < upper]
        assert ids.ids(lower, upper) == inside
        assert ids.count(lower, upper) == len(inside)
        assert ids.fingerprint(lower, upper) == expected(model, lower, upper)
    weights = ids.weights(bounds)
    assert [count_of(weight) for weight in weights] == [
        ids.count(lower, upper) for lower, upper in pairwise(bounds)
    ]


@pytest.mark.parametrize("spread", ["hashes", "one beside the other", "two heaps"])
def test_it_is_what_a_set_of_them_is_while_it_grows_and_shrinks(spread: str) -> None:
    rng = random.Random(spread)
    some = {
        "hashes": hashed(1, 3000),
        "one beside the other": [numbered(number) for number in range(3000)],
        "two heaps": [numbered((number & 1) << 255 | number) for number in range(3000)],
    }[spread]
    ids, model = IdSet(some[:100]), set(some[:100])
    for until in (2.0, 0.9, 0.05, 0.5, 0.0):
        for record in some:
            if rng.random() < until:
                ids.add(record)
                model.add(record)
            else:
                ids.discard(record)
                model.discard(record)
            assert (record in ids) == (record in model)
        check(ids, model, rng)


@pytest.mark.parametrize("count", [0, 1, 383, 384, 385, 3000])
def test_it_is_made_at_once_of_ids_in_any_order_and_more_than_once(count: int) -> None:
    some = hashed(count, count)
    ids = IdSet(record for record in [*some, *reversed(some)])
    assert len(ids) == count
    check(ids, set(some), random.Random(count))


def test_a_salt_changes_every_fingerprint() -> None:
    some = hashed(2, 10)
    ids = IdSet(some)
    assert ids.fingerprint(salt=b"salt") == expected(some, FIRST, END, b"salt")
    assert ids.fingerprint(salt=b"salt") != ids.fingerprint()


def test_equal_sums_of_other_numbers_of_ids_are_told_apart() -> None:
    assert IdSet([numbered(3)]).fingerprint() != IdSet([numbered(1), numbered(2)]).fingerprint()


@pytest.mark.parametrize("wrong", [b"", b"\0", b"\0" * 31, b"\0" * 33])
def test_what_is_no_id_is_neither_taken_nor_found(wrong: bytes) -> None:
    ids = IdSet([numbered(0)])
    with pytest.raises(ValueError, match="32 bytes"):
        ids.add(wrong)
    with pytest.raises(ValueError, match="32 bytes"):
        IdSet([wrong])
    ids.discard(wrong)
    assert wrong not in ids
    assert list(ids) == [numbered(0)]
    assert wrong not in IdSet()


def test_an_id_takes_hardly_more_room_than_its_bytes() -> None:
    rng = random.Random(3)
    tracemalloc.start()
    try:
        ids = IdSet(rng.randbytes(32) for _ in range(4_000))
        for _ in range(2_000):
            ids.add(rng.randbytes(32))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ids) == 6_000
    assert used / len(ids) < 45
