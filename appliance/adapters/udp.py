"""The UDP sockets of sound: non-blocking, in the voice queue, hearing one address only."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import TypeAlias

from appliance.adapters.dscp import Dscp, mark
from appliance.adapters.socket_filter import from_all, kernel_drops, only_from

RECEIVE_BUFFER_BYTES = 65_536
"""Half a second of ten calls; a flood fills no more."""

MAX_DATAGRAM_BYTES = 2_048
"""What is read of a datagram; sound is far shorter, and longer ones fail to authenticate."""


LONGEST_AGE_S = 0.5
"""What seems to have waited longer in its socket came before the clock was set, or fills it up."""

_SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; the socket module has no name for it."""

_TIMESPEC = struct.Struct("@qq")
_SAID_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)

MAX_LEFT = 128
"""Datagrams that a full receive buffer holds."""


class UdpError(Exception):
    """The address can't be used; the text is one sentence for the operator."""


Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""As the kernel says it of the sender of a datagram, for IPv4 and IPv6."""


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """A numeric address, with ``%scope`` where it is link-local."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError) as error:
        raise UdpError(f"The address {host} can't be used for sound.") from error
    family, _, _, _, address = found[0]
    return family, address


def _bound(local_host: str, port: int, *, shared: bool) -> socket.socket:
    """A socket at one of our addresses; ``shared``: another one of ours may have the same port."""
    family, address = _resolve(local_host, port)
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:  # No descriptor is left.
        raise UdpError(f"No sound can leave from {local_host}: {error.strerror}.") from error
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        mark(sock, Dscp.VOICE)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise UdpError(f"No sound can leave from {local_host}: {error.strerror}.") from error
    return sock


def _stamped(sock: socket.socket) -> bool:
    """Have the kernel say when each datagram came; False: it does not."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def _age_s(said: list[tuple[int, int, bytes]]) -> float | None:
    """By what the kernel said with a datagram, if it did.

    It counts in wall time, which may be set at any moment: what can't be counts as 0.
    """
    for level, kind, value in said:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(value) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(value)
            age_s = time.time() - seconds - nanoseconds / 1e9
            return age_s if 0.0 < age_s < LONGEST_AGE_S else 0.0
    return None


class VoiceSocket:
    """A socket bound to one of our addresses."""

    def __init__(self, local_host: str) -> None:
        """Bind any free port; raises `UdpError`."""
        self._socket = _bound(local_host, 0, shared=False)
        self._family = self._socket.family
        self.stamps = _stamped(self._socket)
        """The kernel says when a datagram came."""
        self.age_s = 0.0
        """How long the last one that was read had waited to be; 0 where that is not known."""

    @property
    def port(self) -> int:
        """The port that was bound."""
        port: int = self._socket.getsockname()[1]
        return port

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def connect(self, host: str, port: int) -> None:
        """Send there, and have the kernel drop all that comes from elsewhere; `UdpError`."""
        family, address = _resolve(host, port)
        if family != self._family:
            raise UdpError(f"The address {host} is of another kind than ours.")
        try:
            self._socket.connect(address)
        except OSError as error:
            raise UdpError(f"There is no path to {host}: {error.strerror}.") from error

    def send(self, data: bytes) -> None:
        """Send, or lose it as the network would: a call outlives a cable that is out for a moment.

        The other side's reports say what is missing.
        """
        with contextlib.suppress(OSError):
            self._socket.send(data)

    def receive(self) -> bytes | None:
        """The next datagram; None: there is none; empty: an error came instead."""
        try:
            data, said, _, _ = self._socket.recvmsg(MAX_DATAGRAM_BYTES, _SAID_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""  # An ICMP answer to what we sent: nobody is there just now.
        age_s = _age_s(said)
        self.age_s, self.stamps = age_s or 0.0, age_s is not None
        return data

    def hear_only(self, ssrc: int) -> None:
        """Have the kernel drop what is not of this RTP source, before it fills the buffer."""
        only_from(self._socket, ssrc)

    def hear_all(self) -> None:
        """Have it drop no more than that."""
        from_all(self._socket)

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel has dropped since the beginning."""
        return kernel_drops(self._socket)

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


class HopSocket:
    """A socket of a talk group: sends to many, hears one at a time.

    Its port has two sockets.  One sends to everybody; the other is connected to whom we hear, so
    that the kernel drops what strangers send before it takes the place of anything.
    """

    def __init__(self, local_host: str) -> None:
        """Bind any free port; raises `UdpError`."""
        self._host = local_host
        self._all = _bound(local_host, 0, shared=True)
        self._one: socket.socket | None = None
        self._left = 0
        self._heard: tuple[object, ...] | None = None

    @property
    def port(self) -> int:
        """The port that was bound."""
        port: int = self._all.getsockname()[1]
        return port

    def fileno(self) -> int:
        """For select."""
        return (self._one or self._all).fileno()

    def address(self, host: str, port: int) -> Address:
        """Where to send to; raises `UdpError`."""
        family, address = _resolve(host, port)
        if family != self._all.family:
            raise UdpError(f"The address {host} is of another kind than ours.")
        return address  # type: ignore[return-value]  # The kernel's own, of either kind.

    def hear(self, host: str, port: int) -> None:
        """Hear this address from now on; port 0: any port of it.  Raises `UdpError`."""
        address = self.address(host, port)
        if self._heard == address:
            return
        self.hear_nobody()
        if port:
            one = _bound(self._host, self.port, shared=True)
            try:
                one.connect(address)
            except OSError as error:
                one.close()
                raise UdpError(f"There is no path to {host}: {error.strerror}.") from error
            self._one = one
            self._left = MAX_LEFT  # What came before we knew from whom it would come.
        self._heard = address

    def hear_nobody(self) -> None:
        """Drop what comes."""
        if self._one is not None:
            self._one.close()
        self._one = self._heard = None

    def send(self, data: bytes, address: Address) -> None:
        """Send, or lose it as the network would."""
        with contextlib.suppress(OSError):
            self._all.sendto(data, address)

    def receive(self) -> bytes | None:
        """The next datagram; None: there is none; empty: it is from somebody else, or an error."""
        if self._one is not None:
            data = self._from(self._one)
            if data is not None or not self._left:
                return data
        data = self._from(self._all)
        self._left = self._left - 1 if self._left and data is not None else 0
        return data

    def _from(self, sock: socket.socket) -> bytes | None:
        try:
            data, sender = sock.recvfrom(MAX_DATAGRAM_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""  # An ICMP answer to what we sent: nobody is there just now.
        return data if self._is_heard(sender) else b""

    def _is_heard(self, sender: tuple[object, ...]) -> bool:
        """It comes from whom we hear; also of a connected socket, bound before it was connected."""
        if self._heard is None or sender[0] != self._heard[0]:
            return False
        same_scope = len(sender) < 4 or not self._heard[3] or sender[3] == self._heard[3]
        return same_scope and (not self._heard[1] or sender[1] == self._heard[1])

    def close(self) -> None:
        """Give the port back."""
        self.hear_nobody()
        self._all.close()
