"""Who a station is: its key, and everything that is computed from it.

A station's 32-byte Ed25519 public key is its identity.  The text form, the IPv6 address, the
seven-digit numbers of its lines and its first name all follow from the key, so nobody has to
assign anything.
"""

from __future__ import annotations

import hashlib
from base64 import b32encode
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.model import signing
from appliance.model.words import ADJECTIVES, ANIMALS

KEY_SIZE: Final = 32
CONSOLE: Final = "console"
"""The line of the operator in front of the station; the default of every address."""

MAX_LINE_CHARS: Final = 32
MAX_NAME_CHARS: Final = 40

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: no i, l, o or u, so that it survives being read out and written down."""

_FROM_BASE32: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())
_HEARD_AS: Final = str.maketrans({"i": "1", "l": "1", "o": "0", "u": "v"})
_CHECK_BYTES: Final = 3
"""24 check bits make 280 bits in all: 56 characters, 14 groups of 4, with none to spare."""

_TEXT_CHARS: Final = (KEY_SIZE + _CHECK_BYTES) * 8 // 5
TAG_CHARS: Final = 4


class IdentityError(ValueError):
    """Some text or bytes are no station identity; the message says why and what to do."""


def hash_for(purpose: str, data: bytes) -> bytes:
    return hashlib.sha256(f"fencewire/{purpose}\0".encode() + data).digest()


@dataclass(frozen=True, order=True)
class StationId:
    """The identity of a station."""

    key: bytes
    """Ed25519 public key, 32 bytes."""

    def __post_init__(self) -> None:
        if len(self.key) != KEY_SIZE:
            raise IdentityError(f"a station key has {KEY_SIZE} bytes, not {len(self.key)}")

    @cached_property
    def text(self) -> str:
        """The id as 56 characters that can be spelled aloud; its last 24 bits are a checksum."""
        data = self.key + hash_for("id-check", self.key)[:_CHECK_BYTES]
        return b32encode(data).translate(_FROM_BASE32).decode()

    @property
    def spoken(self) -> str:
        """The id in 14 groups of four, for reading out."""
        return " ".join(self.text[i : i + 4] for i in range(0, _TEXT_CHARS, 4))

    @property
    def tag(self) -> str:
        """The first four characters of the id: what tells two stations of one name apart.

        A tag is short enough to be forged with some computing; it is a label and proves nothing.
        """
        return self.text[:TAG_CHARS]

    @cached_property
    def address(self) -> IPv6Address:
        """The station's IPv6 address: fd, 56 bits and 64 bits of the key's hash (RFC 4193)."""
        return IPv6Address(b"\xfd" + hash_for("address", self.key)[:15])

    @cached_property
    def host(self) -> str:
        """The address as text, as the kernel and routes write it."""
        return str(self.address)

    def number(self, line: str = CONSOLE) -> str:
        """Return the seven digits that ring `line` here, as they are dialled: ``4820193``.

        The first digit is 2 to 8: emergency numbers begin with 0, 1 or 9 wherever there are some,
        and an outside line is dialled by 0 or 9.
        """
        digest = hash_for("number", self.key + line.encode())
        return str(2_000_000 + int.from_bytes(digest[:8], "big") % 7_000_000)

    @cached_property
    def default_name(self) -> str:
        """Two words, such as ``amber-otter``, until the operator chooses a name."""
        digest = hash_for("name", self.key)
        adjective = ADJECTIVES[int.from_bytes(digest[:4], "big") % len(ADJECTIVES)]
        return f"{adjective}-{ANIMALS[int.from_bytes(digest[4:8], 'big') % len(ANIMALS)]}"

    @classmethod
    def parse(cls, text: str) -> StationId:
        """Read a text form as people write it: any case, spaces or hyphens, o for 0, l for 1.

        Raises IdentityError when it is too short or long, has a character that no id has, or does
        not match its checksum.
        """
        if len(text) > 4 * _TEXT_CHARS:
            raise IdentityError("this is too long to be a station id")
        plain = "".join(text.lower().split()).replace("-", "").translate(_HEARD_AS)
        if len(plain) != _TEXT_CHARS:
            raise IdentityError(f"a station id has {_TEXT_CHARS} characters, this has {len(plain)}")
        number = 0
        for character in plain:
            value = _ALPHABET.find(character)
            if value < 0:
                raise IdentityError(f"no station id has the character {character!r}")
            number = number << 5 | value
        data = number.to_bytes(KEY_SIZE + _CHECK_BYTES, "big")
        key, check = data[:KEY_SIZE], data[KEY_SIZE:]
        if hash_for("id-check", key)[:_CHECK_BYTES] != check:
            raise IdentityError("this station id has a wrong character: compare it once more")
        return cls(key)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"StationId({self.tag}…)"


class StationKey:
    """The secret half.  It signs; it is never shown, logged or sent."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self.private_key = private_key
        public = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = StationId(public)

    @classmethod
    def generate(cls) -> StationKey:
        """Make a new key from the kernel's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, secret: bytes) -> StationKey:
        """Take a key from its 32 secret bytes; raises IdentityError when they are not 32."""
        if len(secret) != KEY_SIZE:
            raise IdentityError(f"a secret key has {KEY_SIZE} bytes, not {len(secret)}")
        return cls(Ed25519PrivateKey.from_private_bytes(secret))

    def secret_bytes(self) -> bytes:
        """Return the 32 secret bytes, for the key file alone."""
        return self.private_key.private_bytes_raw()

    def sign(self, context: str, *parts: bytes) -> bytes:
        """Sign `parts` in `context` (see `signing`)."""
        return signing.sign(self.private_key, context, *parts)

    def __repr__(self) -> str:
        return f"StationKey({self.id.tag}…, secret)"


@dataclass(frozen=True, order=True)
class Address:
    """Somebody or something that can be written to or called: a line at a station."""

    station: StationId
    """Where."""

    line: str = CONSOLE
    """Which line there."""

    def __post_init__(self) -> None:
        if not is_line_name(self.line):
            raise IdentityError(f"no line can be named {self.line!r}")

    def __str__(self) -> str:
        return f"{self.line}@{self.station.text}"


def is_line_name(text: str) -> bool:
    """Tell whether `text` can name a line: 1 to 32 of a-z, 0-9 and ``-_.``"""
    allowed = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
    return 0 < len(text) <= MAX_LINE_CHARS and set(text) <= allowed


def clean_name(text: str) -> str:
    """Return a human name fit for a screen, or raise IdentityError.

    Names are shown beside trusted text, so control, format (bidirectional overrides, zero-width)
    and line-breaking characters are refused rather than removed.
    """
    name = " ".join(text.split(" ")).strip()
    if not name:
        raise IdentityError("a name needs at least one character")
    if len(name) > MAX_NAME_CHARS:
        raise IdentityError(f"a name has at most {MAX_NAME_CHARS} characters")
    if not name.isprintable():
        raise IdentityError("a name can't have line breaks or invisible characters")
    return name
