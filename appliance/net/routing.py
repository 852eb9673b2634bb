"""Routing as a whole: babeld for the station that has joined, its hellos, and detours.

What is known of routes goes to the fence and to the daemon; that they hear of it is `service`'s.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address
from pathlib import Path

from appliance.model.address import address_of
from appliance.model.net import Avoid, LinkKind, NetLink, NetNeighbour, NetNews, NetProblem
from appliance.net.babel_link import MEASURED, BabelLink
from appliance.net.babeld import Babeld
from appliance.net.detour_routes import DetourRoutes
from appliance.net.ip_route import flush_routes
from appliance.net.undo import Facts, Undo
from appliance.protocol.detours import Detours, Hop
from appliance.protocol.hello_interval import HelloIntervals

TABLES = "route-tables"
"""Kind of the journal's entry for what babeld and the detours put into the kernel."""


class Routing:
    """The routes of one station at a time."""

    def __init__(self, run_dir: Path, undo: Undo, on_change: Callable[[], None]) -> None:
        """`on_change` is called when `turn` should be."""
        self._run_dir, self._undo, self._on_change = run_dir, undo, on_change
        undo.knows(TABLES, self._undo_tables)
        self._babeld: Babeld | None = None
        self._task: asyncio.Task[None] | None = None
        self._address: IPv6Address | None = None
        self._detours = Detours()
        self._detour_routes = DetourRoutes()
        self._intervals = HelloIntervals(random.random)
        self._hello_ms: dict[str, int] = {}
        self._again: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """babeld answers."""
        return self._babeld is not None and self._babeld.running

    def problems(self) -> list[NetProblem]:
        """Return what is wrong."""
        if self._babeld is None:
            return []
        problem = self._babeld.problem
        claims = self._babeld.table.claims(f"{self._address}/128")
        found = [problem] if problem is not None else []
        if claims:
            links = ", ".join(sorted({claim.interface for claim in claims}))
            found.append(
                NetProblem(
                    "address-claimed",
                    f"Somebody else announces this station's address (heard on {links}).",
                    "Others may not reach this station. Find whoever it is and unplug it.",
                )
            )
        return found

    def stations(self) -> frozenset[str]:
        """Return the prefixes to which packets can go."""
        return self._babeld.table.installed() if self._babeld is not None else frozenset()

    def neighbours(self) -> Iterable[NetNeighbour]:
        """Return the routers at the other ends of our links."""
        return self._babeld.table.neighbours() if self._babeld is not None else ()

    def hello_ms(self, link: str) -> int:
        """Return the interval of hellos on a link; 0 where there are none."""
        return self._hello_ms.get(link, 0)

    async def start(self, address: IPv6Address) -> None:
        """Route for a station, which takes the place of an earlier one."""
        await self.stop()
        self._undo.note(TABLES)
        self._address = address
        self._babeld = Babeld(self._run_dir, address, self._on_change)
        self._task = asyncio.create_task(self._babeld.run(), name="babeld")
        self._task.add_done_callback(self._failed)

    def _failed(self, task: asyncio.Task[None]) -> None:
        """It runs until it is cancelled; anything else is a fault, which must not stay hidden."""
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "routing failed", "exception": error}
            task.get_loop().call_exception_handler(context)

    async def stop(self) -> None:
        """Withdraw what was announced, and remove all routes."""
        if self._again is not None:
            self._again.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})  # How it ended, `_failed` has heard.
        self._task = self._babeld = None
        self._hello_ms.clear()
        await self._undo.undo_all(kinds=frozenset({TABLES}))

    async def _undo_tables(self, _: Facts) -> None:
        await self._detour_routes.clear()
        await flush_routes()

    def set_links(self, links: Iterable[NetLink]) -> None:
        """Say which links there are."""
        if self._babeld is None:
            return
        used = {link.name: LinkKind(link.kind) for link in links if link.used}
        counts = {name: self._babeld.table.neighbour_count(name) for name in used}
        radios = {name for name, kind in used.items() if kind in MEASURED}
        now = asyncio.get_running_loop().time()
        self._hello_ms = self._intervals.choose(counts, now, radios=radios)
        self._babeld.set_links(
            {
                name: BabelLink(kind, self._hello_ms[name], self._babeld.table.lossy(name))
                for name, kind in used.items()
            }
        )

    def avoid(self, command: Avoid, now: float) -> None:
        """Reach a station another way, where there is one."""
        prefix = f"{address_of(command.station)}/128"
        self._detours.avoid(prefix, Hop(command.interface, command.via), now)
        self._on_change()

    async def turn(self, now: float) -> None:
        """Do what follows from what babeld has said."""
        if self._babeld is None or self._address is None:
            return
        chosen = self._detours.choose(self._babeld.table.routes(), now)
        await self._detour_routes.apply(chosen, str(self._address))

    def news(self, now: float) -> NetNews:
        """Return what the daemon has yet to hear; more may be due a second later."""
        if self._babeld is None:
            return NetNews()
        news = self._babeld.table.news(now)
        due = [self._detours.next_wakeup(), self._intervals.next_wakeup()]
        if self._babeld.table.owes:
            due.append(now + 1.0)
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if wake_at := [at for at in due if at is not None]:
            wait_s = max(min(wake_at) - now, 1.0)
            self._again = asyncio.get_running_loop().call_later(wait_s, self._on_change)
        return news
