"""The UDP socket of a call: non-blocking, in the voice queue, talking to one address only."""

from __future__ import annotations

import contextlib
import socket

from appliance.adapters.dscp import Dscp, mark

RECEIVE_BUFFER_BYTES = 65_536
"""Half a second of ten calls; a flood fills no more."""

MAX_DATAGRAM_BYTES = 2_048
"""What is read of a datagram; sound is far shorter, and longer ones fail to authenticate."""


class UdpError(Exception):
    """The address can't be used; the text is one sentence for the operator."""


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """A numeric address, with ``%scope`` where it is link-local."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError) as error:
        raise UdpError(f"The address {host} can't be used for sound.") from error
    family, _, _, _, address = found[0]
    return family, address


class VoiceSocket:
    """A socket bound to one of our addresses."""

    def __init__(self, local_host: str) -> None:
        """Bind any free port; raises `UdpError`."""
        self._family, address = _resolve(local_host, 0)
        self._socket = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if self._family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            mark(self._socket, Dscp.VOICE)
            self._socket.bind(address)
        except OSError as error:
            self._socket.close()
            raise UdpError(f"No sound can leave from {local_host}: {error.strerror}.") from error

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
            return self._socket.recv(MAX_DATAGRAM_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""  # An ICMP answer to what we sent: nobody is there just now.

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()
