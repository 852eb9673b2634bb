"""SRTP and SRTCP under SDES keys (RFC 3711, RFC 4568, RFC 7714), by libsrtp.

Negotiation stays out; forged, replayed and broken packets come out as `SrtpError` and nothing else.
"""

from __future__ import annotations

import os
from types import MappingProxyType

from pylibsrtp import Error as LibraryError
from pylibsrtp import Policy, Session

from appliance.model.secret import Secret

AES_GCM = "AEAD_AES_128_GCM"
"""RFC 7714 section 14.2; preferred: less work per packet where the processor has AES."""

AES_CM = "AES_CM_128_HMAC_SHA1_80"
"""RFC 4568 section 6.2.1; what every phone knows."""

KEY_BYTES = MappingProxyType({AES_GCM: 16 + 12, AES_CM: 16 + 14})
"""Crypto suites that we have, best first, and the length of master key and salt."""

TAG_BYTES = MappingProxyType({AES_GCM: 16, AES_CM: 10})
"""What each adds to a packet of sound."""

MAX_PACKET_BYTES = 1_356
"""Longest packet that libsrtp's binding protects; ours are far shorter."""

REPLAY_WINDOW = 512
"""Packets that may come this much out of order (RFC 3711 asks for at least 64)."""

_PROFILES = {
    AES_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    AES_CM: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class SrtpError(Exception):
    """The packet does not authenticate, was seen before or is broken; or the key is wrong."""


def new_key(suite: str) -> Secret:
    """A fresh master key and salt from the kernel, for one sender and one direction."""
    return Secret(os.urandom(KEY_BYTES[suite]))


def _session(suite: str, key: Secret, ssrc_type: int) -> Session:
    if suite not in _PROFILES:
        raise SrtpError(f"unknown crypto suite {suite!r}")
    if len(key.value) != KEY_BYTES[suite]:
        raise SrtpError(f"a key of {suite} has {KEY_BYTES[suite]} bytes")
    policy = Policy(key=key.value, ssrc_type=ssrc_type, srtp_profile=_PROFILES[suite])
    policy.window_size = REPLAY_WINDOW
    try:
        return Session(policy)
    except LibraryError as error:
        raise SrtpError(str(error)) from error


class SrtpSender:
    """Protects what we send; one key never serves two of these."""

    def __init__(self, suite: str, key: Secret) -> None:
        self._session = _session(suite, key, Policy.SSRC_ANY_OUTBOUND)

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet, encrypted and authenticated."""
        try:
            return self._session.protect(packet)
        except (LibraryError, ValueError) as error:
            raise SrtpError(str(error)) from error

    def protect_rtcp(self, packet: bytes) -> bytes:
        """An RTCP compound packet, encrypted and authenticated."""
        try:
            return self._session.protect_rtcp(packet)
        except (LibraryError, ValueError) as error:
            raise SrtpError(str(error)) from error


class SrtpReceiver:
    """Opens what they send."""

    def __init__(self, suite: str, key: Secret) -> None:
        self._session = _session(suite, key, Policy.SSRC_ANY_INBOUND)

    def unprotect(self, packet: bytes) -> bytes:
        """The RTP packet inside."""
        try:
            return self._session.unprotect(packet)
        except (LibraryError, ValueError) as error:
            raise SrtpError(str(error)) from error

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """The RTCP compound packet inside."""
        try:
            return self._session.unprotect_rtcp(packet)
        except (LibraryError, ValueError) as error:
            raise SrtpError(str(error)) from error
