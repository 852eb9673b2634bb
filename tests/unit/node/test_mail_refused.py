"""Messages that are not sent, and records that are not taken; each says so and costs no more."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from mail_world import Desk, world

from appliance.model.card import Prekey
from appliance.model.codec import decode, encode
from appliance.model.identity import Address
from appliance.model.message import MAX_TEXT_CHARS, DeliveryState, Receipt, Text
from appliance.model.record import (
    Certainty,
    Record,
    RecordKind,
    Stamp,
    make_record,
)
from appliance.node.effects import Send, Transact
from appliance.node.mailbox import Draft, MessageRefusedError
from appliance.protocol.acks import Outcome, decode_acks
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import seal

STAMP = Stamp(1, b"\x07" * 8, 0, 0, Certainty.UNSET)


def codes(desk: Desk, *drafts: Draft) -> list[str]:
    found = []
    for draft in drafts:
        with pytest.raises(MessageRefusedError) as error:
            desk.station.write(draft, desk.now, done=print, failed=print)
        found.append(error.value.code)
    return found


def test_what_can_not_be_sent_is_said() -> None:
    with world(desks=3) as w:
        a, b, stranger = w.desks
        to = Address(b.id)
        assert (
            codes(
                a,
                Draft(to, "x" * (MAX_TEXT_CHARS + 1)),
                Draft(None, "x" * (MAX_TEXT_CHARS + 1)),
                Draft(to, ""),
                Draft(to, " \n"),
                Draft(to, "\ud800"),
                Draft(to, "late", lifetime_s=-1),
                Draft(to, "late", lifetime_s=367 * 86400),
                Draft(Address(a.id), "me"),
                Draft(Address(stranger.id), "who?"),
            )
            == "too-long too-long empty empty not-text lifetime lifetime self no-card".split()
        )
        longest = "🐎" * MAX_TEXT_CHARS
        a.write(b, longest)
        a.write(None, longest)
        w.settle()
        assert b.inbox() == [longest] * 2


def answer(desk: Desk, peer: Desk, record: Record) -> Outcome | None:
    """What a desk says to a record; None: it stores it."""
    effects = desk.station.message_received(
        desk.station.peers.sessions()[0].handle, peer.id, Channel.RECORD, record.raw, desk.now
    )
    (effect,) = effects
    if isinstance(effect, Send):
        assert effect.channel is Channel.ACK
        (ack,) = decode_acks(effect.data)
        assert ack.record == record.id
        return ack.outcome
    assert isinstance(effect, Transact)
    return None


def test_what_is_not_for_us_or_not_by_its_author_is_refused() -> None:
    with world(desks=3) as w:
        a, b, c = w.desks

        def sealed(
            inside: Desk = a,
            prekey: Prekey = b.prekey,
            to: Desk = b,
            line: str = "console",
            **more: Any,
        ) -> Record:
            content = seal(
                Text(inside.id, "hello").encode(),
                author=a.id,
                recipient=to.id,
                kind=RecordKind.MESSAGE,
                prekey=prekey,
            )
            return make_record(
                a.key,
                RecordKind.MESSAGE,
                content,
                stamp=STAMP,
                to=(Address(to.id, line),),
                prekey=prekey.id,
            )

        public = Text(a.id, "hello").encode()
        receipt = Receipt(DeliveryState.READ, (bytes(32),)).encode()
        assert answer(b, a, sealed()) is None
        assert answer(b, a, make_record(a.key, RecordKind.MESSAGE, public, stamp=STAMP)) is None
        before = b.station.clock._counter
        late = Stamp(before + 1000, b"\x07" * 8, 0, 0, Certainty.UNSET)
        for name, record in {
            "another's name inside": sealed(inside=c),
            "another's prekey": sealed(prekey=c.prekey),
            "a prekey that has another id": sealed(prekey=Prekey(b"12345678", b.prekey.public)),
            "for somebody else": sealed(to=c, prekey=c.prekey),
            "passed on with another's address": sealed(to=c, prekey=b.prekey),
            "no such line": sealed(line="desk-9"),
            "not sealed at all": make_record(
                a.key, RecordKind.MESSAGE, public, stamp=late, to=(Address(b.id),)
            ),
            "to two": make_record(
                a.key,
                RecordKind.MESSAGE,
                public,
                stamp=late,
                to=(Address(b.id), Address(c.id)),
                prekey=b.prekey.id,
            ),
            "for a group": make_record(
                a.key, RecordKind.MESSAGE, public, stamp=late, group=bytes(32)
            ),
            "sealed for everyone": make_record(
                a.key, RecordKind.MESSAGE, public, stamp=late, prekey=b.prekey.id
            ),
            "in another's name": make_record(
                a.key, RecordKind.MESSAGE, Text(c.id, "hi").encode(), stamp=late
            ),
            "our own": make_record(
                b.key, RecordKind.MESSAGE, Text(b.id, "hi").encode(), stamp=late
            ),
            "empty": make_record(a.key, RecordKind.MESSAGE, b"\xa0", stamp=late),
            "another's receipt": make_record(
                a.key, RecordKind.RECEIPT, receipt, stamp=late, to=(Address(c.id),)
            ),
            "a receipt for all": make_record(a.key, RecordKind.RECEIPT, receipt, stamp=late),
            "a card": make_record(a.key, RecordKind.CARD, b"\xa0", stamp=late),
        }.items():
            assert answer(b, a, record) is Outcome.REFUSED, name
        assert b.station.clock._counter == before


def test_a_record_of_a_newer_kind_costs_only_itself() -> None:
    with world() as w:
        a, b = w.desks
        known = make_record(a.key, RecordKind.MESSAGE, b"", stamp=STAMP)
        fields = decode(decode(known.raw, limit=9999)[0], limit=9999)  # type: ignore[index]
        assert isinstance(fields, dict)
        for newer in ({1: 40}, {0: 2}):
            body = encode({**fields, **newer})
            raw = encode([body, bytes(64)])
            record = replace(known, raw=raw, id=hashlib.sha256(body).digest())
            assert answer(b, a, record) is Outcome.REFUSED
