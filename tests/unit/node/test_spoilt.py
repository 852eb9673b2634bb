"""Records that somebody has spoilt on their way keep nobody from the sound ones."""

from mail_world import Desk, World, world

from appliance.model.codec import decode, encode
from appliance.model.message import Text
from appliance.model.record import Certainty, Record, RecordKind, Stamp, make_record
from appliance.node import carry
from appliance.protocol.carrying import Parcel, encode_parcels
from appliance.protocol.frames import Channel

STAMP = Stamp(7, bytes(8), 0, 0, Certainty.UNSET)


def bring(w: World, carrier: Desk, to: Desk, raw: bytes) -> None:
    (session,) = to.station.peers.sessions()
    data = encode_parcels((Parcel(0, raw),))
    to.carry_out(
        to.station.message_received(session.handle, carrier.id, Channel.CARRY, data, to.now)
    )
    w.settle(0.5)


def written(author: Desk, text: bytes) -> Record:
    return make_record(author.key, RecordKind.MESSAGE, text, stamp=STAMP)


def test_a_record_whose_signature_was_spoilt_is_still_taken_when_it_comes_sound() -> None:
    with world(desks=3) as w:
        a, b, c = w.desks
        record = written(c, Text(c.id, "hello").encode())
        parts = decode(record.raw, limit=10_000)
        assert isinstance(parts, list)
        bring(w, a, b, encode([parts[0], bytes(64)]))
        assert b.inbox() == []
        bring(w, a, b, record.raw)
        assert b.inbox() == ["hello"]


def test_what_is_of_no_use_is_remembered_up_to_a_bound() -> None:
    with world(desks=3) as w:
        a, b, c = w.desks
        useless = [written(c, bytes([number])) for number in range(3)]
        for record in useless:
            bring(w, a, b, record.raw)
        assert all(b.station.post.carry.knows(record.id) for record in useless)
        for number in range(carry.MAX_REFUSED):
            b.station.post.carry.refuse(number.to_bytes(32, "big"))
        assert not any(b.station.post.carry.knows(record.id) for record in useless)
        assert b.inbox() == []
