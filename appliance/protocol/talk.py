"""Messages of the TALK channel: who holds the key of a talk group, and who wants to hear it.

Each is a CBOR map whose key 0 says what it is; kinds that a newer station adds are ignored, and so
are keys from 64 on.

A spurt is one time of holding the key.  While it lasts its speaker claims the floor each second, so
that who comes late learns of it too, and at its end says so in a claim that is not held.  Claims
go from neighbour to neighbour to everybody; they are signed by the speaker, so that nobody who
passes them on can make any.  A join goes one hop, towards the speaker, and asks for the packets.

    claim   1  signed bytes   2  signature   3  hops that it has come
            the signed bytes:
            0  channel    4  number in the spurt   8  its boot        12  form of the sound
            1  speaker    5  precedence            9  count of spurts in this boot
            2  nonce      6  order                10  wall clock, ms
            3  held       7  id of the key        11  whether that is sure
    join    1  spurt      2  UDP port   3  report, once something has come: numbers in this order
            0  newest packet    2  of the last 52, which came   4  lost in a row, 1/10
            1  when written     3  lost, 1/1000                 5  limit, bit/s    6  cut off
    joined  1  spurt      2  UDP port
    leave   1  spurt
    full    1  spurt
    thin    1  spurt
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Final, TypeAlias

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.identity import KEY_SIZE, StationId, StationKey, hash_for
from appliance.model.record import BOOT_SIZE, PREKEY_ID_SIZE, Precedence
from appliance.model.signing import SIGNATURE_SIZE, verify
from appliance.model.talk_media import MAX_WITHOUT, REPORTED, TalkReport
from appliance.protocol.frames import MAX_MESSAGE, Channel

CLAIM_CONTEXT: Final = "fencewire/talk-claim/1"
CHANNEL_SIZE: Final = 16
NONCE_SIZE: Final = 16
SPURT_SIZE: Final = 16

MAX_HOPS: Final = 64
"""How far a claim goes: a grid of 1,000 stations is 62 across."""

REFRESH_S: Final = 1.0
"""How often a claim is said again."""

LIMIT_S: Final = 60.0
"""The longest spurt: nobody keeps the others from speaking by leaning on the key."""

MAX_NUMBER: Final = 256
"""Claims of one spurt: one each second, and its end."""

MAX_ORDER: Final = 1 << 48

FORM: Final = 1
"""How the sound is sent, where it is not for passing on alone: Opus in SRTP under AES-128-GCM."""

_CLAIM, _JOIN, _JOINED, _LEAVE, _FULL, _THIN = range(6)


@dataclass(frozen=True)
class Claim:
    """A speaker's word that it holds the key of a channel."""

    channel: bytes
    """Which: 16 bytes that only members can tell the group of."""

    speaker: StationId
    """Who."""

    nonce: bytes
    """16 random bytes of this spurt; its key is made of them."""

    held: bool
    """False: the spurt is over."""

    number: int
    """Counts the claims of this spurt, from 0."""

    precedence: Precedence
    """A higher one takes the floor from a lower one ..."""

    order: int
    """... and among equal ones the lowest of these has it: what the speaker had heard, and one."""

    key_id: bytes
    """Of the group's key from which that of the spurt is made; empty: the channel is open."""

    boot: bytes
    """This start of the speaker."""

    count: int
    """Of the spurts in it: no claim of an earlier one counts any more."""

    wall_ms: int
    """By the speaker's clock."""

    sure: bool
    """Whether it thinks that this is right."""

    form: int = FORM
    """Of the sound."""

    @cached_property
    def spurt(self) -> bytes:
        """16 bytes that name the spurt; nobody else can make one with this name."""
        return hash_for("talk-spurt", self.channel + self.speaker.key + self.nonce)[:SPURT_SIZE]

    @property
    def ssrc(self) -> int:
        """The synchronisation source of its packets (RFC 3550)."""
        return int.from_bytes(hash_for("talk-ssrc", self.spurt)[:4], "big")

    @property
    def rank(self) -> tuple[int, int, bytes, bytes]:
        """Sorts claims to a floor: the lowest has it, everywhere."""
        return (-self.precedence, self.order, self.speaker.key, self.spurt)

    def signed(self) -> bytes:
        """Return what is signed."""
        return encode(
            {
                0: self.channel,
                1: self.speaker.key,
                2: self.nonce,
                3: int(self.held),
                4: self.number,
                5: int(self.precedence),
                6: self.order,
                7: self.key_id,
                8: self.boot,
                9: self.count,
                10: self.wall_ms,
                11: int(self.sure),
                12: self.form,
            }
        )


@dataclass(frozen=True)
class Flooded:
    """A claim as it goes from neighbour to neighbour."""

    claim: Claim
    """What was claimed."""

    body: bytes
    """What was signed."""

    signature: bytes
    """By the speaker."""

    hops: int
    """How many it has come; not signed, a hint."""

    def is_genuine(self) -> bool:
        """Tell whether the speaker signed it."""
        return verify(self.claim.speaker.key, self.signature, CLAIM_CONTEXT, self.body)


@dataclass(frozen=True)
class Join:
    """Send me the packets of a spurt; said again each second, else it ends after three."""

    spurt: bytes
    """Which."""

    port: int
    """To which UDP port, at the address of the session."""

    report: TalkReport | None = None
    """How it came lately."""


@dataclass(frozen=True)
class Joined:
    """They will come as soon as they are here."""

    spurt: bytes
    """Which."""

    port: int
    """From which UDP port."""


@dataclass(frozen=True)
class Leave:
    """Send me no more of a spurt."""

    spurt: bytes
    """Which."""


@dataclass(frozen=True)
class Full:
    """No more can be served: try another."""

    spurt: bytes
    """Which."""


@dataclass(frozen=True)
class Thin:
    """No sound comes any more: the way here does not take as much."""

    spurt: bytes
    """Which."""


_PLAIN: Final[Mapping[int, type[Leave | Full | Thin]]] = {_LEAVE: Leave, _FULL: Full, _THIN: Thin}

TalkMessage: TypeAlias = Flooded | Join | Joined | Leave | Full | Thin


def make_claim(claim: Claim, key: StationKey) -> Flooded:
    """Sign a claim of ours."""
    body = claim.signed()
    return Flooded(claim, body, key.sign(CLAIM_CONTEXT, body), 0)


def encode_talk(message: TalkMessage) -> bytes:
    """Return the bytes of a message."""
    match message:
        case Flooded(_, body, signature, hops):
            return encode({0: _CLAIM, 1: body, 2: signature, 3: hops})
        case Join(spurt, port, report):
            told = {} if report is None else {3: dict(enumerate(astuple(report)))}
            return encode({0: _JOIN, 1: spurt, 2: port, **told})
        case Joined(spurt, port):
            return encode({0: _JOINED, 1: spurt, 2: port})
        case Leave(spurt):
            return encode({0: _LEAVE, 1: spurt})
        case Full(spurt):
            return encode({0: _FULL, 1: spurt})
        case Thin(spurt):
            return encode({0: _THIN, 1: spurt})


def decode_talk(data: bytes) -> TalkMessage | None:
    """Read a message; None: of a kind that only newer stations know.  Raises FormatError.

    Whether a claim's signature is right has not been looked at.
    """
    fields = Fields(decode(data, limit=MAX_MESSAGE[Channel.TALK]), "talk")
    kind = fields.uint(0, below=256)
    message: TalkMessage
    if kind == _CLAIM:
        body = fields.data(1, limit=MAX_MESSAGE[Channel.TALK])
        signature = fields.data(2, size=SIGNATURE_SIZE)
        message = Flooded(_claim(body), body, signature, fields.uint(3, below=MAX_HOPS))
    elif kind in {_JOIN, _JOINED}:
        spurt, port = fields.data(1, size=SPURT_SIZE), fields.uint(2, below=1 << 16)
        if not port:
            raise FormatError("talk: no port")
        if kind == _JOINED:
            message = Joined(spurt, port)
        else:
            report = _report(fields.inner(3)) if fields.has(3) else None
            message = Join(spurt, port, report)
    elif (plain := _PLAIN.get(kind)) is not None:
        message = plain(fields.data(1, size=SPURT_SIZE))
    else:
        return None
    fields.end()
    return message


def _report(fields: Fields) -> TalkReport:
    report = TalkReport(
        highest=fields.uint(0, below=1 << 16),
        written_ms=fields.uint(1, below=1 << 53),
        arrived=fields.uint(2, below=1 << REPORTED),
        loss=fields.uint(3, below=1001),
        burst=fields.uint(4, below=1001),
        limit_bit_s=fields.uint(5, below=1 << 31),
        without=fields.uint(6, below=MAX_WITHOUT + 1),
    )
    fields.end()
    return report


def _claim(body: bytes) -> Claim:
    fields = Fields(decode(body, limit=len(body)), "claim")
    claim = Claim(
        channel=fields.data(0, size=CHANNEL_SIZE),
        speaker=StationId(fields.data(1, size=KEY_SIZE)),
        nonce=fields.data(2, size=NONCE_SIZE),
        held=bool(fields.uint(3, below=2)),
        number=fields.uint(4, below=MAX_NUMBER),
        precedence=Precedence(fields.uint(5, below=len(Precedence))),
        order=fields.uint(6, below=MAX_ORDER),
        key_id=fields.data(7, limit=PREKEY_ID_SIZE),
        boot=fields.data(8, size=BOOT_SIZE),
        count=fields.uint(9, below=1 << 32),
        wall_ms=fields.uint(10, below=1 << 53),
        sure=bool(fields.uint(11, below=2)),
        form=fields.uint(12, below=256),
    )
    fields.end()
    return claim
