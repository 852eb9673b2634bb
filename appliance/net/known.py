"""What the helper knows of the network, and what of that the daemon has yet to hear.

Sans IO.  Changes wait by what they are about, not one by one, so that a daemon which reads slowly
hears the latest, and what waits has a bound.  When something is sent stays out (`control`).
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, Generic, TypeVar

from appliance.model.net import (
    NetLink,
    NetNeighbour,
    NetNews,
    NetProblem,
    NetRoute,
    NetState,
)
from appliance.protocol.net_wire import MAX_ITEMS

MAX_LINKS: Final = 256
MAX_NEIGHBOURS: Final = 1024
MAX_ROUTES: Final = 8192
"""What is remembered, as in the daemon; more is not told."""

MAX_LINKS_TOLD: Final = 16
"""In one message; links are long, and a message has room for so many."""

MAX_UNTOLD: Final = 16_384
"""Changes that wait; a daemon that is further behind begins anew."""

MAX_PROBLEMS: Final = 16

_Key = TypeVar("_Key")
_Item = TypeVar("_Item")


class _Table(Generic[_Key, _Item]):
    """Things of one kind by their keys."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: dict[_Key, _Item] = {}
        self.untold: dict[_Key, None] = {}
        """Keys of what changed, the earliest first."""

    def put(self, key: _Key, item: _Item) -> None:
        """Note something new or different."""
        before = self._items.get(key)
        if before != item and (before is not None or len(self._items) < self._limit):
            self._items[key] = item
            self.untold[key] = None

    def drop(self, key: _Key) -> None:
        """Note that something is gone."""
        if self._items.pop(key, None) is not None:
            self.untold[key] = None

    def drop_all(self) -> None:
        """Note that everything is gone."""
        self.untold.update(dict.fromkeys(self._items))
        self._items.clear()

    def tell_all(self) -> None:
        """Begin anew, for somebody who knows nothing."""
        self.untold = dict.fromkeys(self._items)

    def take(self, limit: int) -> tuple[tuple[_Item, ...], tuple[_Key, ...]]:
        """Return what is there and what is gone, `limit` changes at most; they count as told."""
        keys = list(islice(self.untold, limit))
        for key in keys:
            del self.untold[key]
        there = tuple(self._items[key] for key in keys if key in self._items)
        return there, tuple(key for key in keys if key not in self._items)


class Known:
    """The picture that the helper's parts draw together."""

    def __init__(self) -> None:
        self._links: _Table[str, NetLink] = _Table(MAX_LINKS)
        self._neighbours: _Table[tuple[str, str], NetNeighbour] = _Table(MAX_NEIGHBOURS)
        self._routes: _Table[tuple[str, str, str], NetRoute] = _Table(MAX_ROUTES)
        self._routing = False
        self._problems: tuple[NetProblem, ...] = ()
        self._listening = False
        self._synced = False
        self._told: NetState | None = None

    def learn(self, news: NetNews) -> None:
        """Take in what changed."""
        for link in news.links:
            self._links.put(link.name, link)
        for name in news.links_gone:
            self._links.drop(name)
        for neighbour in news.neighbours:
            self._neighbours.put((neighbour.interface, neighbour.address), neighbour)
        for key in news.neighbours_gone:
            self._neighbours.drop(key)
        for route in news.routes:
            self._routes.put((route.prefix, route.interface, route.via), route)
        for way in news.routes_gone:
            self._routes.drop(way)
        if not self._listening:
            self._forget_untold()

    def forget_routes(self) -> None:
        """The router has begun anew, as another one."""
        self._neighbours.drop_all()
        self._routes.drop_all()
        if not self._listening:
            self._forget_untold()

    def be(self, *, routing: bool, problems: tuple[NetProblem, ...]) -> None:
        """Take in how the helper is."""
        self._routing, self._problems = routing, problems[:MAX_PROBLEMS]

    def begin(self) -> None:
        """A daemon has come that knows nothing."""
        self._listening, self._synced, self._told = True, False, None
        for table in self._tables():
            table.tell_all()

    def end(self) -> None:
        """The daemon has gone; nothing waits for anybody."""
        self._listening = False
        self._forget_untold()

    @property
    def behind(self) -> bool:
        """The daemon has missed so much that it is better to begin anew."""
        return self._untold() > MAX_UNTOLD

    def take(self) -> NetNews | NetState | None:
        """Return the next thing to tell, which counts as told; None: the daemon knows everything.

        The state goes first; that everything has been told is said when it has.
        """
        if self._told is not None and not self._untold():
            self._synced = True
        state = NetState(self._routing, self._synced, self._problems)
        if state != self._told:
            self._told = state
            return state
        if not self._untold():
            return None
        room = MAX_ITEMS
        links, links_gone = self._links.take(MAX_LINKS_TOLD)
        room -= len(links) + len(links_gone)
        neighbours, neighbours_gone = self._neighbours.take(room)
        room -= len(neighbours) + len(neighbours_gone)
        routes, routes_gone = self._routes.take(room)
        return NetNews(links, links_gone, neighbours, neighbours_gone, routes, routes_gone)

    def _tables(self) -> tuple[_Table[Any, Any], ...]:
        return (self._links, self._neighbours, self._routes)

    def _untold(self) -> int:
        return sum(len(table.untold) for table in self._tables())

    def _forget_untold(self) -> None:
        for table in self._tables():
            table.untold.clear()
