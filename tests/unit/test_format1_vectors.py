"""Format version 1 as others have it on their disks and on the air: `tests/vectors/format1.json`.

When one of these fails, the code is wrong.  The file does not change; another format is another
version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.adapters.certificate import make_certificate, station_of
from appliance.model import signing
from appliance.model.card import Prekey, read_card
from appliance.model.identity import Address, StationId, StationKey
from appliance.model.message import Receipt, Text
from appliance.model.record import Record, Stamp, make_record, read_record
from appliance.model.secret import Secret
from appliance.protocol import sas
from appliance.protocol.acks import Ack, Outcome, decode_acks
from appliance.protocol.frames import Channel, Receiver, Sender
from appliance.protocol.hello import Callee, Caller, Hello
from appliance.protocol.keepalive import Control, ControlKind
from appliance.protocol.sealing import open_sealed

VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors/format1.json").read_text()
)
KEYS: Final = [StationKey.from_bytes(bytes.fromhex(one["secret"])) for one in VECTORS["identities"]]
ALICE, BOB = KEYS[0], KEYS[1]
PREKEY: Final = {name: bytes.fromhex(value) for name, value in VECTORS["prekey"].items()}
RECORDS: Final = VECTORS["records"]


@pytest.mark.parametrize("vector", VECTORS["identities"], ids=lambda one: one["tag"])
def test_what_follows_from_a_key(vector: dict[str, Any]) -> None:
    key = StationKey.from_bytes(bytes.fromhex(vector["secret"]))
    sid = key.id
    assert sid.key.hex() == vector["key"]
    assert (sid.text, sid.spoken, sid.tag) == (vector["text"], vector["spoken"], vector["tag"])
    assert StationId.parse(vector["spoken"]) == sid
    assert str(sid.address) == vector["address"]
    assert {line: sid.number(line) for line in vector["numbers"]} == vector["numbers"]
    assert sid.default_name == vector["name"]
    certificate = make_certificate(key).public_bytes(Encoding.DER)
    assert certificate.hex() == vector["certificate"]
    assert station_of(certificate) == sid


def test_a_signature() -> None:
    vector = VECTORS["signature"]
    parts = [bytes.fromhex(part) for part in vector["parts"]]
    assert ALICE.sign(vector["context"], *parts).hex() == vector["signature"]
    signature = bytes.fromhex(vector["signature"])
    assert signing.verify(ALICE.id.key, signature, vector["context"], *parts)
    assert not signing.verify(ALICE.id.key, signature, vector["context"], b"".join(parts))
    assert not signing.verify(ALICE.id.key, signature, "fencewire/session/1", *parts)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_read(name: str) -> None:
    vector = RECORDS[name]
    record = read_record(bytes.fromhex(vector["raw"]))
    assert record.id.hex() == vector["id"]
    assert int(record.kind) == vector["kind"]
    assert record.author.text == vector["author"]
    assert [str(address) for address in record.to] == vector["to"]
    assert (record.group.hex() if record.group else None) == vector["group"]
    assert int(record.precedence) == vector["precedence"]
    assert record.lifetime_s == vector["lifetime_s"]
    assert (record.prekey.hex() if record.prekey else None) == vector["prekey"]
    assert record.content.hex() == vector.get("content", record.content.hex())
    assert record.stamp == Stamp(7, b"\x01" * 8, 61_000, 1_790_000_000_000, record.stamp.certainty)
    assert int(record.stamp.certainty) == 1


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_written(name: str) -> None:
    """What signs it and the order of its fields; what is sealed is taken as it is."""
    record = read_record(bytes.fromhex(RECORDS[name]["raw"]))
    again = make_record(
        next(key for key in KEYS if key.id == record.author),
        record.kind,
        record.content,
        stamp=record.stamp,
        to=tuple(Address(address.station, address.line) for address in record.to),
        group=record.group,
        precedence=record.precedence,
        lifetime_s=record.lifetime_s,
        prekey=record.prekey,
    )
    assert again == record


def _content(record: Record) -> bytes:
    if record.prekey is None:
        return record.content
    assert record.prekey == PREKEY["id"]
    return open_sealed(
        record.content,
        author=record.author,
        recipient=BOB.id,
        kind=record.kind,
        prekey_id=record.prekey,
        secret=Secret(PREKEY["secret"]),
    )


@pytest.mark.parametrize("name", [name for name in RECORDS if "text" in RECORDS[name]])
def test_a_message_says(name: str) -> None:
    vector = RECORDS[name]
    said = Text(ALICE.id, vector["text"] * vector.get("times", 1))
    content = _content(read_record(bytes.fromhex(vector["raw"])))
    assert Text.decode(content) == said
    assert said.encode() == content


def test_a_card_says() -> None:
    record = read_record(bytes.fromhex(RECORDS["card"]["raw"]))
    card = read_card(record)
    expected = RECORDS["card"]["card"]
    assert (card.sequence, card.name) == (expected["sequence"], expected["name"])
    assert list(card.services) == expected["services"]
    numbers = VECTORS["identities"][1]["numbers"]
    assert {line.name: line.number for line in card.lines} == numbers
    assert card.prekey == Prekey(PREKEY["id"], PREKEY["public"])
    assert card.encode() == record.content


def test_a_receipt_says() -> None:
    vector = RECORDS["receipt"]
    receipt = Receipt.decode(read_record(bytes.fromhex(vector["raw"])).content)
    assert int(receipt.state) == vector["state"]
    assert [one.hex() for one in receipt.records] == vector["records"]


def test_two_stations_prove_their_keys() -> None:
    vector = {name: bytes.fromhex(value) for name, value in VECTORS["session"].items()}
    hellos = Hello.decode(vector["callee hello"]), Hello.decode(vector["caller hello"])
    callee = Callee(
        BOB,
        nonce=b"b" * 32,
        boot=b"bobs bot",
        token=b"token by bob....",
        port=18950,
        versions=(1,),
    )
    caller = Caller(
        ALICE,
        seen=BOB.id,
        wanted=BOB.id,
        nonce=b"a" * 32,
        boot=b"boot too",
        token=b"token by alice..",
        port=18951,
        versions=(1,),
    )
    assert callee.hello == vector["callee hello"]
    assert caller.answer(callee.hello) == (vector["caller hello"], vector["proof"])
    welcome, proved = callee.verify(vector["caller hello"], vector["proof"])
    assert welcome == vector["welcome"]
    assert (proved.peer, proved.peer_boot, proved.peer_port) == (ALICE.id, b"boot too", 18951)
    assert caller.finish(welcome).peer == BOB.id
    assert [hello.versions for hello in hellos] == [(1,), (1,)]
    assert [hello.callee for hello in hellos] == [None, BOB.id]


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda one: f"channel-{one['channel']}")
def test_frames(vector: dict[str, Any]) -> None:
    channel, message = Channel(vector["channel"]), bytes.fromhex(vector["message"])
    sender, receiver = Sender(), Receiver()
    sender.put(channel, message)
    frames = list(iter(sender.take, None))
    assert [frame.hex() for frame in frames] == vector["frames"]
    *others, last = [receiver.feed(bytes.fromhex(frame)) for frame in vector["frames"]]
    assert others == [None] * len(others)
    assert last == (channel, message)


def test_a_comparison() -> None:
    vector = VECTORS["comparison"]
    ours, theirs = (bytes.fromhex(vector[f"{side} nonce"]) for side in ("initiator", "responder"))
    read = [sas.SasMessage.decode(bytes.fromhex(message)) for message in vector["messages"]]
    committed = sas.commitment(ALICE.id, BOB.id, ours)
    kinds = sas.SasKind.COMMIT, sas.SasKind.NONCE, sas.SasKind.REVEAL, sas.SasKind.ABANDON
    values = committed, theirs, ours, b""
    expected = [
        sas.SasMessage(kind, b"attempt1", value) for kind, value in zip(kinds, values, strict=True)
    ]
    assert read == expected
    assert [message.encode().hex() for message in expected] == vector["messages"]
    shown = sas.digits(ALICE.id, BOB.id, initiator_nonce=ours, responder_nonce=theirs)
    assert shown == vector["digits"]
    assert sas.commitment_holds(committed, ALICE.id, BOB.id, ours)
    assert not sas.commitment_holds(committed, BOB.id, ALICE.id, ours)


def test_answers_and_pings() -> None:
    ping, bye, _, acks, *_ = (bytes.fromhex(vector["message"]) for vector in VECTORS["frames"])
    assert Control.decode(ping) == Control(ControlKind.PING, 5)
    assert Control.decode(bye) == Control(ControlKind.BYE, reason="stopping")
    assert decode_acks(acks) == (
        Ack(b"\x11" * 32, Outcome.STORED),
        Ack(b"\x22" * 32, Outcome.LATER),
    )
