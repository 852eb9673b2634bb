"""What the property tests of the formats draw from: keys, valid things, and things that are not."""

from __future__ import annotations

import random

import cbor2
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import strategies as st

from appliance.model.card import Prekey
from appliance.model.identity import (
    StationId,
    StationKey,
)
from appliance.model.record import (
    Certainty,
    Stamp,
)
from appliance.model.secret import Secret

ALICE, BOB = (StationKey.from_bytes(bytes([number]) * 32) for number in (1, 2))
PREKEY_SECRET = Secret(b"\x03" * 32)
PREKEY = Prekey(
    b"prekey 1",
    X25519PrivateKey.from_private_bytes(PREKEY_SECRET.value).public_key().public_bytes_raw(),
)

ids = st.binary(min_size=32, max_size=32)
stations = ids.map(StationId)
tokens = st.binary(min_size=16, max_size=16)
eights = st.binary(min_size=8, max_size=8)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
stamps = st.builds(
    Stamp,
    lamport=st.integers(0, (1 << 62) - 1),
    boot=eights,
    uptime_ms=st.integers(0, (1 << 63) - 1),
    wall_ms=st.integers(0, (1 << 53) - 1),
    certainty=st.sampled_from(Certainty),
)
lines = st.from_regex(r"[a-z0-9_.-]{1,32}", fullmatch=True)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.binary(max_size=40)
    | words
    | ids
    | eights
    | st.builds(cbor2.CBORTag, st.integers(0, 70_000), st.integers() | words | st.binary())
    | st.just(cbor2.undefined)
    | st.builds(cbor2.CBORSimpleValue, st.integers(32, 255)),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.integers(-3, 80) | words, inner, max_size=14)
    ),
    max_leaves=20,
)


def encoded(value: object) -> bytes:
    try:
        return cbor2.dumps(value, canonical=True)
    except Exception:  # noqa: BLE001 (whatever cbor2 can't encode is of no interest here)
        return b""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change a few bytes of something valid, cut it, double it or put something into it."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(5):
            case 0 if made:
                made[at % len(made)] ^= 1 << rng.randrange(8)
            case 1 if made:
                made[at % len(made)] = rng.choice((0, 0x7F, 0x80, 0xFF, 0x9F, 0xBF, 0xC0, 0xF7))
            case 2:
                del made[at : at + rng.randint(1, 8)]
            case 3:
                made[at:at] = rng.randbytes(rng.randint(1, 8))
            case _:
                made[at:at] = made[at : at + rng.randint(1, 40)]
    return bytes(made)
