"""TXT records, instance names and the table of what was heard."""

from __future__ import annotations

import pytest

from appliance.model.identity import StationId
from appliance.protocol.dnssd import (
    MAX_CANDIDATES,
    MAX_INSTANCES,
    MAX_TXT_BYTES,
    Announcement,
    DnssdError,
    Gone,
    Sighting,
    SightingTable,
    instance_name,
)

ALICE = StationId(bytes(range(32)))
BOB = StationId(bytes(range(32, 64)))
HELLO = Announcement(ALICE, version=1, port=4100)


def txt(*strings: bytes) -> bytes:
    return b"".join(bytes([len(one)]) + one for one in strings)


def parts(announcement: Announcement = HELLO) -> list[bytes]:
    return [f"{key}={value}".encode() for key, value in announcement.to_properties().items()]


def table() -> SightingTable:
    return SightingTable(own_instance="me-0000")


def heard(
    where: SightingTable,
    *hosts: str,
    instance: str = "alice-0001",
    link: str = "eth0",
    announcement: Announcement = HELLO,
) -> list[Sighting | Gone]:
    return where.seen(instance=instance, link=link, announcement=announcement, hosts=hosts)


def test_a_record_survives_the_way() -> None:
    assert Announcement.parse(txt(*parts())) == HELLO


def test_unknown_keys_and_odd_strings_are_ignored() -> None:
    odd = [b"", b"flag", b"=no key", b"future=1", b"PORT=9", b"\xff\xfe=\xff"]
    assert Announcement.parse(txt(*parts(), *odd)) == HELLO


def test_of_a_repeated_key_the_first_counts() -> None:
    assert Announcement.parse(txt(b"Port=9", *parts())).port == 9


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x05id=",
        txt(*parts())[:-1],
        txt(*parts()[1:]),
        txt(*parts()[:2]),
        txt(*parts(), b"x" * 255, *[b"y" * 250] * 5),
        txt(*parts(), *[b"z"] * 64),
        txt(b"id=" + ALICE.text.upper().encode(), *parts()[1:]),
        txt(b"id=" + ALICE.text[:-1].encode(), *parts()[1:]),
        txt(b"id=\xff", *parts()[1:]),
        *(txt(*parts()[:2], b"port=" + bad) for bad in (b"0", b"65536", b"01", b"-1", b"1 ", b"")),
        txt(*parts()[:2], "port=١".encode()),
    ],
)
def test_anything_else_is_refused(record: bytes) -> None:
    with pytest.raises(DnssdError):
        Announcement.parse(record)


def test_a_record_fits_by_far() -> None:
    assert len(txt(*parts(Announcement(ALICE, 0xFFFF, 0xFFFF)))) < MAX_TXT_BYTES // 10


def test_an_instance_is_a_start_of_a_station() -> None:
    name = instance_name(ALICE, bytes.fromhex("a31c5555"))
    assert name == f"{ALICE.text[:12]}-a31c"
    with pytest.raises(ValueError, match="boot id"):
        instance_name(ALICE, b"\1")


def test_links_are_merged_best_address_first() -> None:
    where = table()
    heard(where, "10.0.0.2", link="eth0")
    news = heard(where, "10.1.0.2", "fe80::2%wlan0", link="wlan0")
    assert news == [
        Sighting(
            instance="alice-0001",
            station=ALICE,
            version=1,
            candidates=(("fe80::2%wlan0", 4100), ("10.0.0.2", 4100), ("10.1.0.2", 4100)),
            links=("eth0", "wlan0"),
        )
    ]


def test_nothing_new_is_no_news() -> None:
    where = table()
    assert heard(where, "10.0.0.2")
    assert heard(where, "10.0.0.2") == []


def test_it_is_gone_with_its_last_link() -> None:
    where = table()
    heard(where, "10.0.0.2", link="eth0")
    heard(where, "10.1.0.2", link="eth1")
    [left] = where.gone(instance="alice-0001", link="eth0")
    assert isinstance(left, Sighting)
    assert left.candidates == (("10.1.0.2", 4100),)
    assert where.link_gone("eth1") == [Gone("alice-0001", ALICE)]
    assert where.link_gone("eth1") == []
    assert where.gone(instance="alice-0001", link="eth1") == []


def test_we_do_not_meet_ourselves_but_whoever_has_our_key() -> None:
    where = table()
    assert heard(where, "10.0.0.2", instance="me-0000") == []
    assert heard(where, "10.0.0.2", instance="me-0001")


def test_an_earlier_start_makes_room_for_the_present_one() -> None:
    where = table()
    heard(where, "10.0.0.2", instance="alice-0001")
    news = heard(where, "10.0.0.2", instance="alice-0002")
    assert [type(one) for one in news] == [Sighting, Gone]
    assert news[1] == Gone("alice-0001", ALICE)


def test_two_machines_with_one_key_are_both_shown() -> None:
    where = table()
    heard(where, "10.0.0.2", instance="alice-0001")
    news = heard(where, "10.0.0.3", instance="alice-0002")
    assert [type(one) for one in news] == [Sighting]
    assert len(where) == 2


def test_the_one_heard_of_longest_ago_makes_room() -> None:
    where = table()
    for number in range(MAX_INSTANCES):
        heard(where, f"10.0.{number >> 8}.{number & 255}", instance=f"a-{number}")
    heard(where, "10.0.0.0", "fe80::1%eth0", instance="a-0")  # the first is the newest again
    news = heard(where, "10.9.9.9", instance="one-more")
    assert news[1:] == [Gone("a-1", ALICE)]
    assert len(where) == MAX_INSTANCES


def test_addresses_and_names_are_bounded() -> None:
    where = table()
    [news] = heard(where, *(f"10.0.0.{number}" for number in range(50)))
    assert isinstance(news, Sighting)
    assert len(news.candidates) == MAX_CANDIDATES
    assert heard(where, "10.0.0.1", instance="x" * 64) == []
    assert heard(where, instance="nowhere") == []


def test_a_claim_may_change() -> None:
    where = table()
    heard(where, "10.0.0.2")
    [news] = heard(where, "10.0.0.2", announcement=Announcement(BOB, 2, 5000))
    assert isinstance(news, Sighting)
    assert (news.station, news.version, news.candidates) == (BOB, 2, (("10.0.0.2", 5000),))
