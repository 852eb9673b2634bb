"""Carrying when the store fails or has no room, and neighbours that say what is not so."""

from __future__ import annotations

import pytest
from core_node import Node, join
from test_gossip import sight

from appliance.model.identity import Address, StationKey
from appliance.model.record import (
    MAX_LIFETIME_S,
    Certainty,
    Record,
    RecordKind,
    Stamp,
    make_record,
)
from appliance.node import carry as module
from appliance.protocol.carrying import Parcel, encode_parcels
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


def test_ages_that_are_made_up_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REFUSED", 20)
    a, b = linked()
    carry = a.station.post.carry
    for number in range(50):
        record = stranger_to_stranger(b"%d" % number)
        a.hear(b.id, Channel.CARRY, encode_parcels((Parcel(MAX_LIFETIME_S, record.raw),)))
        assert carry.knows(record.id), "it is not asked for again"
    assert len(carry._known) + len(carry._refused) <= 20
