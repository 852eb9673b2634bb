"""Whatever bytes come, only the documented errors come out, and what was said is understood."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from format_samples import (
    ALICE,
    BOB,
    PREKEY,
    PREKEY_SECRET,
    anything,
    encoded,
    mutated,
)
from hypothesis import given, note, settings
from hypothesis import strategies as st

from appliance.adapters.certificate import make_certificate, station_of
from appliance.model.card import Card, Line, read_card
from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.identity import (
    CONSOLE,
    Address,
    IdentityError,
)
from appliance.model.message import DeliveryState, Receipt, Text
from appliance.model.record import (
    Certainty,
    RecordKind,
    Stamp,
    make_record,
    read_record,
)
from appliance.protocol.acks import Ack, Outcome, decode_acks, encode_acks
from appliance.protocol.frames import Receiver
from appliance.protocol.hello import Hello, Proof, Welcome
from appliance.protocol.keepalive import Control, ControlKind
from appliance.protocol.mesh_map import decode_map
from appliance.protocol.sas import SasKind, SasMessage
from appliance.protocol.sealing import OpenError, open_sealed, seal, unpad

hostile = st.one_of(
    st.binary(max_size=200),
    anything.map(encoded),
    st.dictionaries(st.integers(0, 16) | st.integers(60, 70), anything, max_size=16).map(encoded),
)


def with_the_content_of(data: bytes) -> None:
    for kind in RecordKind:
        record = make_record(ALICE, kind, data, stamp=Stamp(1, bytes(8), 0, 0, Certainty.UNSET))
        read_card(read_record(record.raw))


READERS: dict[str, tuple[Callable[[bytes], object], tuple[type[Exception], ...]]] = {
    "cbor": (lambda data: decode(data, limit=150), (FormatError,)),
    "fields": (lambda data: Fields(decode(data, limit=999), "x").inner(1).end(), (FormatError,)),
    "record": (read_record, (FormatError,)),
    "body": (lambda data: read_record(encode([data, bytes(64)])), (FormatError,)),
    "card": (with_the_content_of, (FormatError,)),
    "text": (Text.decode, (FormatError,)),
    "receipt": (Receipt.decode, (FormatError,)),
    "hello": (Hello.decode, (FormatError,)),
    "proof": (Proof.decode, (FormatError,)),
    "welcome": (Welcome.decode, (FormatError,)),
    "acks": (decode_acks, (FormatError,)),
    "sas": (SasMessage.decode, (FormatError,)),
    "map": (decode_map, (FormatError,)),
    "control": (Control.decode, (FormatError,)),
    "frame": (lambda data: Receiver().feed(data), (FormatError,)),
    "padding": (unpad, (FormatError,)),
    "certificate": (station_of, (IdentityError,)),
    "sealed": (
        lambda data: open_sealed(
            data,
            author=ALICE.id,
            recipient=BOB.id,
            kind=RecordKind.MESSAGE,
            prekey_id=PREKEY.id,
            secret=PREKEY_SECRET,
        ),
        (FormatError, OpenError),
    ),
}


@given(data=hostile)
@settings(max_examples=100)
def test_only_the_documented_error(data: bytes) -> None:
    # Bytes cost more to think up than to read, so all read the same ones.
    for name, (read, errors) in READERS.items():
        note(f"read as {name}")
        with contextlib.suppress(*errors):
            read(data)


def _valid() -> dict[str, bytes]:
    stamp = Stamp(7, b"\x01" * 8, 1, 2, Certainty.PEERS)
    card = Card(1, "Ann", (Line(CONSOLE, ALICE.id.number()),), PREKEY, ("long-link",))
    hello = Hello((1,), ALICE.id, bytes(32), bytes(8), 1, callee=BOB.id)
    acks = (Ack(bytes(32), Outcome.STORED), Ack(b"\x01" * 32, Outcome.LATER))
    return {
        "record": make_record(
            ALICE, RecordKind.MESSAGE, b"x", stamp=stamp, to=(Address(BOB.id),), prekey=b"prekey 1"
        ).raw,
        "card": card.encode(),
        "text": Text(ALICE.id, "hello").encode(),
        "receipt": Receipt(DeliveryState.READ, (bytes(32),)).encode(),
        "hello": hello.encode(),
        "proof": Proof(bytes(64), bytes(16)).encode(),
        "welcome": Welcome(1, bytes(16)).encode(),
        "acks": encode_acks(acks),
        "sas": SasMessage(SasKind.COMMIT, bytes(8), bytes(32)).encode(),
        "control": Control(ControlKind.BYE, reason="x").encode(),
        "certificate": make_certificate(ALICE).public_bytes(Encoding.DER),
        "sealed": seal(
            b"hello", author=ALICE.id, recipient=BOB.id, kind=RecordKind.MESSAGE, prekey=PREKEY
        ),
    }


VALID = _valid()


@pytest.mark.parametrize("name", VALID)
@given(rng=st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_only_the_documented_error_for_what_was_once_valid(name: str, rng: random.Random) -> None:
    read, errors = READERS[name]
    with contextlib.suppress(*errors):
        read(mutated(VALID[name], rng))


@given(data=st.binary(max_size=60) | anything.map(encoded))
def test_equal_content_has_equal_bytes(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert encode(decode(data, limit=4096)) == data


@pytest.mark.parametrize(
    "what",
    ["1800", "a10100a10100", "9f00ff", "bf0001ff", "fb3ff0000000000000", "a200000001", "5f4100ff"],
)
def test_what_is_not_deterministic_is_refused(what: str) -> None:
    with pytest.raises(FormatError):
        decode(bytes.fromhex(what), limit=100)


@given(tag=st.integers(0, (1 << 64) - 1), value=anything)
def test_no_tag_is_decoded(tag: int, value: object) -> None:
    with contextlib.suppress(cbor2.CBOREncodeError, OverflowError, ValueError):
        data = cbor2.dumps(cbor2.CBORTag(tag, value), canonical=True)
        with pytest.raises(FormatError):
            decode(data, limit=9999)
