"""Over whom packets to a station go, without privileges: UDP datagrams that die on the way.

A datagram whose hop limit runs out is answered by whoever dropped it, one that arrives at a port
where nobody listens by the station itself (RFC 4443 sections 3.1 and 3.3).  Linux hands both
answers to whoever sent it (``IPV6_RECVERR``).  They are claims: any relay may lie about what lies
behind it.  Routers answer each of us about once a second, six times at once.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

MAX_HOPS: Final = 16
"""Links between two stations that are looked at."""

FAR: Final = 64
"""A hop limit with which a datagram arrives."""

PORT: Final = 18950
"""Of UDP, where no station listens: only TCP uses this number, and voice takes higher ones."""

TRIES: Final = 3
"""Of sending one datagram: an answer to an earlier one is told as an error of the next."""

_NONCE_BYTES: Final = 8
_INITIAL_HOP_LIMITS: Final = (64, 128, 255)
"""With which systems send; the least that fits tells how far an answer has come."""

_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_SO_EE_ORIGIN_ICMP6: Final = 3
_EXTENDED_ERROR: Final = struct.Struct("=IBBBxII")
"""``struct sock_extended_err``; a ``struct sockaddr_in6`` with who answered follows."""

_ADDRESS_AT: Final = _EXTENDED_ERROR.size + 8
_DESTINATION_UNREACHABLE: Final = 1
_PORT_UNREACHABLE: Final = 4
_TIME_EXCEEDED: Final = 3


class TraceError(Exception):
    """Nothing can be sent, or not from our address."""


@dataclass(frozen=True)
class Reply:
    """An answer to one datagram."""

    hop_limit: int
    """Of the datagram."""

    address: str
    """Who answered, as `IPv6Address` writes it."""

    arrived: bool
    """It was the destination."""

    links_back: int
    """Over how many links the answer came, if it is honest."""

    rtt_ms: float
    """Round trip."""


async def probe(
    source: str, target: str, hop_limits: Sequence[int], *, within_s: float
) -> tuple[Reply, ...]:
    """Send a datagram for each hop limit at once and return the answers, nearest first.

    Ends when the destination has answered and so has everybody before it, or after `within_s`.
    Raises TraceError when `source` is no address of this machine, or there is no socket to have.
    """
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise TraceError(f"Nothing can be sent: {error.strerror}") from None
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        try:
            sock.bind((source, 0))
        except OSError as error:
            raise TraceError(f"{source} can't be used: {error.strerror}") from None
        return await _Probe(sock, target, hop_limits).run(within_s)
    finally:
        sock.close()


class _Probe:
    """Datagrams on their way and the answers so far."""

    def __init__(self, sock: socket.socket, target: str, hop_limits: Sequence[int]) -> None:
        self._sock, self._target = sock, target
        self._loop = asyncio.get_running_loop()
        self._nonce = secrets.token_bytes(_NONCE_BYTES)
        self._hop_limits = sorted(hop_limits)
        self._sent_at: dict[int, float] = {}
        self._replies: dict[int, Reply] = {}
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def run(self, within_s: float) -> tuple[Reply, ...]:
        """Send, and wait for what comes."""
        self._loop.add_reader(self._sock, self._read)
        try:
            for hop_limit in self._hop_limits:
                self._send(hop_limit)
            if self._sent_at:
                with suppress(TimeoutError):
                    async with asyncio.timeout(within_s):
                        await self._done
        finally:
            self._loop.remove_reader(self._sock)
        return tuple(self._replies[limit] for limit in sorted(self._replies))

    def _send(self, hop_limit: int) -> None:
        option = (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, struct.pack("=i", hop_limit))
        data = bytes((hop_limit,)) + self._nonce
        for _ in range(TRIES):
            try:
                self._sent_at[hop_limit] = self._loop.time()
                self._sock.sendmsg([data], [option], 0, (self._target, PORT))
            except OSError:
                # Of an earlier one, or there is no way: then none is sent.
                del self._sent_at[hop_limit]
            else:
                return

    def _read(self) -> None:
        for _ in range(2 * MAX_HOPS):
            try:
                data, ancillary, _, _ = self._sock.recvmsg(64, 256, _MSG_ERRQUEUE)
            except BlockingIOError:
                break
            self._answer(data, ancillary)
        with suppress(OSError):
            self._sock.recv(64)  # nobody should send to us; what is there would wake us for ever
        if not self._done.done() and self._complete():
            self._done.set_result(None)

    def _answer(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        found = {kind: value for level, kind, value in ancillary if level == socket.IPPROTO_IPV6}
        error, limit = found.get(_IPV6_RECVERR, b""), found.get(socket.IPV6_HOPLIMIT, b"")
        if data[1:] != self._nonce or len(error) < _ADDRESS_AT + 16 or len(limit) != 4:
            return
        _, origin, kind, code, _, _ = _EXTENDED_ERROR.unpack_from(error)
        hop_limit, sent_at = data[0], self._sent_at.get(data[0])
        ours = origin == _SO_EE_ORIGIN_ICMP6 and kind in {_DESTINATION_UNREACHABLE, _TIME_EXCEEDED}
        if not ours or sent_at is None or hop_limit in self._replies:
            return
        address = socket.inet_ntop(socket.AF_INET6, error[_ADDRESS_AT : _ADDRESS_AT + 16])
        (left,) = struct.unpack("=i", limit)
        self._replies[hop_limit] = Reply(
            hop_limit=hop_limit,
            address=address,
            arrived=(kind, code) == (_DESTINATION_UNREACHABLE, _PORT_UNREACHABLE)
            and address == self._target,
            links_back=next((one - left + 1 for one in _INITIAL_HOP_LIMITS if one >= left), 1),
            rtt_ms=(self._loop.time() - sent_at) * 1000,
        )

    def _complete(self) -> bool:
        arrived = min((one.hop_limit for one in self._replies.values() if one.arrived), default=256)
        return all(limit in self._replies for limit in self._sent_at if limit <= arrived)
