"""How two stations prove their keys to each other at the start of a session.

TLS 1.3 has proved the callee's key to the caller: its certificate holds the station key, and the
handshake needed the secret half.  The caller has shown nothing yet, since a TLS server of the
standard library can't take unknown certificates.  So, as the first WebSocket messages:

    callee → caller   hello    versions, id, nonce, boot
    caller → callee   hello    versions, id, nonce, boot, and the id that it saw in the certificate
    caller → callee   proof    signature over SHA-256 of both hellos as they were sent, bulk token
    callee → caller   welcome  chosen version, bulk token

The callee's nonce is new for each connection, so a proof can't be replayed.  The caller names whom
it called, so a proof can't be relayed by a station in the middle, whose own certificate the caller
would have seen.  Both version lists are signed, so that none can be stripped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from appliance.model import signing
from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.identity import StationId, StationKey

VERSIONS: Final = (1, 2)
"""Session protocol versions that this program speaks."""

CARRYING_VERSION: Final = 2
"""The first in which stations pass on what others have written (`carrying`)."""

NONCE_SIZE: Final = 32
BOOT_SIZE: Final = 8
TOKEN_SIZE: Final = 16
MAX_HELLO: Final = 1024
MAX_BEFORE_PROOF: Final = 4 * 1024
"""Bytes of WebSocket messages that a station takes from someone who has proved nothing."""


class ProofError(Exception):
    """The other side is not who it says, or speaks no version of ours; `code` is for the log."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Hello:
    """What a side says of itself before anything is proved."""

    versions: tuple[int, ...]
    """Session protocol versions that it speaks."""

    station: StationId
    """Who it says it is."""

    nonce: bytes
    """32 bytes from the kernel, never used twice."""

    boot: bytes
    """8 random bytes, new at every start; two at once with one key mean a copied key."""

    port: int
    """TCP port on which it takes sessions."""

    callee: StationId | None = None
    """Caller's hello only: whose certificate it saw."""

    def encode(self) -> bytes:
        """Return the bytes that are sent and signed."""
        fields: dict[int, object] = {
            0: list(self.versions),
            1: self.station.key,
            2: self.nonce,
            3: self.boot,
            4: self.port,
        }
        if self.callee is not None:
            fields[5] = self.callee.key
        return encode(fields)

    @classmethod
    def decode(cls, data: bytes) -> Hello:
        """Read a hello; raises FormatError."""
        fields = Fields(decode(data, limit=MAX_HELLO), "hello")
        versions = tuple(
            version
            for version in fields.items(0, limit=32)
            if type(version) is int and 0 < version < 1 << 16
        )
        hello = cls(
            versions=versions,
            station=StationId(fields.data(1, size=32)),
            nonce=fields.data(2, size=NONCE_SIZE),
            boot=fields.data(3, size=BOOT_SIZE),
            port=fields.uint(4, below=1 << 16),
            callee=StationId(fields.data(5, size=32)) if fields.has(5) else None,
        )
        fields.end()
        return hello


@dataclass(frozen=True)
class Proof:
    """The caller's proof."""

    signature: bytes
    """Over both hellos."""

    token: bytes = field(repr=False)
    """With which the callee may ask the caller for bulk data."""

    def encode(self) -> bytes:
        """Return the bytes that are sent."""
        return encode({0: self.signature, 1: self.token})

    @classmethod
    def decode(cls, data: bytes) -> Proof:
        """Read a proof; raises FormatError."""
        fields = Fields(decode(data, limit=MAX_HELLO), "proof")
        proof = cls(
            signature=fields.data(0, size=signing.SIGNATURE_SIZE),
            token=fields.data(1, size=TOKEN_SIZE),
        )
        fields.end()
        return proof


@dataclass(frozen=True)
class Welcome:
    """The callee is convinced."""

    version: int
    """Highest version of both lists."""

    token: bytes = field(repr=False)
    """With which the caller may ask the callee for bulk data."""

    def encode(self) -> bytes:
        """Return the bytes that are sent."""
        return encode({0: self.version, 1: self.token})

    @classmethod
    def decode(cls, data: bytes) -> Welcome:
        """Read a welcome; raises FormatError."""
        fields = Fields(decode(data, limit=MAX_HELLO), "welcome")
        welcome = cls(version=fields.uint(0, below=1 << 16), token=fields.data(1, size=TOKEN_SIZE))
        fields.end()
        return welcome


@dataclass(frozen=True)
class Proved:
    """What a side knows once the session stands."""

    peer: StationId
    """Proved."""

    peer_boot: bytes
    """Its boot id."""

    peer_port: int
    """Where it takes sessions, as it says."""

    version: int
    """Agreed."""

    send_token: bytes = field(repr=False)
    """To show to the peer with bulk requests."""

    take_token: bytes = field(repr=False)
    """That the peer shows to us."""


def highest_common(ours: Iterable[int], theirs: Iterable[int]) -> int:
    """Choose the session protocol version; raises ProofError when there is none in common."""
    common = set(ours) & set(theirs)
    if not common:
        raise ProofError("version", "the two stations speak no protocol version in common")
    return max(common)


def _transcript(callee_hello: bytes, caller_hello: bytes) -> bytes:
    # Each part behind its length, so that no byte can move from one hello to the other.
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in (callee_hello, caller_hello))
    return hashlib.sha256(framed).digest()


class Caller:
    """The side that opened the connection.  Feed it `answer` and then `finish`."""

    def __init__(
        self,
        key: StationKey,
        *,
        seen: StationId,
        wanted: StationId | None,
        nonce: bytes,
        boot: bytes,
        token: bytes,
        port: int,
        versions: tuple[int, ...] = VERSIONS,
    ) -> None:
        """`seen` is the key in the callee's certificate; `wanted`: whom we mean to reach.

        Raises ProofError when they differ: then nothing more may be sent.
        """
        if wanted is not None and seen != wanted:
            raise ProofError("impostor", "another key answers where this station was announced")
        self._key, self._seen, self._token = key, seen, token
        self._hello = Hello(versions, key.id, nonce, boot, port, callee=seen)
        self._theirs: Hello | None = None

    def answer(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the callee's hello; return our hello and our proof."""
        theirs = Hello.decode(data)
        if theirs.station != self._seen:
            raise ProofError("impostor", "its hello names another key than its certificate")
        highest_common(self._hello.versions, theirs.versions)
        self._theirs = theirs
        ours = self._hello.encode()
        signature = self._key.sign(signing.SESSION_CONTEXT, _transcript(data, ours))
        return ours, Proof(signature, self._token).encode()

    def finish(self, data: bytes) -> Proved:
        """Take the callee's welcome."""
        if self._theirs is None:
            raise RuntimeError("finish comes after answer")
        welcome = Welcome.decode(data)
        if welcome.version != highest_common(self._hello.versions, self._theirs.versions):
            raise ProofError("version", "it chose another protocol version than the highest")
        return Proved(
            peer=self._seen,
            peer_boot=self._theirs.boot,
            peer_port=self._theirs.port,
            version=welcome.version,
            send_token=welcome.token,
            take_token=self._token,
        )


class Callee:
    """The side that was connected to.  Send `hello`, then feed it `verify`."""

    def __init__(
        self,
        key: StationKey,
        *,
        nonce: bytes,
        boot: bytes,
        token: bytes,
        port: int,
        versions: tuple[int, ...] = VERSIONS,
    ) -> None:
        self._id, self._token = key.id, token
        self._versions = versions
        self.hello = Hello(versions, key.id, nonce, boot, port).encode()
        """To be sent first."""

    def verify(self, caller_hello: bytes, proof: bytes) -> tuple[bytes, Proved]:
        """Check the caller's hello and proof; return the welcome to send, and who it is."""
        theirs = Hello.decode(caller_hello)
        if theirs.callee is None:
            raise FormatError("hello: the caller does not say whom it calls")
        if theirs.callee != self._id:
            raise ProofError("relayed", "its hello was meant for another station")
        given = Proof.decode(proof)
        transcript = _transcript(self.hello, caller_hello)
        if not signing.verify(
            theirs.station.key, given.signature, signing.SESSION_CONTEXT, transcript
        ):
            raise ProofError("proof", "its signature does not fit this connection")
        version = highest_common(self._versions, theirs.versions)
        proved = Proved(
            peer=theirs.station,
            peer_boot=theirs.boot,
            peer_port=theirs.port,
            version=version,
            send_token=given.token,
            take_token=self._token,
        )
        return Welcome(version, self._token).encode(), proved
