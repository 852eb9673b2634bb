"""What babeld says on its control socket after ``monitor``: neighbours and routes.

Lines such as these, of babeld 1.12 and 1.13; what is not known is skipped::

    add neighbour 5618 address fe80::2 if eth0 reach ffff ureach 0000 rxcost 256 txcost 256 cost 256
    change route 5620 prefix fd12::1/128 from ::/0 installed yes id 02:.. metric 512 refmetric 256
        via fe80::2 if eth0

How cost follows from loss is in babeld's neighbour.c.  Where the quality of a link is measured, a
router announces what it costs to hear a neighbour: the cost of a perfect link divided by the share
of hellos that came, of which the last three count for half.  Elsewhere it is that of a perfect link
until two hellos in a row are missed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Final, Generic, TypeVar

from appliance.model.net import NetNeighbour, NetNews, NetRoute

MAX_NEIGHBOURS: Final = 1024
MAX_ROUTES: Final = 8192
MAX_LINE: Final = 1024
MAX_NAME: Final = 15
"""Of an interface (linux/if.h)."""

ROUTER_ID_SIZE: Final = 8
MAX_RTT_MS: Final = 1e6
INFINITY: Final = 0xFFFF
"""A cost or metric that says unreachable (RFC 8966 section 2.1)."""

EVERY_SENDER: Final = "::/0"
"""Routes that are for some senders only (RFC 9079) are not asked for."""

REACH_BITS: Final = 16
MIN_GAPS: Final = 2
YOUNG: Final = 5
"""Hellos, before which the cost of a new neighbour says nothing of loss yet."""

SETTLE_S: Final = 1.0
"""How long a change of mere cost waits after the last one of the same thing."""

K = TypeVar("K")
V = TypeVar("V")

_WORD: Final = re.compile(r"[!-~]{1,128}")


class BabelTable:
    """Neighbours and routes as babeld has them, and what of them is news.

    When babeld is started anew, its routes are in the kernel still.  From `begin` to `settle` what
    the one before has said holds where the new one has not said better.
    """

    def __init__(self) -> None:
        self._neighbours: dict[str, NetNeighbour] = {}
        """By babeld's handle.  One that had its link taken away may stay beside its successor."""
        self._routes: dict[str, NetRoute] = {}
        self._lines: dict[str, str] = {}
        """What was said last of each neighbour and route, by handle."""
        self._said: set[str] = set()
        """The same lines."""
        self._old_neighbours: dict[tuple[str, str], NetNeighbour] = {}
        self._old_routes: dict[tuple[str, str, str], NetRoute] = {}
        self._hellos: dict[str, int] = {}
        """How many bits of a neighbour's reach mean something, by its handle."""
        self._perfect: dict[str, int] = {}
        self._lossy: set[str] = set()
        self._news_of_neighbours: _News[tuple[str, str], NetNeighbour] = _News(_neighbour_essence)
        self._news_of_routes: _News[tuple[str, str, str], NetRoute] = _News(_route_essence)
        self.skipped = 0
        """Lines that made no sense."""

        self._differs = self._urgent = False

    # -- What there is

    def neighbour_count(self, interface: str) -> int:
        """Return how many routers are heard on a link."""
        return sum(link == interface for link, _ in self._all_neighbours())

    def neighbours(self) -> Iterable[NetNeighbour]:
        """Return all neighbours."""
        return self._all_neighbours().values()

    def claims(self, prefix: str) -> tuple[NetRoute, ...]:
        """Return who offers a way to a prefix, such as our own: there is none but through liars.

        Whoever copies our router id as well is not seen: babeld takes that for its own echo.
        """
        return tuple(
            route
            for route in self._routes.values()
            if route.prefix == prefix and route.metric < INFINITY
        )

    def lossy(self, interface: str) -> bool:
        """Tell whether a link has lost hellos now and then, as radios do, since it is there.

        One that was cut for a while is not meant.
        """
        return interface in self._lossy

    def routes(self) -> Iterable[NetRoute]:
        """Return all ways that are offered."""
        return self._all_routes().values()

    def told(self) -> Iterable[NetRoute]:
        """Return those that were told of since `begin`."""
        return self._routes.values()

    def installed(self) -> frozenset[str]:
        """Return the prefixes that packets are sent to."""
        return frozenset(
            route.prefix
            for route in self._all_routes().values()
            if route.installed and route.metric < INFINITY
        )

    def _all_neighbours(self) -> dict[tuple[str, str], NetNeighbour]:
        there = {(one.interface, one.address): one for one in self._neighbours.values()}
        return self._old_neighbours | there

    def _all_routes(self) -> dict[tuple[str, str, str], NetRoute]:
        there = {_key(one): one for one in self._routes.values()}
        if not self._old_routes:
            return there
        led = {one.prefix for one in there.values() if one.installed}
        old = {
            key: replace(one, installed=False) if one.prefix in led else one
            for key, one in self._old_routes.items()
        }
        return old | there

    # -- Inputs

    def read(self, line: str) -> None:
        """Take in a line."""
        if line in self._said:
            return  # With each hello babeld says everything again, so nearly all lines are this.
        words = line.split(" ")
        if len(line) > MAX_LINE or not all(_WORD.fullmatch(word) for word in words):
            self.skipped += 1
            return
        if len(words) < 3 or words[0] not in {"add", "change", "flush"}:
            return
        if words[1] not in {"neighbour", "route"}:
            return
        verb, kind, handle = words[:3]
        fields = dict(zip(words[3::2], words[4::2], strict=False))
        try:
            if kind == "neighbour":
                self._neighbour(verb, handle, fields)
            else:
                self._route(verb, handle, fields)
            self._note(handle, line)
        except (KeyError, ValueError):
            self.skipped += 1

    def take_change(self) -> tuple[bool, bool]:
        """Tell whether anything is different since the last time, and more than costs and losses.

        babeld says all of it again with each hello, so mostly nothing is.
        """
        change = (self._differs or self._urgent, self._urgent)
        self._differs = self._urgent = False
        return change

    def set_perfect(self, costs: Mapping[str, int]) -> None:
        """Say what links there are, and what each costs when it loses nothing."""
        if self._perfect != costs:
            self._forget_lines(list(self._neighbours))  # what they mean is another thing now
        self._perfect = dict(costs)
        self._lossy &= costs.keys()

    def begin(self) -> None:
        """Expect to be told everything anew."""
        self._old_neighbours, self._old_routes = self._all_neighbours(), self._all_routes()
        self._neighbours.clear()
        self._routes.clear()
        self._lines.clear()
        self._said.clear()
        self._hellos.clear()

    def settle(self) -> None:
        """What has not been told since `begin` is no more."""
        self._differs |= bool(self._old_neighbours or self._old_routes)
        self._old_neighbours.clear()
        self._old_routes.clear()

    def clear(self) -> None:
        """Forget everything: babeld is gone for good, and its routes are."""
        self.begin()
        self.settle()

    def _neighbour(self, verb: str, handle: str, fields: dict[str, str]) -> None:
        if verb == "flush":
            self._urgent |= self._neighbours.pop(handle, None) is not None
            self._hellos.pop(handle, None)
            return
        interface = _interface(fields["if"])
        key = (interface, _link_local(fields["address"]))
        if verb == "add":
            self._supersede(key)
        elif handle not in self._neighbours and self._has(key):
            return  # What is left of one whose link was taken away and given back.
        if handle not in self._neighbours and len(self._neighbours) >= MAX_NEIGHBOURS:
            return
        reach = _number(fields["reach"], 16)
        hellos = max(self._hellos.get(handle, 0), _known_bits(reach))
        rtt = fields.get("rtt")
        before = self._neighbours.get(handle)
        self._neighbours[handle] = now = NetNeighbour(
            interface=interface,
            address=key[1],
            reach=reach,
            cost=_number(fields["cost"]),
            loss_in_pct=round(100 - 100 * reach.bit_count() / hellos) if hellos else 100,
            loss_out_pct=self._loss_out_pct(interface, _number(fields["txcost"]), hellos),
            rtt_ms=_milliseconds(rtt) if rtt is not None else None,
        )
        self._hellos[handle] = hellos
        self._differs |= before != now
        if before is None or _neighbour_essence(before) != _neighbour_essence(now):
            self._urgent = True
        if hellos == REACH_BITS and interface in self._perfect and _has_gaps(reach):
            self._differs |= interface not in self._lossy
            self._lossy.add(interface)

    def _note(self, handle: str, line: str) -> None:
        """Remember what was said of something last, for as long as it is there."""
        self._forget_lines([handle])
        if handle in self._routes or handle in self._neighbours:
            self._lines[handle] = line
            self._said.add(line)

    def _forget_lines(self, handles: Iterable[str]) -> None:
        for handle in handles:
            self._said.discard(self._lines.pop(handle, ""))

    def _has(self, key: tuple[str, str]) -> bool:
        return any((one.interface, one.address) == key for one in self._neighbours.values())

    def _supersede(self, key: tuple[str, str]) -> None:
        for handle, one in list(self._neighbours.items()):
            if (one.interface, one.address) == key:
                del self._neighbours[handle]
                self._hellos.pop(handle, None)
                self._forget_lines([handle])
                self._differs = True

    def _loss_out_pct(self, interface: str, txcost: int, hellos: int) -> int:
        """Derive loss from what the neighbour says that it costs to hear us."""
        perfect = self._perfect.get(interface, txcost)
        if txcost >= INFINITY:
            return 100
        if txcost <= perfect or hellos < YOUNG:
            return 0
        return round(100 - 100 * perfect / txcost)

    def _route(self, verb: str, handle: str, fields: dict[str, str]) -> None:
        if verb == "flush":
            self._urgent |= self._routes.pop(handle, None) is not None
            return
        if handle not in self._routes and len(self._routes) >= MAX_ROUTES:
            return
        if fields["from"] != EVERY_SENDER:
            raise ValueError(fields["from"])
        before = self._routes.get(handle)
        self._routes[handle] = now = NetRoute(
            prefix=str(IPv6Network(fields["prefix"])),
            interface=_interface(fields["if"]),
            via=_link_local(fields["via"]),
            metric=_number(fields["metric"]),
            refmetric=_number(fields["refmetric"]),
            origin=_router_id(fields["id"]),
            installed=fields["installed"] == "yes",
        )
        self._differs |= before != now
        if before is None or _route_essence(before) != _route_essence(now):
            self._urgent = True

    # -- News

    def news(self, now: float) -> NetNews:
        """Return what changed since the last time.  Mere costs may wait a second."""
        neighbours, neighbours_gone = self._news_of_neighbours.differences(
            self._all_neighbours(), now
        )
        routes, routes_gone = self._news_of_routes.differences(self._all_routes(), now)
        return NetNews(
            neighbours=neighbours,
            neighbours_gone=neighbours_gone,
            routes=routes,
            routes_gone=routes_gone,
        )

    @property
    def owes(self) -> bool:
        """Whether changes wait for their time."""
        return self._news_of_neighbours.owes or self._news_of_routes.owes


class _News(Generic[K, V]):
    """What was told of things of one kind."""

    def __init__(self, essence: Callable[[V], object]) -> None:
        """`essence` is what of a thing is told at once when it changes."""
        self._essence = essence
        self._told: dict[K, tuple[V, float]] = {}
        self.owes = False

    def differences(self, there: dict[K, V], now: float) -> tuple[tuple[V, ...], tuple[K, ...]]:
        """Return what is new or different, and what is gone."""
        changed: list[V] = []
        self.owes = False
        for key, thing in there.items():
            told = self._told.get(key)
            if told is not None and told[0] == thing:
                continue
            minor = told is not None and self._essence(told[0]) == self._essence(thing)
            if told is not None and minor and now - told[1] < SETTLE_S:
                self.owes = True
                continue
            self._told[key] = (thing, now)
            changed.append(thing)
        gone = tuple(key for key in self._told if key not in there)
        for key in gone:
            del self._told[key]
        return tuple(changed), gone


def _neighbour_essence(one: NetNeighbour) -> object:
    return one.cost >= INFINITY


def _route_essence(one: NetRoute) -> object:
    return (one.installed, one.metric >= INFINITY, one.refmetric == 0, one.origin)


def _number(text: str, base: int = 10) -> int:
    number = int(text, base)
    if not 0 <= number <= INFINITY or not text.isalnum():
        raise ValueError(text)
    return number


def _key(route: NetRoute) -> tuple[str, str, str]:
    return (route.prefix, route.interface, route.via)


def _known_bits(reach: int) -> int:
    """Count the hellos that a reach tells of at least: those since the first that came."""
    return REACH_BITS - ((reach & -reach).bit_length() - 1) if reach else 0


def _has_gaps(reach: int) -> bool:
    """Tell whether hellos were missed more than once, and came again."""
    bits = f"{reach:0{REACH_BITS}b}"
    return bits[0] == "1" and len(re.findall("0+", bits)) >= MIN_GAPS


def _milliseconds(text: str) -> float:
    number = float(text)
    if not 0.0 <= number <= MAX_RTT_MS:
        raise ValueError(text)
    return number


def _interface(text: str) -> str:
    if len(text) > MAX_NAME:
        raise ValueError(text)
    return text


def _link_local(text: str) -> str:
    address = IPv6Address(text)
    if not address.is_link_local or address.scope_id is not None:
        raise ValueError(text)
    return str(address)


def _router_id(text: str) -> str:
    router_id = bytes(int(part, 16) for part in text.split(":"))
    if len(router_id) != ROUTER_ID_SIZE:
        raise ValueError(text)
    return router_id.hex()
