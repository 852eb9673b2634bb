"""What passes eth0 of the station that this runs in: a line of JSON for the marks that were seen.

Says "ready" when it listens and stops at the end of its input. Each item is what packets of one
kind have in common; `longest` is the longest of them in bytes, Ethernet header included.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys

ALL_PROTOCOLS = 3
OUTGOING = 4
TCP, UDP, ICMPV6 = 6, 17, 58

Kind = tuple[str, str, str, int, int, int]
"""Direction, family, protocol, ports of sender and receiver (ICMPv6: type and 0), DSCP."""


def kind_of(frame: bytes, *, outgoing: bool) -> Kind | None:
    """What kind of packet this is; None for what has no DSCP, and for fragments."""
    packet = frame[14:]
    if frame[12:14] == b"\x86\xdd":
        family, tos, protocol = "ipv6", (packet[0] << 4 | packet[1] >> 4) & 0xFF, packet[6]
        rest = packet[40:]
    elif frame[12:14] == b"\x08\x00":
        family, tos, protocol = "ipv4", packet[1], packet[9]
        rest = packet[4 * (packet[0] & 15) :]
    else:
        return None
    if protocol == ICMPV6:
        name, source, target = "icmp6", rest[0], 0
    elif protocol in (TCP, UDP):
        name = "tcp" if protocol == TCP else "udp"
        source, target = struct.unpack("!HH", rest[:4])
    else:
        return None
    return "out" if outgoing else "in", family, name, source, target, tos >> 2


def main() -> None:
    seen: dict[Kind, list[int]] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        wire.bind(("eth0", ALL_PROTOCOLS))
        print("ready", flush=True)
        while sys.stdin not in select.select([wire, sys.stdin], [], [])[0]:
            frame, address = wire.recvfrom(65_600)
            kind = kind_of(frame, outgoing=address[2] == OUTGOING)
            if kind is not None:
                count = seen.setdefault(kind, [0, 0])
                count[0] += 1
                count[1] = max(count[1], len(frame))
    names = ("way", "family", "protocol", "source", "target", "dscp")
    print(
        json.dumps(
            [
                {**dict(zip(names, kind, strict=True)), "packets": n, "longest": longest}
                for kind, (n, longest) in seen.items()
            ]
        )
    )


if __name__ == "__main__":
    main()
