"""Session descriptions (RFC 4566) and offer/answer (RFC 3264) for one Opus voice stream.

Beside plain Opus (RFC 7587) redundant Opus is offered (RFC 2198), and reports of each lost packet
(RFC 3611); who knows neither leaves both out of the answer.

Only what a call needs is read: the first audio stream over SRTP, its formats, keys, address and
direction.  Lines that are not known are ignored; known ones that are wrong are a `SipError`.
Video, several streams and codecs other than Opus stay out; they are answered with port 0.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.protocol.sip.reader import SipError
from appliance.protocol.sip.sdes import Crypto

MAX_SDP_BYTES: Final = 8_192
"""Ours."""

MAX_LINES: Final = 256
"""Ours."""

MAX_MEDIA: Final = 8
"""Ours: ``m=`` lines."""

MAX_CRYPTO: Final = 8
"""Ours: ``a=crypto`` lines that are looked at; further ones are ignored."""

SECURE_PROFILES: Final = frozenset({"RTP/SAVP", "RTP/SAVPF"})
"""RFC 3711, RFC 5124: the profiles with SRTP."""

DEFAULT_PAYLOAD_TYPE: Final = 96
"""RFC 3551 section 6: the first dynamic one."""

RED_PAYLOAD_TYPE: Final = 97
"""RFC 3551 section 6: the second dynamic one."""

OPUS_PARAMETERS: Final = (
    "useinbandfec=1;minptime=10;maxaveragebitrate=32000;maxplaybackrate=48000;stereo=0"
)
"""RFC 7587 section 6.1: what we receive best."""

MAX_PTIME_MS: Final = 120
"""RFC 4566 section 6: the longest packets that we take."""

LOSS_REPORTS: Final = "rtcp-xr:pkt-loss-rle"
"""RFC 3611 section 5.1: tell us which packets came."""

_MEDIA: Final = re.compile(
    r"([a-z]{1,16}) ([0-9]{1,5})(?:/[0-9]{1,5})? ([A-Za-z/]{1,32}) (.{1,400})"
)
_CONNECTION: Final = re.compile(r"IN IP([46]) ([0-9A-Fa-f:.]{1,45})(?:/[0-9/]{1,12})?")
_LIMIT: Final = re.compile(r"AS:([1-9][0-9]{0,6})")
_RTPMAP: Final = re.compile(r"([0-9]{1,3}) +([A-Za-z0-9.-]{1,32})/([0-9]{1,6})(?:/([0-9]{1,2}))?")


class Direction(StrEnum):
    """Which way sound flows, seen from who wrote the description (RFC 3264 section 5.1)."""

    SENDRECV = "sendrecv"
    """Both."""

    SENDONLY = "sendonly"
    """From the writer."""

    RECVONLY = "recvonly"
    """To the writer."""

    INACTIVE = "inactive"
    """Neither."""


MIRRORED: Final = {
    Direction.SENDRECV: Direction.SENDRECV,
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
    Direction.INACTIVE: Direction.INACTIVE,
}
"""What an answer says to each (section 6.1)."""


@dataclass(frozen=True)
class Voice:
    """The voice stream of a description."""

    host: str
    """Address that it is received at, without scope; only a hint between stations."""

    port: int
    """UDP port, RTP and RTCP together (RFC 5761); 0: the stream is refused."""

    payload_type: int
    """RTP payload type of Opus."""

    crypto: tuple[Crypto, ...]
    """Keys, best first: several in an offer, one in an answer."""

    direction: Direction = Direction.SENDRECV
    """Which way sound flows."""

    profile: str = "RTP/SAVP"
    """``RTP/SAVP`` or ``RTP/SAVPF``; an answer repeats that of the offer."""

    rtcp_mux: bool = True
    """RTP and RTCP share the port."""

    red_payload_type: int | None = None
    """RTP payload type of redundant Opus (RFC 2198); None: the writer does not take it."""

    dtx: bool = False
    """The writer wants silence not to be sent to it (RFC 7587 section 6.1: usedtx)."""

    loss_reports: bool = False
    """The writer wants to be told which packets came (RFC 3611 section 5.1)."""

    max_ptime_ms: int | None = None
    """Longest packets that the writer takes (RFC 4566 section 6); None: not said."""

    limit_kbit: int | None = None
    """What the writer's end of the way takes, with all headers (RFC 4566 section 5.8: b=AS); None:
    not said."""


@dataclass(frozen=True)
class Description:
    """A session description."""

    session_id: int
    """``o=``: the same as long as the session lasts (RFC 4566 section 5.2)."""

    version: int
    """``o=``: one more with every new description (RFC 3264 section 8)."""

    voice: Voice
    """The stream that we talk over."""

    position: int = 0
    """Which ``m=`` line it is."""

    refused: tuple[str, ...] = ()
    """The other ``m=`` lines in order, as media, profile and format: answered with port 0."""

    def __bytes__(self) -> bytes:
        """Return the description, with its keys: for the wire alone."""
        voice = self.voice
        where = f"IN IP{6 if ':' in voice.host else 4} {voice.host}"
        opus, red = voice.payload_type, voice.red_payload_type
        media = [f"m={_with_port_0(line)}" for line in self.refused]
        # Whoever takes the first format gets what all know (RFC 3264 section 5.1: by preference,
        # but redundancy is only used where both say so).
        formats = f"{opus}" if red is None else f"{opus} {red}"
        lines = [f"m=audio {voice.port} {voice.profile} {formats}"]
        if voice.port:
            lines += [
                *([] if voice.limit_kbit is None else [f"b=AS:{voice.limit_kbit}"]),
                f"a=rtpmap:{opus} opus/48000/2",
                f"a=fmtp:{opus} {OPUS_PARAMETERS}{';usedtx=1' if voice.dtx else ''}",
                *([] if red is None else [f"a=rtpmap:{red} red/48000/2"]),
                *([] if red is None else [f"a=fmtp:{red} {opus}/{opus}"]),
                "a=ptime:20",
                *([] if voice.max_ptime_ms is None else [f"a=maxptime:{voice.max_ptime_ms}"]),
                *([f"a={LOSS_REPORTS}"] if voice.loss_reports else []),
                *(f"a=crypto:{crypto.to_attribute()}" for crypto in voice.crypto),
                *(["a=rtcp-mux"] if voice.rtcp_mux else []),
                f"a={voice.direction}",
            ]
        media.insert(self.position, "\r\n".join(lines))
        head = [
            "v=0",
            f"o=- {self.session_id} {self.version} {where}",
            "s=-",
            f"c={where}",
            "t=0 0",
        ]
        return ("\r\n".join([*head, *media]) + "\r\n").encode()


def _with_port_0(line: str) -> str:
    medium, profile, formats = line.split(" ", 2)
    return f"{medium} 0 {profile} {formats}"


@dataclass
class _Block:
    """One ``m=`` line with what belongs to it."""

    medium: str
    port: int
    profile: str
    formats: list[str]
    connection: str | None
    attributes: list[str]
    limit_kbit: int | None = None


def read_description(body: bytes) -> Description | None:
    """Read an offer or an answer.

    Returns None when it is well-formed but has no stream that we can talk over: no audio by Opus
    over SRTP, or no key that we can use.  Raises SipError when it is malformed.
    """
    lines = _lines(body)
    blocks, session = _blocks(lines)
    origin = next((value for kind, value in lines if kind == "o"), "")
    session_id, version = _origin(origin)
    for position, block in enumerate(blocks):
        voice = _voice(block, session)
        if voice is not None:
            others = blocks[:position] + blocks[position + 1 :]
            refused = tuple(f"{o.medium} {o.profile} {' '.join(o.formats)}" for o in others)
            return Description(session_id, version, voice, position, refused)
    return None


def _lines(body: bytes) -> list[tuple[str, str]]:
    if len(body) > MAX_SDP_BYTES:
        raise SipError("the SDP is too long")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise SipError("the SDP is not UTF-8") from None
    raw = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(raw) > MAX_LINES:
        raise SipError("the SDP has too many lines")
    lines = []
    for line in raw:
        if len(line) < 2 or line[1] != "=" or not line[0].isalpha():
            raise SipError("a line of the SDP is not type=value")
        if not line.isprintable():
            raise SipError("a line of the SDP has a control character")
        lines.append((line[0], line[2:]))
    if lines[0] != ("v", "0"):
        raise SipError("the SDP does not begin with v=0")
    return lines


def _origin(value: str) -> tuple[int, int]:
    parts = value.split()
    numbers = [part for part in parts[1:3] if re.fullmatch(r"[0-9]{1,20}", part)]
    if len(parts) != 6 or len(numbers) != 2:
        raise SipError("the SDP's o= is wrong")
    return int(numbers[0]), int(numbers[1])


def _blocks(lines: list[tuple[str, str]]) -> tuple[list[_Block], _Block]:
    """Split the lines by ``m=``; the second result is what holds for the whole session."""
    session = _Block("", 0, "", [], None, [])
    blocks: list[_Block] = []
    current = session
    for kind, value in lines:
        if kind == "m":
            match = _MEDIA.fullmatch(value)
            if match is None or int(match[2]) > 65_535:
                raise SipError("an m= line of the SDP is wrong")
            current = _Block(match[1], int(match[2]), match[3], match[4].split(), None, [])
            blocks.append(current)
            if len(blocks) > MAX_MEDIA:
                raise SipError("the SDP has too many streams")
            if not current.formats:
                raise SipError("an m= line of the SDP has no format")
        elif kind == "c" and current.connection is None:
            current.connection = _connection(value)
        elif kind == "b" and (limit := _LIMIT.fullmatch(value)) is not None:
            current.limit_kbit = int(limit[1])
        elif kind == "a":
            current.attributes.append(value)
    return blocks, session


def _connection(value: str) -> str:
    match = _CONNECTION.fullmatch(value)
    if match is None:
        raise SipError("a c= line of the SDP is wrong")
    try:
        address = ipaddress.ip_address(match[2])
    except ValueError:
        raise SipError("a c= line of the SDP has no address") from None
    if str(address.version) != match[1]:
        raise SipError("a c= line of the SDP names the wrong family")
    return str(address)


def _voice(block: _Block, session: _Block) -> Voice | None:
    if block.medium != "audio" or block.profile not in SECURE_PROFILES or block.port == 0:
        return None
    host = block.connection or session.connection
    if host is None:
        raise SipError("the SDP has no address")
    payload_type = _opus(block)
    found = (Crypto.parse(value) for value in _values(block, "crypto")[:MAX_CRYPTO])
    crypto = tuple(attribute for attribute in found if attribute is not None)
    if payload_type is None or not crypto:
        return None
    directions = [value for value in (*block.attributes, *session.attributes) if value in _WAYS]
    return Voice(
        host=host,
        port=block.port,
        payload_type=payload_type,
        crypto=crypto,
        direction=Direction(directions[0]) if directions else Direction.SENDRECV,
        profile=block.profile,
        rtcp_mux="rtcp-mux" in block.attributes,
        red_payload_type=_red(block, payload_type),
        dtx="usedtx=1" in _parameters(block, payload_type),
        loss_reports=any("pkt-loss-rle" in value for value in _values(block, "rtcp-xr")),
        max_ptime_ms=_max_ptime_ms(block),
        limit_kbit=block.limit_kbit,
    )


def _values(block: _Block, name: str) -> list[str]:
    prefix = f"{name}:"
    return [value[len(prefix) :] for value in block.attributes if value.startswith(prefix)]


def _opus(block: _Block) -> int | None:
    """Return the payload type of Opus among the stream's formats."""
    return next(iter(_mapped(block, "opus")), None)


def _mapped(block: _Block, encoding: str) -> list[int]:
    """Return the dynamic payload types among the stream's formats that stand for an encoding."""
    found = []
    for value in _values(block, "rtpmap"):
        match = _RTPMAP.fullmatch(value.strip())
        if match is None:
            raise SipError("an rtpmap of the SDP is wrong")
        meant = (match[2].lower(), match[3], match[4]) == (encoding, "48000", "2")
        if meant and match[1] in block.formats and 96 <= int(match[1]) <= 127:
            found.append(int(match[1]))
    return found


def _parameters(block: _Block, payload_type: int) -> list[str]:
    """Return the parameters of a format (RFC 4566 section 6: fmtp)."""
    prefix = f"{payload_type} "
    values = [value for value in _values(block, "fmtp") if value.startswith(prefix)]
    return [part.strip() for value in values for part in value[len(prefix) :].split(";")]


def _red(block: _Block, opus: int) -> int | None:
    """Return the payload type of redundancy that repeats Opus and nothing else (RFC 2198, 5)."""
    for payload_type in _mapped(block, "red"):
        kinds = "/".join(_parameters(block, payload_type)).split("/")
        if payload_type != opus and set(kinds) == {str(opus)}:
            return payload_type
    return None


def _max_ptime_ms(block: _Block) -> int | None:
    value = next(iter(_values(block, "maxptime")), "")
    return int(value) if re.fullmatch(r"[0-9]{1,5}", value) else None


_WAYS: Final = frozenset(Direction)
