"""Messages that are not sent, and records that are not taken; each says so and costs no more."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from mail_world import Desk, world

from appliance.model.attachment import MAX_PREVIEW_CHARS, Attachment
from appliance.model.card import Prekey
from appliance.model.codec import decode, encode
from appliance.model.identity import Address
from appliance.model.message import (
    MAX_ATTACHMENTS,
    MAX_TEXT_CHARS,
    DeliveryState,
    Receipt,
    Text,
)
from appliance.model.record import (
    Certainty,
    Record,
    RecordKind,
    Stamp,
    make_record,
)
from appliance.node.effects import Send, Transact
from appliance.node.writing import Draft, MessageRefusedError
from appliance.protocol.acks import Outcome, decode_acks
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import seal

LATE = Stamp(1000, b"\x07" * 8, 0, 0, Certainty.UNSET)


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
                Draft(to, "late", lifetime_s=31 * 86400),
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


def test_a_long_text_with_files_of_which_much_is_said_is_refused_and_not_lost() -> None:
    with world() as w:
        a, b = w.desks
        files = tuple(
            Attachment(bytes([n]) * 32, 1, "🐎" * 60, preview="🐎" * MAX_PREVIEW_CHARS)
            for n in range(MAX_ATTACHMENTS)
        )
        long, most = "🐎" * MAX_TEXT_CHARS, "🐎" * 11_000
        for to in (Address(b.id), None):
            for text in (long, most):
                assert codes(a, Draft(to, text, attachments=files)) == ["too-long"]
        a.write(b, long, attachments=files[:1])
        a.write(b, "short", attachments=files)
        w.settle()
        assert sorted(b.inbox()) == sorted([long, "short"])


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


def sealed(author: Desk, to: Desk, inside: Desk, prekey: Prekey, line: str = "console") -> Record:
    """A message that may say one thing outside and another inside."""
    content = seal(
        Text(inside.id, "hello").encode(),
        author=author.id,
        recipient=to.id,
        kind=RecordKind.MESSAGE,
        prekey=prekey,
    )
    return make_record(
        author.key,
        RecordKind.MESSAGE,
        content,
        stamp=LATE,
        to=(Address(to.id, line),),
        prekey=prekey.id,
    )


def wrong_records(a: Desk, b: Desk, c: Desk) -> dict[str, Record]:
    """What b must not take from a."""
    public = Text(a.id, "hello").encode()
    receipt = Receipt(DeliveryState.READ, (bytes(32),)).encode()
    message, noted = RecordKind.MESSAGE, RecordKind.RECEIPT
    to_b, to_c, prekey = Address(b.id), Address(c.id), b.prekey.id
    return {
        "another's name inside": sealed(a, b, c, b.prekey),
        "another key under our prekey's id": sealed(a, b, a, Prekey(b.prekey.id, c.prekey.public)),
        "for somebody else": sealed(a, c, a, c.prekey),
        "passed on with another's address": sealed(a, c, a, b.prekey),
        "no such line": sealed(a, b, a, b.prekey, "desk-9"),
        "not sealed": make_record(a.key, message, public, stamp=LATE, to=(to_b,)),
        "to two": make_record(a.key, message, public, stamp=LATE, to=(to_b, to_c), prekey=prekey),
        "for a group": make_record(a.key, message, public, stamp=LATE, group=bytes(32)),
        "sealed for everyone": make_record(a.key, message, public, stamp=LATE, prekey=prekey),
        "in another's name": make_record(a.key, message, Text(c.id, "hi").encode(), stamp=LATE),
        "our own": make_record(b.key, message, Text(b.id, "hi").encode(), stamp=LATE),
        "empty": make_record(a.key, message, b"\xa0", stamp=LATE),
        "another's receipt": make_record(a.key, noted, receipt, stamp=LATE, to=(to_c,)),
        "a receipt for all": make_record(a.key, noted, receipt, stamp=LATE),
        "a card": make_record(a.key, RecordKind.CARD, b"\xa0", stamp=LATE),
    }


def test_what_is_not_for_us_or_not_by_its_author_is_refused() -> None:
    with world(desks=3) as w:
        a, b, c = w.desks
        before = b.station.clock._counter
        for name, record in wrong_records(a, b, c).items():
            assert answer(b, a, record) is Outcome.REFUSED, name
        assert b.station.clock._counter == before
        public = Text(a.id, "hello").encode()
        assert answer(b, a, sealed(a, b, a, b.prekey)) is None
        assert answer(b, a, make_record(a.key, RecordKind.MESSAGE, public, stamp=LATE)) is None
        assert b.station.clock._counter > before


def test_a_record_of_a_newer_kind_costs_only_itself() -> None:
    with world() as w:
        a, b = w.desks
        known = make_record(a.key, RecordKind.MESSAGE, b"", stamp=LATE)
        fields = decode(decode(known.raw, limit=9999)[0], limit=9999)  # type: ignore[index]
        assert isinstance(fields, dict)
        for newer in ({1: 40}, {0: 2}):
            body = encode({**fields, **newer})
            raw = encode([body, bytes(64)])
            record = replace(known, raw=raw, id=hashlib.sha256(body).digest())
            assert answer(b, a, record) is Outcome.REFUSED
