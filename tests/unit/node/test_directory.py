"""Whom a name means, how far it counts, and the alarm for a verified contact's name or number."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from appliance.model.card import Card, Line, Prekey
from appliance.model.identity import CONSOLE, StationId, StationKey
from appliance.model.record import Certainty, Record, RecordKind, Stamp, make_record
from appliance.node import directory as directory_module
from appliance.node.directory import Directory, Trust, UnknownStationError, looks_like
from appliance.node.effects import AlarmRaised, Effect, Transact
from appliance.node.ports import ForgetStation, SaveStation, StoredStation

KEYS = [StationKey.from_bytes(bytes([number]) * 32) for number in range(1, 9)]
OWN, ANN, BOB, CLEO = (key.id for key in KEYS[:4])
PREKEY = Prekey(b"prekey 1", bytes(32))


def key_of(station: StationId) -> StationKey:
    return next(key for key in KEYS if key.id == station)


def card(station: StationId, name: str, sequence: int = 1, lines: Sequence[str] = ()) -> Record:
    key = key_of(station)
    made = Card(
        sequence,
        name,
        tuple(Line(line, station.number(line)) for line in (CONSOLE, *lines)),
        PREKEY,
    )
    stamp = Stamp(sequence, bytes(8), 0, 0, Certainty.UNSET)
    return make_record(key, RecordKind.CARD, made.encode(), stamp=stamp)


def known(*names: tuple[StationId, str]) -> Directory:
    directory = Directory(OWN)
    for station, name in names:
        directory.met(station, wall_ms=1, sure=False)
        directory.card_received(card(station, name))
    return directory


def alarms(effects: list[Effect]) -> list[AlarmRaised]:
    return [effect for effect in effects if isinstance(effect, AlarmRaised)]


def test_the_newest_card_counts() -> None:
    directory = known((ANN, "Ann"))
    assert directory.card_received(card(ANN, "Annie", 3))
    assert directory.get(ANN).name == "Annie"
    for sequence in (1, 2, 3):
        assert directory.card_received(card(ANN, "Old", sequence)) == []
    assert directory.get(ANN).name == "Annie"
    assert directory.card_received(card(OWN, "Me", 9)) == []
    assert OWN not in directory


def test_what_is_stored_is_loaded() -> None:
    directory = known((ANN, "Ann"), (BOB, "Bob"))
    directory.contacted(BOB)
    directory.verified(ANN)
    again = Directory(OWN)
    again.load(tuple(contact.stored() for contact in directory.all()))
    assert {c.id: c for c in again.all()} == {c.id: c for c in directory.all()}
    again.card_received(card(CLEO, "ANN"))
    assert again.alarm(CLEO)


def test_trust_has_three_tiers() -> None:
    directory = known((ANN, "Ann"))
    assert directory.get(ANN).trust is Trust.NEW
    assert directory.contacted(ANN)
    assert directory.get(ANN).trust is Trust.KNOWN
    assert not directory.contacted(ANN)
    directory.verified(ANN)
    assert directory.get(ANN).trust is Trust.VERIFIED
    assert not directory.contacted(ANN)
    assert directory.get(ANN).trust is Trust.VERIFIED
    directory.card_received(card(ANN, "Ann B.", 2))
    directory.met(ANN, wall_ms=5, sure=True)
    assert directory.get(ANN).trust is Trust.VERIFIED
    assert directory.get(ANN).verified_name == "Ann"
    directory.distrust(ANN)
    assert directory.get(ANN).trust is Trust.NEW
    directory.card_received(card(BOB, "Ann"))
    assert directory.alarm(BOB) is None


LOOK_ALIKES = [
    ("Ann", "ann"),
    ("Ann", " A n n "),
    ("Ann", "Аnn"),  # Cyrillic A
    ("BOB", "ВОВ"),  # Cyrillic altogether
    ("Ann", "Ａｎｎ"),  # full width
    ("élan", "elan"),
    ("modern", "modem"),
    ("Clinic 1", "Clinic I"),
    ("Clinic 1", "Clinic l"),
    ("Zoo", "Z00"),
    ("Owen", "Ovven"),
    ("amber-otter", "Amber Otter"),
    ("Łódź", "Lodz"),
]


@pytest.mark.parametrize(("real", "twin"), LOOK_ALIKES)
def test_the_alarm_for_a_verified_name_under_another_key(real: str, twin: str) -> None:
    directory = known((ANN, real))
    directory.verified(ANN)
    effects = directory.card_received(card(BOB, twin.strip()))
    (alarm,) = alarms(effects)
    assert ANN.tag in alarm.text
    assert BOB.tag in alarm.text
    assert alarm.fix
    assert directory.alarm(BOB) == alarm.text
    assert directory.alarm(ANN) is None
    # Said once, for as long as it is so.
    assert not alarms(directory.card_received(card(BOB, twin.strip(), 2)))
    assert not alarms(directory.card_received(card(BOB, "Somebody", 3)))
    assert directory.alarm(BOB) is None


@pytest.mark.parametrize(
    ("one", "other"), [("राम", "रमा"), ("☺", "☻"), ("Ann", "Anna"), ("6", "9")]
)
def test_no_alarm_for_another_name(one: str, other: str) -> None:
    assert looks_like(one) != looks_like(other)
    directory = known((ANN, one))
    directory.verified(ANN)
    assert not alarms(directory.card_received(card(BOB, other)))


def test_no_alarm_for_those_who_are_not_verified() -> None:
    directory = known((ANN, "Ann"))
    directory.contacted(ANN)
    assert not alarms(directory.card_received(card(BOB, "Ann")))


def test_who_had_the_name_before_it_was_verified_is_alarmed_about_then() -> None:
    directory = known((ANN, "Ann"), (BOB, "Ann"))
    (alarm,) = alarms(directory.verified(ANN))
    assert BOB.tag in alarm.text


def test_a_verified_contact_that_renames_itself_keeps_both_names() -> None:
    directory = known((ANN, "Ann"))
    directory.verified(ANN)
    directory.card_received(card(ANN, "Clinic", 2))
    for number, name in enumerate(("Ann", "Clinic")):
        assert alarms(directory.card_received(card(BOB, name, 10 * number + 1)))
        directory.card_received(card(BOB, "Bob", 10 * number + 2))


def test_the_alarm_for_a_verified_number_under_another_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key with a wanted number is found by trying some million; here all keys have it."""
    monkeypatch.setattr(StationId, "number", lambda self, line=CONSOLE: "4820193")
    directory = known((ANN, "Ann"))
    directory.verified(ANN)
    (alarm,) = alarms(directory.card_received(card(BOB, "Bob")))
    assert "Ann" in alarm.text
    assert BOB.tag in alarm.text
    with pytest.raises(UnknownStationError) as error:
        directory.find("4820193")
    assert set(error.value.matches) == {ANN, BOB}


def test_a_station_is_found() -> None:
    directory = known((ANN, "Ann"), (BOB, "Bob's barn"), (CLEO, "Bob's Barn"))
    for text in (ANN.text, ANN.spoken, ANN.tag, f"·{ANN.tag}", ANN.text[:9].upper(), "ann", "Ann "):
        assert directory.find(text) == ANN
    number = ANN.number()
    for text in (number, f"{number[:3]}-{number[3:]}", f"{number[:3]} {number[3:]}"):
        assert directory.find(text) == ANN
    assert directory.find(BOB.tag) == BOB
    with pytest.raises(UnknownStationError) as error:
        directory.find("bob's barn")
    assert set(error.value.matches) == {BOB, CLEO}
    assert BOB.tag in str(error.value)
    assert CLEO.tag in str(error.value)
    directory.verified(CLEO)
    assert directory.find("bob's barn") == CLEO
    for text in ("", " ", "-", "·", "nobody", "482", KEYS[6].id.text, ANN.text[:-1] + "!"):
        with pytest.raises(UnknownStationError) as error:
            directory.find(text)
        assert not error.value.matches


def test_a_station_without_a_card_is_found_by_what_follows_from_its_key() -> None:
    directory = Directory(OWN)
    directory.met(ANN, wall_ms=1, sure=False)
    assert directory.find(ANN.number()) == ANN
    assert directory.find(ANN.default_name) == ANN


def test_strangers_make_room_and_friends_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "MAX_STATIONS", 50)
    directory = known((ANN, "Ann"), (BOB, "Bob"))
    directory.contacted(ANN)
    directory.verified(BOB)
    rng = random.Random(1)
    strangers = [StationId(rng.randbytes(32)) for _ in range(200)]
    effects = [
        effect
        for number, station in enumerate(strangers)
        for effect in directory.met(station, wall_ms=1000 + number, sure=False)
    ]
    done = [effect.operation for effect in effects if isinstance(effect, Transact)]
    forgotten = [one.station for one in done if isinstance(one, ForgetStation)]
    assert len(directory.all()) == 50
    assert ANN in directory
    assert BOB in directory
    assert forgotten == strangers[: len(forgotten)]
    assert len(forgotten) == 200 - 48
    for station in strangers[-48:]:
        directory.contacted(station)
    assert directory.met(StationId(bytes(32)), wall_ms=9999, sure=False) == []
    assert len(directory.all()) == 50
    assert {c.trust for c in directory.all()} == {Trust.KNOWN, Trust.VERIFIED}


def test_all_that_changes_is_stored() -> None:
    directory = Directory(OWN)
    stored: dict[StationId, StoredStation] = {}
    changes = (
        directory.met(ANN, wall_ms=1, sure=True),
        directory.card_received(card(ANN, "Ann")),
        directory.contacted(ANN),
        directory.verified(ANN),
    )
    for effects in changes:
        for effect in effects:
            if isinstance(effect, Transact) and isinstance(effect.operation, SaveStation):
                stored[ANN] = effect.operation.station
    assert stored[ANN] == directory.get(ANN).stored()
