"""What babeld says on its control socket after ``monitor``: neighbours and routes.

Lines such as these, of babeld 1.12 and 1.13; what is not known is skipped::

    add neighbour 5618 address fe80::2 if eth0 reach ffff ureach 0000 rxcost 256 txcost 256 cost 256
    change route 5620 prefix fd12::1/128 from ::/0 installed yes id 02:.. metric 512 refmetric 256
        via fe80::2 if eth0

Costs are those of ETX (babeld's neighbour.c): 256 divided by the share of hellos that arrive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, IPv6Network
from typing import Final, Generic, TypeVar

from appliance.model.net import NetNeighbour, NetNews, NetRoute

MAX_NEIGHBOURS: Final = 1024
MAX_ROUTES: Final = 8192
MAX_LINE: Final = 1024
MAX_NAME: Final = 15
"""Of an interface (linux/if.h)."""

ROUTER_ID_SIZE: Final = 8
INFINITY: Final = 0xFFFF
"""A cost or metric that says unreachable (RFC 8966 section 2.1)."""

PERFECT_COST: Final = 256
"""Of a link that loses nothing, where its quality is measured."""

SETTLE_S: Final = 1.0
"""How long a change of mere cost waits after the last one of the same thing."""

K = TypeVar("K")
V = TypeVar("V")

_WORD: Final = re.compile(r"[!-~]{1,128}")


class BabelTable:
    """Neighbours and routes as babeld has them, and what of them is news."""

    def __init__(self) -> None:
        self._neighbours: dict[str, NetNeighbour] = {}
        """By babeld's handle."""
        self._routes: dict[str, NetRoute] = {}
        self._news_of_neighbours: _News[tuple[str, str], NetNeighbour] = _News(
            lambda one: one.cost >= INFINITY
        )
        self._news_of_routes: _News[tuple[str, str, str], NetRoute] = _News(
            lambda one: (one.installed, one.metric >= INFINITY, one.refmetric == 0, one.origin)
        )
        self.skipped = 0
        """Lines that made no sense."""

    # -- What there is

    def neighbour_count(self, interface: str) -> int:
        """Return how many routers are heard on a link."""
        return sum(one.interface == interface for one in self._neighbours.values())

    def routes(self) -> Iterable[NetRoute]:
        """Return all ways that are offered."""
        return self._routes.values()

    def installed(self) -> frozenset[str]:
        """Return the prefixes that packets are sent to."""
        return frozenset(
            route.prefix
            for route in self._routes.values()
            if route.installed and route.metric < INFINITY
        )

    # -- Inputs

    def read(self, line: str) -> None:
        """Take in a line."""
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
        except (KeyError, ValueError):
            self.skipped += 1

    def clear(self) -> None:
        """Forget everything: babeld is gone."""
        self._neighbours.clear()
        self._routes.clear()

    def _neighbour(self, verb: str, handle: str, fields: dict[str, str]) -> None:
        if verb == "flush":
            self._neighbours.pop(handle, None)
            return
        if handle not in self._neighbours and len(self._neighbours) >= MAX_NEIGHBOURS:
            return
        rtt = fields.get("rtt")
        self._neighbours[handle] = NetNeighbour(
            interface=_interface(fields["if"]),
            address=_link_local(fields["address"]),
            reach=_number(fields["reach"], 16),
            cost=_number(fields["cost"]),
            loss_in_pct=_loss_pct(_number(fields["rxcost"])),
            loss_out_pct=_loss_pct(_number(fields["txcost"])),
            rtt_ms=min(max(float(rtt), 0.0), 1e6) if rtt is not None else None,
        )

    def _route(self, verb: str, handle: str, fields: dict[str, str]) -> None:
        if verb == "flush":
            self._routes.pop(handle, None)
            return
        if handle not in self._routes and len(self._routes) >= MAX_ROUTES:
            return
        self._routes[handle] = NetRoute(
            prefix=str(IPv6Network(fields["prefix"])),
            interface=_interface(fields["if"]),
            via=_link_local(fields["via"]),
            metric=_number(fields["metric"]),
            refmetric=_number(fields["refmetric"]),
            origin=_router_id(fields["id"]),
            installed=fields["installed"] == "yes",
        )

    # -- News

    def news(self, now: float) -> NetNews:
        """Return what changed since the last time.  Mere costs may wait a second."""
        neighbours, neighbours_gone = self._news_of_neighbours.differences(
            {(one.interface, one.address): one for one in self._neighbours.values()}, now
        )
        routes, routes_gone = self._news_of_routes.differences(
            {(one.prefix, one.interface, one.via): one for one in self._routes.values()}, now
        )
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


def _number(text: str, base: int = 10) -> int:
    number = int(text, base)
    if not 0 <= number <= INFINITY or not text.isalnum():
        raise ValueError(text)
    return number


def _loss_pct(cost: int) -> int:
    if cost >= INFINITY:
        return 100
    return max(0, round(100 - 100 * PERFECT_COST / cost)) if cost else 0


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
