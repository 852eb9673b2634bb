"""What was said is understood: identities, records, cards, texts, padding."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from format_samples import (
    ALICE,
    PREKEY,
    eights,
    ids,
    lines,
    stamps,
    stations,
    words,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.model.card import Card, Line, read_card
from appliance.model.identity import (
    MAX_NAME_CHARS,
    Address,
    IdentityError,
    StationId,
    clean_name,
    is_line_name,
)
from appliance.model.message import Text
from appliance.model.record import (
    MAX_LIFETIME_S,
    Certainty,
    Precedence,
    RecordKind,
    Stamp,
    make_record,
    read_record,
)
from appliance.protocol.sealing import pad, unpad


@given(st.text(max_size=300) | stations.map(lambda one: one.text))
def test_a_station_id_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(IdentityError):
        station = StationId.parse(text)
        assert StationId.parse(station.text) == station


@given(station=stations, rng=st.randoms(use_true_random=False))
def test_a_station_id_is_understood_as_people_write_it(
    station: StationId, rng: random.Random
) -> None:
    twins = {"1": "1iIlL", "0": "0oO", "v": "vVuU"}
    written = "".join(rng.choice(twins.get(c, c + c.upper())) for c in station.text)
    broken = "".join(c + rng.choice(("", "", " ", "-", "\n")) for c in written)
    assert StationId.parse(broken) == station
    assert station.number()[0] in "2345678"
    assert len(station.number("desk")) == 7
    assert station.address.packed[0] == 0xFD
    assert clean_name(station.default_name) == station.default_name


@given(station=stations, at=st.integers(0, 55), other=st.integers(1, 31))
def test_one_wrong_character_is_noticed(station: StationId, at: int, other: int) -> None:
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    text = station.text
    wrong = alphabet[(alphabet.index(text[at]) + other) % 32]
    # 24 check bits: one in sixteen million passes.
    with pytest.raises(IdentityError):
        StationId.parse(text[:at] + wrong + text[at + 1 :])


@given(words)
def test_a_name_is_fit_for_a_screen_or_refused(text: str) -> None:
    with contextlib.suppress(IdentityError):
        name = clean_name(text)
        assert clean_name(name) == name
        assert name.isprintable()
        assert 0 < len(name) <= MAX_NAME_CHARS


@given(
    content=st.binary(max_size=2000),
    stamp=stamps,
    to=st.lists(st.builds(Address, stations, lines), max_size=4),
    group=st.none() | ids,
    precedence=st.sampled_from(Precedence),
    lifetime=st.integers(0, MAX_LIFETIME_S),
    prekey=st.none() | eights,
    kind=st.sampled_from(RecordKind),
)
def test_a_record_comes_back_as_it_was(
    content: bytes, stamp: Stamp, to: list[Address], lifetime: int, **more: Any
) -> None:
    kind = more.pop("kind")
    record = make_record(
        ALICE, kind, content, stamp=stamp, to=tuple(to), lifetime_s=lifetime, **more
    )
    assert read_record(record.raw) == record


@given(
    sequence=st.integers(0, (1 << 63) - 1),
    name=words,
    names=st.lists(lines, max_size=5, unique=True),
    services=st.lists(words.filter(lambda word: len(word) <= 32), max_size=5),
)
def test_a_card_comes_back_as_it_was(
    sequence: int, name: str, names: list[str], services: list[str]
) -> None:
    try:
        name = clean_name(name)
    except IdentityError:
        name = ALICE.id.default_name
    numbers = tuple(Line(line, ALICE.id.number(line)) for line in names)
    card = Card(sequence, name, numbers, PREKEY, tuple(services))
    stamp = Stamp(1, bytes(8), 0, 0, Certainty.UNSET)
    record = make_record(ALICE, RecordKind.CARD, card.encode(), stamp=stamp)
    assert read_card(record) == card


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_a_text_comes_back_as_it_was_and_its_length_tells_little(text: str) -> None:
    said = Text(ALICE.id, text)
    assert Text.decode(said.encode()) == said
    padded = pad(said.encode())
    assert unpad(padded) == said.encode()
    assert len(padded) in {256, 1024, 4096}


@given(st.integers(0, 72 * 1024 - 4).map(bytes))
@settings(max_examples=20)
def test_padding_comes_off(data: bytes) -> None:
    assert unpad(pad(data)) == data


def test_names_of_lines() -> None:
    assert is_line_name("desk-1")
    for wrong in ("", "Desk", "a b", "é", "x" * 33):
        assert not is_line_name(wrong)
        with pytest.raises(IdentityError):
            Address(ALICE.id, wrong)
