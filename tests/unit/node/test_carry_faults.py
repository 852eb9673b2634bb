"""Carrying when the store fails or has no room, and neighbours that say what is not so."""

from __future__ import annotations

import pytest
from core_node import Node, join
from test_gossip import sight

from appliance.adapters.store import carried as store
from appliance.model.cargo import Load, Tier
from appliance.model.identity import Address, StationKey
from appliance.model.record import (
    MAX_LIFETIME_S,
    MAX_RECORD,
    Certainty,
    Precedence,
    Record,
    RecordKind,
    Stamp,
    make_record,
    read_record,
    record_id_of,
)
from appliance.node import carry as module
from appliance.node.carry_lane import MAX_IN_FLIGHT_BYTES, POSTPONED_S
from appliance.node.ports.carrying import GetCarried, Ship
from appliance.protocol.acks import Ack, Outcome, encode_acks
from appliance.protocol.carrying import Parcel, decode_parcels, encode_parcels
from appliance.protocol.frames import Channel

STAMP = Stamp(1, bytes(8), 0, 0, Certainty.UNSET)
EVE = StationKey.generate()


def stranger_to_stranger(content: bytes = b"sealed") -> Record:
    away = Address(StationKey.generate().id)
    return make_record(EVE, RecordKind.MESSAGE, content, stamp=STAMP, to=(away,), prekey=bytes(8))


def linked() -> tuple[Node, Node]:
    a, b = Node(), Node()
    sight(a, b)
    join(a, b)
    return a, b


def parcels_of(messages: list[bytes]) -> list[Parcel]:
    return [parcel for message in messages for parcel in decode_parcels(message)]


def test_what_can_not_be_read_just_now_goes_out_later() -> None:
    a, _ = linked()
    record, carry = stranger_to_stranger(), a.station.post.carry
    load = Load(record, record.to[0].station, (), EVE.id, Tier.NEW, 0.0, 1000.0, a.at)
    a.do(carry.ship(load, a.now.moment))
    shipped = a.waiting.pop()
    a.do(shipped.then(store.ship(a.db, Ship(load))))
    look = a.waiting.pop()
    assert isinstance(look.operation, GetCarried)
    a.do(look.failed("the disk has a bad day"))
    a.settle()
    assert not a.take(Channel.CARRY)
    a.at += POSTPONED_S + 0.1
    a.do(a.station.wakeup(a.now))
    a.settle()
    (message,) = a.take(Channel.CARRY)
    assert decode_parcels(message) == (Parcel(int(POSTPONED_S), record.raw),)


def test_an_emergency_goes_at_once_however_long_the_records_before_it_are() -> None:
    a, b = linked()
    carry = a.station.post.carry

    def ship(record: Record) -> None:
        load = Load(record, None, (), EVE.id, Tier.KNOWN, 0.0, 1000.0, a.at)
        a.do(carry.ship(load, a.now.moment))

    for number in range(64):
        content = b"%d" % number + bytes(MAX_RECORD - 500)
        ship(make_record(EVE, RecordKind.MESSAGE, content, stamp=STAMP))
    a.settle()
    before = a.take(Channel.CARRY)
    assert sum(map(len, before)) <= MAX_IN_FLIGHT_BYTES + MAX_RECORD + 1000
    urgent = Precedence.EMERGENCY
    emergency = make_record(EVE, RecordKind.MESSAGE, b"fire", stamp=STAMP, precedence=urgent)
    ship(emergency)
    a.settle()
    (message,) = a.take(Channel.CARRY)
    assert decode_parcels(message) == (Parcel(0, emergency.raw),)
    # The rest follows, in its order, as what went before is answered.
    order = list(before)
    while len(parcels_of(order)) < 64:
        answered = [record_id_of(one.raw) for one in parcels_of(order[-2:])]
        acks = tuple(Ack(record, Outcome.CARRIED) for record in answered)
        a.hear(b.id, Channel.ACK, encode_acks(acks))
        more = a.take(Channel.CARRY)
        assert more
        order += more
    assert [read_record(one.raw).content.rstrip(b"\0") for one in parcels_of(order)] == [
        b"%d" % number for number in range(64)
    ]


def test_ages_that_are_made_up_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REFUSED", 20)
    a, b = linked()
    carry = a.station.post.carry
    for number in range(50):
        record = stranger_to_stranger(b"%d" % number)
        a.hear(b.id, Channel.CARRY, encode_parcels((Parcel(MAX_LIFETIME_S, record.raw),)))
        assert carry.knows(record.id), "it is not asked for again"
    assert len(carry._known) + len(carry._refused) <= 20
