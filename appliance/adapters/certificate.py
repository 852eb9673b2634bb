"""The station key as TLS sees it: a self-signed X.509 certificate, and contexts for both sides.

Nothing in the certificate but its key means anything.  Its dates span all that a board without a
clock could believe, and its content follows from the key alone, so that it is the same at each
start.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import warnings
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from appliance.model.identity import IdentityError, StationId, StationKey

_NOT_BEFORE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_AFTER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280 section 4.1.2.5: no well-defined expiration."""


def make_certificate(key: StationKey) -> x509.Certificate:
    """Make the station's certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, key.id.text)])
    serial = int.from_bytes(hashlib.sha256(key.id.key).digest()[:16], "big") or 1
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.private_key.public_key())
        .serial_number(serial)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .sign(key.private_key, algorithm=None)
    )


def station_of(certificate_der: bytes | None) -> StationId:
    """Return whose key a certificate holds; raises IdentityError when it is no station's."""
    if certificate_der is None:
        raise IdentityError("the other side showed no certificate")
    try:
        with warnings.catch_warnings():
            # What a later version of the library will refuse is no certificate of ours today.
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            key = x509.load_der_x509_certificate(certificate_der).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, CryptographyDeprecationWarning):
        raise IdentityError("the other side's certificate can't be read") from None
    if not isinstance(key, Ed25519PublicKey):
        raise IdentityError("the other side's certificate holds no station key")
    return StationId(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def server_context(key: StationKey) -> ssl.SSLContext:
    """Make the callee's TLS context: TLS 1.3 alone, our certificate, no question to the caller."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Tickets would let a session resume without the handshake that proves the key.
    context.num_tickets = 0
    pem = make_certificate(key).public_bytes(Encoding.PEM) + key.private_key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    # ssl reads key material from files only; this one has no name and never touches a disk.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def client_context() -> ssl.SSLContext:
    """Make the caller's TLS context: any certificate will do, since its key is checked by us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
