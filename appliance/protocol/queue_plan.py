"""What waits in which order before it leaves over a link: five classes by DSCP (RFC 2474).

Voice goes first, then what keeps the network alive, then sessions, then the rest, then bulk. Each
class but the last asks for little, so the order alone would do; but a DSCP is a claim, made by
whoever sent the packet. So each class is first in line only within its share of the link, and what
is not used of a share goes to the others by rank: whoever marks a flood as voice takes all that
nobody wants, and nothing of the others' shares.

Where the rate of a link is known, a token bucket in front of the classes keeps the queue here,
where there is an order, and not in a modem behind the link, where there is none. It also cuts
packets as long as 64 kB, which the kernel forms of TCP, into what the link carries: at 2 Mbit/s one
of them would hold voice up for a quarter of a second.

The plan is text for `tc -batch`. What stays out: running it (`net/queues.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

BUCKET_HANDLE: Final = "4a06:"
"""Of the token bucket; 18950 in hexadecimal. Nobody takes one by chance, so whatever has it is
ours, even after a crash."""

CLASSES_HANDLE: Final = "4a07:"
"""Of the classes, at the root where no rate is known, else in the bucket."""

NO_LIMIT: Final = "rate 100gbit ceil 100gbit burst 256kb cburst 256kb"
"""Of the classes together, since something else is the limit: the bucket or the hardware."""

BUCKET_S: Final = 0.001
"""Of the rate may leave at once: what timers make late is caught up with."""

FRAME_OVERHEAD_BYTES: Final = 40
"""Over the MTU: Ethernet header, VLAN tags, and what `tc` loses by rounding."""

LEAST_QUEUE_FRAMES: Final = 10
"""Any queue holds as many of full length: the first burst of a TCP connection (RFC 6928)."""

FAIR_QUEUE_PACKETS: Final = 1_000
"""Bound of a queue that keeps itself short; the kernel's own is ten times that."""

ASSUMED_KBIT: Final = 100_000
"""Speed of a link that does not say any. Shares are counted from it; if it is more, what is over
goes by rank."""

LEAST_KBIT: Final = 8
MOST_KBIT: Final = 100_000_000
"""Bounds of what can be asked for; a call wants 64 or so."""

FAIR_KINDS: Final = frozenset({"fq_codel", "fq", "fq_pie", "cake"})
"""Queues that let a thin flow such as a call pass thick ones by themselves."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.@+-]{1,15}")
"""Interface names that mean nothing else to `tc -batch`, which knows quotes and comments."""


@dataclass(frozen=True)
class TrafficClass:
    """A rank."""

    name: str
    """For people."""

    minor: str
    """Of its class, in hexadecimal."""

    rank: int
    """0 leaves first."""

    share_pct: int
    """Of the link, in which nobody is before it but those of a lower rank in theirs."""

    dscp: tuple[tuple[int, int], ...]
    """Value and mask, of the byte that holds the DSCP; the first class that fits takes a packet."""

    queue_s: float
    """What may wait, at the link's rate."""


VOICE: Final = TrafficClass("voice", "10", 0, 50, ((0xB8, 0xFC), (0xB0, 0xFC)), 0.06)
"""EF and VOICE-ADMIT (RFC 3246, RFC 5865). What waits longer than a jitter buffer is of no use."""

CONTROL: Final = TrafficClass("control", "20", 1, 15, ((0xC0, 0xC0),), 0.1)
"""CS6 and CS7: routing. Neighbour discovery and ARP come too, which have no DSCP."""

SESSIONS: Final = TrafficClass("sessions", "30", 2, 15, ((0x40, 0xC0), (0x80, 0xC0)), 0.2)
"""CS2 to CS5 with AF2x to AF4x: signalling and messages."""

REST: Final = TrafficClass("rest", "40", 3, 10, (), 0.1)
"""Whatever else uses the link."""

BULK: Final = TrafficClass("bulk", "50", 4, 10, ((0x20, 0xFC), (0x04, 0xFC)), 0.1)
"""CS1, and lower effort (RFC 8622)."""

TRAFFIC_CLASSES: Final = (VOICE, CONTROL, SESSIONS, REST, BULK)
"""In the order of their ranks."""


class Root(Enum):
    """Who made an interface's root queue."""

    OURS = auto()
    """It has one of our handles."""

    KERNEL = auto()
    """It is what the kernel gave, and keeps no order that serves."""

    FAIR = auto()
    """It is what the kernel gave, and needs no order: it is fair, or never holds anything."""

    OPERATOR = auto()
    """Somebody set it."""


@dataclass(frozen=True)
class QueuePlan:
    """What a link's queue is to be."""

    interface: str
    """Its name."""

    mtu: int
    """Longest packet in bytes."""

    rate_kbit: int | None
    """To hold our sending to; None where the hardware says when it is full."""

    speed_kbit: int = ASSUMED_KBIT
    """Of the hardware, to count shares from where there is no rate."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.interface) or self.interface.startswith("-"):
            raise ValueError(f"{self.interface!r} can't be given to tc")
        if not 68 <= self.mtu <= 65_536:
            raise ValueError(f"{self.mtu} is no MTU")
        if not LEAST_KBIT <= self._kbit <= MOST_KBIT:
            raise ValueError(f"{self._kbit} kbit/s is no rate of a link")

    @property
    def _kbit(self) -> int:
        return self.speed_kbit if self.rate_kbit is None else self.rate_kbit

    @property
    def _frame_bytes(self) -> int:
        return self.mtu + FRAME_OVERHEAD_BYTES

    def _bytes_in(self, seconds: float) -> int:
        return round(self._kbit * 125 * seconds)

    def serves(self, root: Root) -> bool:
        """Whether it is better than the root queue that is there without us."""
        return root is Root.KERNEL or (root is Root.FAIR and self.rate_kbit is not None)

    def build(self, *, fair: bool) -> Iterator[str]:
        """Lines for `tc -batch` that put it in the place of the root queue.

        `fair`: in a class, each flow gets its turn, as far as the kernel can.
        """
        parent = "root"
        if self.rate_kbit is not None:
            yield f"qdisc replace dev {self.interface} {self._bucket}"
            parent = f"parent {BUCKET_HANDLE}1"
        dev = f"dev {self.interface}"
        yield f"qdisc replace {dev} {parent} handle {CLASSES_HANDLE} htb default {REST.minor}"
        yield (
            f"class replace {dev} parent {CLASSES_HANDLE} classid {CLASSES_HANDLE}1"
            f" htb {NO_LIMIT} quantum {self._frame_bytes}"
        )
        for each in TRAFFIC_CLASSES:
            yield self._class(each)
            yield self._leaf(each, fair=fair)
        yield from self._filters()

    def adjust(self, *, fair: bool) -> Iterator[str]:
        """Lines that change the rate of one that stands; nothing that waits is lost."""
        if self.rate_kbit is None:
            raise ValueError("there is no bucket without a rate")
        yield f"qdisc change dev {self.interface} {self._bucket}"
        for each in TRAFFIC_CLASSES:
            yield self._class(each)
            yield self._leaf(each, fair=fair)

    def remove(self) -> Iterator[str]:
        """The line after which the kernel's own queue is back."""
        yield f"qdisc del dev {self.interface} root"

    @property
    def _bucket(self) -> str:
        burst = max(self._frame_bytes, self._bytes_in(BUCKET_S))
        # What waits is bounded by the classes; tbf only wants to hear some limit.
        limit = max(burst, self._bytes_in(0.1))
        return (
            f"root handle {BUCKET_HANDLE} tbf rate {self.rate_kbit}kbit burst {burst} limit {limit}"
        )

    def _class(self, each: TrafficClass) -> str:
        return (
            f"class replace dev {self.interface} parent {CLASSES_HANDLE}1"
            f" classid {CLASSES_HANDLE}{each.minor} htb prio {each.rank}"
            f" rate {self._kbit * each.share_pct * 10}bit ceil 100gbit"
            f" burst {2 * self._frame_bytes} cburst 256kb quantum {self._frame_bytes}"
        )

    def _leaf(self, each: TrafficClass, *, fair: bool) -> str:
        at = (
            f"qdisc replace dev {self.interface} parent {CLASSES_HANDLE}{each.minor}"
            f" handle 4a{each.minor}:"
        )
        if not fair:
            least = LEAST_QUEUE_FRAMES * self._frame_bytes
            return f"{at} bfifo limit {max(least, self._bytes_in(each.queue_s))}"
        # RFC 8290 section 5.2.1: no less than what the longest packet needs to leave.
        target_ms = max(5, round(1.5 * self._frame_bytes * 8 / self._kbit))
        return (
            f"{at} fq_codel limit {FAIR_QUEUE_PACKETS}"
            f" target {target_ms}ms interval {95 + target_ms}ms"
        )

    def _filters(self) -> Iterator[str]:
        start = f"filter add dev {self.interface} parent {CLASSES_HANDLE}"
        to_control = f"flowid {CLASSES_HANDLE}{CONTROL.minor}"
        yield f"{start} protocol arp pref 1 u32 match u32 0 0 {to_control}"
        for each in TRAFFIC_CLASSES:
            for value, mask in each.dscp:
                fits, to = f"{value:#04x} {mask:#04x}", f"flowid {CLASSES_HANDLE}{each.minor}"
                yield f"{start} protocol ipv6 pref 2 u32 match ip6 priority {fits} {to}"
                yield f"{start} protocol ip pref 3 u32 match ip dsfield {fits} {to}"
        # ICMPv6 types 132 to 135 and 136 to 139: Neighbour Discovery (RFC 4861) and its like.
        for types in ("0x84 0xfc", "0x88 0xfc"):
            yield (
                f"{start} protocol ipv6 pref 2 u32 match ip6 protocol 58 0xff"
                f" match u8 {types} at 40 {to_control}"
            )


def roots(text: str) -> Mapping[str, Root]:
    """Read `tc -json qdisc show`: the root queue of every interface; raises ValueError."""
    kinds: dict[str, set[str]] = {}
    handles: dict[str, str] = {}
    try:
        for each in json.loads(text):
            interface = str(each["dev"])
            if each["kind"] not in {"ingress", "clsact"}:
                kinds.setdefault(interface, set()).add(str(each["kind"]))
            if each.get("root"):
                handles[interface] = str(each["handle"])
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("tc says what we do not understand") from error
    return {
        interface: _root(handle, kinds.get(interface, set()))
        for interface, handle in handles.items()
    }


def _root(handle: str, kinds: set[str]) -> Root:
    if handle in (BUCKET_HANDLE, CLASSES_HANDLE):
        return Root.OURS
    if handle != "0:":
        return Root.OPERATOR
    return Root.FAIR if kinds & (FAIR_KINDS | {"noqueue"}) else Root.KERNEL


def steps(before: QueuePlan | None, after: QueuePlan, *, fair: bool) -> Sequence[str]:
    """The lines that lead from one plan, which stands, to another of the same interface."""
    if before is not None and before.rate_kbit is not None and after.rate_kbit is not None:
        return tuple(after.adjust(fair=fair))
    first = () if before is None else before.remove()
    return (*first, *after.build(fair=fair))
