"""Wrote `format1.json`, once.

The file is the truth and this is how it came about: it never changes for format version 1, whatever
becomes of the code.  A new format version gets a script and a file of its own.  Run it as
``python -m tests.vectors.make_format1``; it refuses to write over what is there.  The two sealed
contents come out differently each time, since HPKE makes a new key for each.
"""

from __future__ import annotations

import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.adapters.certificate import make_certificate
from appliance.model import signing
from appliance.model.card import Card, Line, Prekey
from appliance.model.identity import CONSOLE, Address, StationKey
from appliance.model.message import DeliveryState, Receipt, Text
from appliance.model.record import Certainty, Precedence, Record, RecordKind, Stamp, make_record
from appliance.protocol import sas
from appliance.protocol.acks import Ack, Outcome, encode_acks
from appliance.protocol.frames import MAX_FRAME, Channel, Sender
from appliance.protocol.hello import Callee, Caller
from appliance.protocol.keepalive import Control, ControlKind
from appliance.protocol.sealing import seal

FILE = Path(__file__).with_name("format1.json")
SECRETS = (bytes(range(32)), bytes(range(32, 64)), b"\xff" * 32)
ALICE, BOB, _ = KEYS = tuple(StationKey.from_bytes(secret) for secret in SECRETS)
PREKEY_SECRET = bytes(range(64, 96))
PREKEY = Prekey(
    b"prekey 1", X25519PrivateKey.from_private_bytes(PREKEY_SECRET).public_key().public_bytes_raw()
)
STAMP = Stamp(
    lamport=7,
    boot=b"\x01" * 8,
    uptime_ms=61_000,
    wall_ms=1_790_000_000_000,
    certainty=Certainty.PEERS,
)
TEXT = "Clip on: water at the school, 5 km north. Ñandú 🐎"


def identities() -> list[object]:
    return [
        {
            "secret": key.secret_bytes().hex(),
            "key": key.id.key.hex(),
            "text": key.id.text,
            "spoken": key.id.spoken,
            "tag": key.id.tag,
            "address": str(key.id.address),
            "numbers": {line: key.id.number(line) for line in (CONSOLE, "desk-1")},
            "name": key.id.default_name,
            "certificate": make_certificate(key).public_bytes(Encoding.DER).hex(),
        }
        for key in KEYS
    ]


def described(record: Record) -> dict[str, object]:
    return {
        "raw": record.raw.hex(),
        "id": record.id.hex(),
        "kind": int(record.kind),
        "author": record.author.text,
        "to": [str(address) for address in record.to],
        "group": record.group.hex() if record.group else None,
        "precedence": int(record.precedence),
        "lifetime_s": record.lifetime_s,
        "prekey": record.prekey.hex() if record.prekey else None,
        "content": record.content.hex(),
    }


def records() -> dict[str, object]:
    text = Text(ALICE.id, TEXT).encode()
    to_bob = (Address(BOB.id),)

    def sealed(content: bytes) -> Record:
        sealed = seal(
            content,
            author=ALICE.id,
            recipient=BOB.id,
            kind=RecordKind.MESSAGE,
            prekey=PREKEY,
        )
        return make_record(
            ALICE,
            RecordKind.MESSAGE,
            sealed,
            stamp=STAMP,
            to=to_bob,
            precedence=Precedence.EMERGENCY,
            lifetime_s=3600,
            prekey=PREKEY.id,
        )

    everyone = make_record(ALICE, RecordKind.MESSAGE, text, stamp=STAMP)
    group = make_record(ALICE, RecordKind.MESSAGE, text, stamp=STAMP, group=b"\x67" * 32)
    card = Card(
        sequence=3,
        name="Bob's barn",
        lines=(Line(CONSOLE, BOB.id.number()), Line("desk-1", BOB.id.number("desk-1"))),
        prekey=PREKEY,
        services=("long-link",),
    )
    longest = described(sealed(Text(ALICE.id, "🐎" * 16_000).encode()))
    del longest["content"]
    receipt = Receipt(DeliveryState.DELIVERED, (everyone.id, group.id))
    return {
        "message to everyone": described(everyone) | {"text": TEXT},
        "message to a group": described(group) | {"text": TEXT},
        "sealed message": described(sealed(text)) | {"text": TEXT},
        "longest sealed message": longest | {"text": "🐎", "times": 16_000},
        "card": described(make_record(BOB, RecordKind.CARD, card.encode(), stamp=STAMP))
        | {"card": {"sequence": card.sequence, "name": card.name, "services": card.services}},
        "receipt": described(
            make_record(
                BOB,
                RecordKind.RECEIPT,
                receipt.encode(),
                stamp=STAMP,
                to=(Address(ALICE.id),),
            )
        )
        | {"state": int(receipt.state), "records": [one.hex() for one in receipt.records]},
    }


def session() -> dict[str, object]:
    callee = Callee(BOB, nonce=b"b" * 32, boot=b"bobs bot", token=b"token by bob....", port=18950)
    caller = Caller(
        ALICE,
        seen=BOB.id,
        wanted=BOB.id,
        nonce=b"a" * 32,
        boot=b"boot too",
        token=b"token by alice..",
        port=18951,
    )
    hello, proof = caller.answer(callee.hello)
    welcome, _ = callee.verify(hello, proof)
    return {
        "callee hello": callee.hello.hex(),
        "caller hello": hello.hex(),
        "proof": proof.hex(),
        "welcome": welcome.hex(),
    }


def frames() -> list[object]:
    made: list[object] = []
    for channel, message in (
        (Channel.CONTROL, Control(ControlKind.PING, 5).encode()),
        (Channel.CONTROL, Control(ControlKind.BYE, reason="stopping").encode()),
        (Channel.SIP, b"OPTIONS sip:b SIP/2.0\r\n\r\n"),
        (
            Channel.ACK,
            encode_acks((Ack(b"\x11" * 32, Outcome.STORED), Ack(b"\x22" * 32, Outcome.LATER))),
        ),
        (Channel.CARD, b""),
        (Channel.RECORD, bytes(MAX_FRAME)),
    ):
        sender = Sender()
        sender.put(channel, message)
        cut = list(iter(sender.take, None))
        made.append(
            {
                "channel": int(channel),
                "message": message.hex(),
                "frames": [frame.hex() for frame in cut],
            }
        )
    return made


def comparison() -> dict[str, object]:
    nonces = b"\x0a" * 32, b"\x0b" * 32
    attempt = b"attempt1"
    committed = sas.commitment(ALICE.id, BOB.id, nonces[0])
    steps = (
        (sas.SasKind.COMMIT, committed),
        (sas.SasKind.NONCE, nonces[1]),
        (sas.SasKind.REVEAL, nonces[0]),
        (sas.SasKind.ABANDON, b""),
    )
    return {
        "initiator nonce": nonces[0].hex(),
        "responder nonce": nonces[1].hex(),
        "messages": [sas.SasMessage(kind, attempt, value).encode().hex() for kind, value in steps],
        "digits": sas.digits(
            ALICE.id, BOB.id, initiator_nonce=nonces[0], responder_nonce=nonces[1]
        ),
    }


def main() -> None:
    vectors = {
        "identities": identities(),
        "signature": {
            "context": signing.RECORD_CONTEXT,
            "parts": ["", "00", "66656e6365"],
            "signature": ALICE.sign(signing.RECORD_CONTEXT, b"", b"\0", b"fence").hex(),
        },
        "prekey": {
            "id": PREKEY.id.hex(),
            "public": PREKEY.public.hex(),
            "secret": PREKEY_SECRET.hex(),
        },
        "records": records(),
        "session": session(),
        "frames": frames(),
        "comparison": comparison(),
    }
    with FILE.open("x") as file:
        json.dump(vectors, file, indent=1, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
