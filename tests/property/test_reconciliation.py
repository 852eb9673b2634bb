"""Two sets compare themselves: both know what either lacks, in few bytes and messages.

Whatever a peer sends, nothing but FormatError comes of it, and no more work than is stated.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from _reconciliation import Exchange, exchange, two_sets
from format_samples import mutated
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.model.codec import FormatError
from appliance.protocol.id_set import IdSet
from appliance.protocol.reconciliation import (
    MAX_LACKED,
    MAX_MESSAGE,
    MAX_RECEIVED,
    MAX_REPLIES,
    MAX_SENT,
    Reconciler,
)

SALT = b"saltsalt"
BEGINS = b"\x01\x01" + SALT
ANSWERS = b"\x01\x00" + SALT


def ids_of(rng: random.Random, count: int, *, alike_bits: int) -> set[bytes]:
    """Ids that all begin alike."""
    begin = rng.getrandbits(alike_bits) << 256 - alike_bits
    return {(begin | rng.getrandbits(256 - alike_bits)).to_bytes(32) for _ in range(count)}


def check_found(result: Exchange, first: Iterable[bytes], second: Iterable[bytes]) -> None:
    ours, theirs = {*first} - {*second}, {*second} - {*first}
    assert sorted(result.begins.ours) == sorted(result.other.theirs) == sorted(ours)
    assert sorted(result.begins.theirs) == sorted(result.other.ours) == sorted(theirs)
    assert result.begins.done
    assert result.other.done
    assert not result.begins.cut_short
    assert not result.other.cut_short


sizes = st.sampled_from([0, 1, 2, 15, 63, 64, 65, 300, 1500])


@settings(max_examples=40)
@given(
    st.integers(0, 1 << 32),
    st.tuples(sizes, sizes, sizes),
    st.sampled_from([0, 0, 1, 7, 40, 248]),
)
def test_any_two_sets_end_up_knowing_both_differences(
    seed: int, counts: tuple[int, int, int], alike_bits: int
) -> None:
    rng = random.Random(seed)
    common, one, another = (ids_of(rng, count, alike_bits=alike_bits) for count in counts)
    first, second = common | one, common | another
    result = exchange(IdSet(first), IdSet(second), nonce=rng.randbytes(8))
    check_found(result, first, second)


@settings(max_examples=40)
@given(st.sets(st.binary(min_size=1, max_size=1)), st.sets(st.binary(min_size=1, max_size=1)))
def test_ids_at_either_end_are_like_others(first: set[bytes], second: set[bytes]) -> None:
    one, another = ({byte * 32 for byte in some} for some in (first, second))
    check_found(exchange(IdSet(one), IdSet(another)), one, another)


def test_equal_sets_cost_one_small_message_and_one_smaller() -> None:
    for records in (0, 10, 1000, 20_000):
        result = exchange(*two_sets(records, 0, seed=records))
        assert result.half_rounds == 2
        assert result.begins.sent_bytes <= 300
        assert result.other.sent_bytes <= 16


@pytest.mark.parametrize(("records", "half_rounds"), [(60, 4), (1200, 4), (20_000, 5)])
@pytest.mark.parametrize("differences", [1, 10, 300])
def test_differences_cost_few_messages_and_bytes(
    records: int, half_rounds: int, differences: int
) -> None:
    first, second = two_sets(records, differences, seed=differences)
    result = exchange(first, second, nonce=b"nonce")
    check_found(result, first, second)
    assert result.half_rounds <= half_rounds
    # Of the goal of 1.2 times a record of 300 bytes, and 80 bytes x log2 of the set, without it.
    room = 60 + 80 * (records - 1).bit_length()
    assert result.begins.sent_bytes + result.other.sent_bytes <= 300 + differences * room


@settings(max_examples=12)
@given(st.integers(0, 1 << 32))
def test_sets_that_change_meanwhile_find_what_did_not_change(seed: int) -> None:
    rng = random.Random(seed)
    first, second = two_sets(rng.choice([50, 500, 2000]), rng.choice([10, 200]), seed=seed)
    one, another = {*first}, {*second}
    changed: set[bytes] = set()

    def change(_: int) -> None:
        for ids in (first, second):
            gone = rng.sample([*ids], 5)
            come = [rng.randbytes(32) for _ in range(5)]
            for record in gone:
                ids.discard(record)
            for record in come:
                ids.add(record)
            changed.update(gone, come)

    result = exchange(first, second, nonce=rng.randbytes(8), between=change)
    ours, theirs = one - another, another - one
    assert {*result.begins.ours} - changed == {*result.other.theirs} - changed == ours - changed
    assert {*result.begins.theirs} - changed == {*result.other.ours} - changed == theirs - changed
    assert result.begins.done
    after = exchange(first, second, nonce=rng.randbytes(8))
    check_found(after, first, second)


def test_a_set_that_grows_much_meanwhile_breaks_nothing() -> None:
    first, second = two_sets(2000, 100, seed=1)

    def grow(half_rounds: int) -> None:
        if half_rounds < 5:
            rng = random.Random(half_rounds)
            for _ in range(MAX_LACKED * 30):
                first.add(rng.randbytes(32))

    exchange(first, second, between=grow)


def test_what_is_too_much_for_one_exchange_is_found_by_the_next_ones() -> None:
    rng = random.Random(1)
    everything = {rng.randbytes(32) for _ in range(40_000)}
    full, lacking = IdSet(everything), IdSet()
    exchanges = 0
    while len(lacking) < len(full):
        result = exchange(full, lacking, nonce=bytes([exchanges]))
        assert {*result.other.theirs} <= everything
        assert result.other.theirs
        for side in (result.begins, result.other):
            assert side.messages <= MAX_RECEIVED
            assert side.longest <= MAX_MESSAGE
            assert side.done
        complete = len(result.other.theirs) + len(lacking) == len(full)
        assert complete != (result.begins.cut_short or result.other.cut_short)
        for record in result.other.theirs:
            lacking.add(record)
        exchanges += 1
    assert 1 < exchanges < 6


# -- Peers that do not keep to it


@settings(max_examples=100)
@given(st.integers(0, 1 << 32), st.binary(max_size=60), st.booleans())
def test_whatever_is_received_is_answered_or_refused(seed: int, junk: bytes, plain: bool) -> None:
    rng = random.Random(seed)
    first, second = two_sets(rng.choice([3, 400]), rng.choice([0, 50]), seed=seed % 8)
    sides = [Reconciler(first), Reconciler(second)]
    flight = [sides[0].begin()]
    for turn in range(12):
        replies: list[bytes] = []
        for message in flight:
            sent = message if rng.random() < 0.5 else mutated(message, rng)
            if plain and turn:
                sent = message[:10] + junk
            try:
                step = sides[1 - turn % 2].received(sent)
            except FormatError:
                return
            assert len(step.replies) <= MAX_REPLIES
            assert all(len(reply) <= MAX_MESSAGE for reply in step.replies)
            replies += step.replies
        flight = replies


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(BEGINS[:-1], id="cut off in its head"),
        pytest.param(b"\x02" + BEGINS[1:], id="of another version"),
        pytest.param(b"\x01\x03" + SALT, id="with both flags"),
        pytest.param(b"\x01\x80" + SALT, id="with an unknown flag"),
        pytest.param(BEGINS + bytes(MAX_MESSAGE), id="too long"),
        pytest.param(BEGINS + b"\x00", id="item cut off"),
        pytest.param(BEGINS + b"\x00\x00" + bytes(7), id="fingerprint cut off"),
        pytest.param(BEGINS + b"\x40\x00", id="unknown kind"),
        pytest.param(BEGINS + b"\x06\x00" + bytes(8 << 6), id="split too fine"),
        pytest.param(BEGINS + b"\x01\xff" + b"\x00" * 48, id="split beyond the last bit"),
        pytest.param(BEGINS + b"\x10\x04\xff\x00", id="bits beyond their number"),
        pytest.param(BEGINS + b"\x10\x08\x02\x00\x10\x08\x01\x00", id="not ascending"),
        pytest.param(BEGINS + b"\x10\x08\x01\x00" * 2, id="twice the same"),
        pytest.param(BEGINS + b"\x10\x04\x00\x00\x10\x08\x01\x00", id="one within another"),
        pytest.param(BEGINS + b"\x10\x00\x00\x10\x08\x01\x00", id="one within all"),
        pytest.param(BEGINS + b"\x10\x00\x41" + bytes(6 * 65), id="too many listed"),
        pytest.param(BEGINS + b"\x30\x08\x01\x01" + bytes(32), id="id outside"),
        pytest.param(BEGINS + b"\x20\x08\x01\x01\x01" + b"\x01" * 37, id="answer cut off"),
    ],
)
def test_what_no_peer_sends_is_refused(message: bytes) -> None:
    with pytest.raises(FormatError):
        Reconciler(IdSet([bytes(32)])).received(message)


def test_who_begins_is_not_begun_with() -> None:
    reconciler = Reconciler(IdSet())
    reconciler.begin()
    with pytest.raises(FormatError):
        reconciler.received(BEGINS)


def test_answers_of_an_exchange_that_was_given_up_are_passed_over() -> None:
    first, second = two_sets(100, 10, seed=1)
    peer, reconciler = Reconciler(second), Reconciler(first)
    late = peer.received(reconciler.begin(b"first")).replies
    message = reconciler.begin(b"second")
    step = reconciler.received(late[0])
    assert step.replies == step.ours == step.theirs == ()
    assert not step.done
    assert peer.received(message).replies[0][2:10] == message[2:10]


def test_an_exchange_that_does_not_end_is_ended() -> None:
    rng = random.Random(1)
    reconciler = Reconciler(IdSet(rng.randbytes(32) for _ in range(500)))
    # Fingerprints of the whole that never fit: a peer could go on for ever.
    item = b"\x05\x00" + b"\xff" * 256
    sent = len(reconciler.received(BEGINS + item).replies)
    with pytest.raises(FormatError):  # noqa: PT012 (it is the last of them that is refused)
        for _ in range(MAX_RECEIVED):
            step = reconciler.received(b"\x01\x02" + SALT + item)
            assert step.replies
            sent += sum(len(reply) > 10 for reply in step.replies)
    assert sent <= MAX_SENT


def test_one_message_makes_no_more_than_a_few() -> None:
    rng = random.Random(1)
    reconciler = Reconciler(IdSet(rng.randbytes(32) for _ in range(20_000)))
    # Empty lists of 4096 ranges: all that is there would be named.
    items = b"".join(b"\x10\x0c" + (number << 4).to_bytes(2) + b"\x00" for number in range(1 << 12))
    step = reconciler.received(BEGINS + items)
    assert len(step.replies) == MAX_REPLIES
    assert step.cut_short
    assert sum(map(len, step.replies)) > 32 * len(step.ours)
    assert not step.theirs
