"""The proof at the start of a session, on a way on which everything may be changed."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from format_samples import (
    ALICE,
    BOB,
    mutated,
)
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.codec import FormatError, decode, encode
from appliance.model.identity import (
    StationId,
)
from appliance.protocol.hello import VERSIONS, Callee, Caller, Hello, ProofError


def handshake(
    change: Callable[[int, bytes], bytes],
    ours: tuple[int, ...] = (1,),
    theirs: tuple[int, ...] = (1,),
) -> tuple[int, StationId]:
    """Carry a proof over a way on which `change` sees each of the four messages."""
    callee = Callee(BOB, nonce=b"b" * 32, boot=bytes(8), token=b"b" * 16, port=1, versions=theirs)
    caller = Caller(
        ALICE,
        seen=BOB.id,
        wanted=BOB.id,
        nonce=b"a" * 32,
        boot=bytes(8),
        token=b"a" * 16,
        port=2,
        versions=ours,
    )
    hello, proof = caller.answer(change(0, callee.hello))
    welcome, proved = callee.verify(change(1, hello), change(2, proof))
    assert caller.finish(change(3, welcome)).version == proved.version
    return proved.version, proved.peer


@given(
    ours=st.sets(st.integers(1, 9), min_size=1, max_size=5),
    theirs=st.sets(st.integers(1, 9), min_size=1, max_size=5),
)
def test_the_highest_common_version_is_chosen(ours: set[int], theirs: set[int]) -> None:
    if not ours & theirs:
        with pytest.raises(ProofError, match="no protocol version in common") as error:
            handshake(lambda _, data: data, tuple(ours), tuple(theirs))
        assert error.value.code == "version"
    else:
        version, peer = handshake(lambda _, data: data, tuple(ours), tuple(theirs))
        assert (version, peer) == (max(ours & theirs), ALICE.id)


@pytest.mark.parametrize("which", [0, 1])
def test_a_version_that_was_stripped_on_the_way_is_noticed(which: int) -> None:
    def strip(number: int, data: bytes) -> bytes:
        fields = decode(data, limit=1024)
        assert isinstance(fields, dict)
        return encode({**fields, 0: [1]}) if number == which else data

    with pytest.raises(ProofError):
        handshake(strip, (1, 2), (1, 2))


@given(which=st.integers(0, 2), rng=st.randoms(use_true_random=False))
def test_nothing_can_be_changed_on_the_way(which: int, rng: random.Random) -> None:
    changed = False

    def change(number: int, data: bytes) -> bytes:
        nonlocal changed
        made = mutated(data, rng) if number == which else data
        changed = changed or made != data
        return made

    try:
        assert handshake(change) == (1, ALICE.id)
    except (ProofError, FormatError):
        assert changed
    else:
        # Of the proof itself the token alone may differ: it is the caller's own affair.
        assert which == 2 or not changed


def test_a_hello_may_grow() -> None:
    """Keys from 64 on and versions that make no sense are for others to understand."""

    def grow(number: int, data: bytes) -> bytes:
        fields = decode(data, limit=1024)
        assert isinstance(fields, dict)
        return encode({**fields, 64: "more", 99: [1, 2]}) if number in {0, 3} else data

    with pytest.raises(ProofError):
        handshake(grow)  # a hello that grew on the way is one that was changed
    callee = Callee(BOB, nonce=b"b" * 32, boot=bytes(8), token=b"b" * 16, port=1)
    for extra, fits in (
        ({64: 1}, True),
        ({63: 1}, False),
        ({0: [1, 2, 0, -4, 1 << 60, "x"]}, True),
    ):
        fields = decode(callee.hello, limit=1024)
        assert isinstance(fields, dict)
        data = encode({**fields, **extra})
        if fits:
            assert Hello.decode(data).versions == VERSIONS
        else:
            with pytest.raises(FormatError):
                Hello.decode(data)
