"""The plan of a village: which stations there are and which cables join them.

A plan is computed from its text alone (`pair`, `ring:8`, ...), so that whoever knows the text knows
every name and address. It makes nothing; `fabric` does.

`cables:` names every cable by the numbers of the stations that it joins; `lan` is the shared
network, so `cables:1-2,2-3,lan-1,lan-3` is a line of three whose ends meet on a switch as well. All
cables are plugged at first: what shall come later is pulled before the daemons start.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from appliance.village.errors import VillageError

MAX_STATIONS = 250
"""A station's number is the last byte of its IPv4 addresses; a few are left for visitors."""

LAN = "lan"
"""The name of the far end of a cable that plugs into a shared network."""

TOPOLOGIES = "pair, line:N, ring:N, star:N, grid:WxH, lan:N, cables:1-2,2-3,lan-3"


@dataclass(frozen=True)
class Plug:
    """The station end of a cable."""

    station: str
    """Name of the station."""
    interface: str
    """Name inside the station: eth0, eth1, ... in the order of its cables."""
    ipv4: str
    """Address without its length; every cable, or shared network, is a /24."""
    mac: str
    """Ethernet address, from which the kernel makes the IPv6 link-local one."""

    @property
    def ipv6_link_local(self) -> str:
        """The address that the kernel gives by itself (RFC 4291, appendix A), without scope."""
        mac = bytes.fromhex(self.mac.replace(":", ""))
        half = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
        groups = [f"{(half[i] << 8) | half[i + 1]:x}" for i in range(0, 8, 2)]
        return "fe80::" + ":".join(groups)


@dataclass(frozen=True)
class Cable:
    """What joins two stations, or one station and a shared network."""

    index: int
    """Place in the plan, from 0."""
    a: Plug
    """The end at the station that comes first."""
    b: Plug | None
    """The end at the other station; nothing where the cable goes to the shared network."""

    @property
    def ends(self) -> tuple[str, str]:
        """The names of what it joins."""
        return self.a.station, self.b.station if self.b else LAN


@dataclass(frozen=True)
class Topology:
    """A whole plan."""

    text: str
    """What it was made from."""
    stations: tuple[str, ...]
    """Names in the order of their numbers, which start at 1."""
    cables: tuple[Cable, ...]
    """All cables."""

    def resolve(self, name: str) -> str:
        """The name of the station that `name`, a name or a number, means."""
        if name in self.stations:
            return name
        if name.isascii() and name.isdecimal() and 1 <= int(name[:4]) <= len(self.stations):
            return self.stations[int(name[:4]) - 1]
        known = ", ".join(self.stations[:8]) + (", ..." if len(self.stations) > 8 else "")
        raise VillageError(f"No station {name!r} in this village. It has {known}.")

    def plugs(self, station: str) -> tuple[Plug, ...]:
        """The cable ends at a station, eth0 first."""
        ends = [end for cable in self.cables for end in (cable.a, cable.b) if end]
        return tuple(end for end in ends if end.station == station)

    def cable(self, a: str, b: str) -> Cable:
        """The cable between two stations, or between one and `lan`, in either order."""
        ends = {name if name == LAN else self.resolve(name) for name in (a, b)}
        for cable in self.cables:
            if set(cable.ends) == ends:
                return cable
        if self.cables and all(cable.b is None for cable in self.cables):
            raise VillageError(
                f"All stations share one network here, so {a} and {b} have no cable of their own. "
                f"Each has one to the network: {a} {LAN}, {b} {LAN}."
            )
        near = sorted({n for c in self.cables for n in c.ends if ends & set(c.ends)} - ends)
        raise VillageError(
            f"No link between {a} and {b}. Next to them: {', '.join(near) or 'nobody'}."
        )


def station_name(number: int) -> str:
    """The name of a station from its number: a to z, then s27 and on."""
    return chr(ord("a") + number - 1) if number <= 26 else f"s{number}"


def parse_topology(text: str) -> Topology:
    """The plan for one of `TOPOLOGIES`."""
    kind, colon, size = text.partition(":")
    if kind == "cables" and colon:
        return _plan(text, *_listed(text, size))
    if not (found := re.fullmatch(r"([a-z]+)(?::([0-9]{1,4})(?:x([0-9]{1,4}))?)?", text)):
        raise VillageError(f"{text!r} is not a village. There are: {TOPOLOGIES}.")
    kind, width, height = found[1], found[2], found[3]
    if (kind == "grid") != bool(height) or (kind == "pair") == bool(width):
        raise VillageError(f"{text!r} is not a village. There are: {TOPOLOGIES}.")
    count = 2 if kind == "pair" else int(width) * int(height or 1)
    least = {"ring": 3, "lan": 1, "line": 1, "grid": 1}.get(kind, 2)
    if not least <= count <= MAX_STATIONS:
        raise VillageError(f"{text}: a {kind} has {least} to {MAX_STATIONS} stations.")
    numbers = range(1, count + 1)
    joins: list[tuple[int, int]]
    if kind in ("pair", "line"):
        joins = list(pairwise(numbers))
    elif kind == "ring":
        joins = [*pairwise(numbers), (1, count)]
    elif kind == "star":
        joins = [(1, number) for number in numbers[1:]]
    elif kind == "grid":
        across = int(width)
        joins = [(n, n + 1) for n in numbers if n % across]
        joins += [(n, n + across) for n in numbers if n + across <= count]
        joins.sort()
    elif kind == "lan":
        joins = [(number, 0) for number in numbers]
    else:
        raise VillageError(f"{text!r} is not a village. There are: {TOPOLOGIES}.")
    return _plan(text, count, joins)


def _listed(text: str, cables: str) -> tuple[int, list[tuple[int, int]]]:
    """How many stations the named cables join, and the joins, in the order in which they stand."""
    joins: list[tuple[int, int]] = []
    for cable in cables.split(","):
        found = re.fullmatch(r"(lan|[0-9]{1,4})-(lan|[0-9]{1,4})", cable)
        if not found:
            raise VillageError(
                f"{text}: {cable!r} is not a cable. Say which two stations it joins, by their "
                f"numbers, such as 1-2, or a station and the shared network: {LAN}-3."
            )
        low, high = sorted(0 if end == LAN else int(end) for end in found.groups())
        if low == high or "0" in found.groups():
            raise VillageError(f"{text}: {cable} joins nothing. Stations are counted from 1.")
        join = (low, high) if low else (high, 0)
        if join in joins:
            raise VillageError(f"{text}: {cable} is there twice. Two ends have one cable at most.")
        joins.append(join)
    named = {number for join in joins for number in join if number}
    numbers = set(range(1, max(named) + 1))
    if len(numbers) > MAX_STATIONS:
        raise VillageError(f"{text}: a village has at most {MAX_STATIONS} stations.")
    if missing := sorted(numbers - named):
        raise VillageError(f"{text}: no cable goes to {missing[0]}. Number stations without gaps.")
    return len(numbers), joins


def _plan(text: str, count: int, joins: list[tuple[int, int]]) -> Topology:
    """Names and addresses for `count` stations and their joins; 0 is the shared network."""
    used: dict[int, int] = {}
    shared = next((index for index, (_, b) in enumerate(joins, start=1) if not b), 0)

    def plug(number: int, network: int) -> Plug:
        slot = used.get(number, 0)
        used[number] = slot + 1
        high, low = divmod(network, 256)
        return Plug(
            station=station_name(number),
            interface=f"eth{slot}",
            ipv4=f"10.{high}.{low}.{number}",
            mac=f"02:fc:00:{high:02x}:{low:02x}:{number:02x}",
        )

    cables = []
    for index, (a, b) in enumerate(joins):
        network = index + 1 if b else shared
        near = plug(a, network)
        cables.append(Cable(index=index, a=near, b=plug(b, network) if b else None))
    names = tuple(station_name(number) for number in range(1, count + 1))
    return Topology(text=text, stations=names, cables=tuple(cables))
