"""The helper as a whole: what each command does, and what its parts hear of each other.

The station that has joined decides one thing, the address.  Everything else follows from what the
kernel shows and the operator has set.  What stays out: the parts themselves, and the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Final

from appliance.adapters.service_manager import notify, notify_alive, watchdog_interval_s
from appliance.model.net import (
    Avoid,
    Joined,
    NetCommand,
    NetLink,
    NetNews,
    NetProblem,
    NetRefused,
)
from appliance.net.admission import Admission
from appliance.net.config import ConfigError, NetConfig, load_config
from appliance.net.control import Control
from appliance.net.known import Known
from appliance.net.link_rates import LinkRates
from appliance.net.links import Links
from appliance.net.queues import Queues
from appliance.net.radios import KINDS as RADIO_KINDS
from appliance.net.radios import Radios
from appliance.net.routing import Routing
from appliance.net.undo import Undo, UndoError, this_kernel
from appliance.protocol.net_wire import MAX_TEXT

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
"""Until what failed is tried again."""

TURN_S: Final = 0.05
IDLE_TURNS: Final = 2
"""Least time between two turns, and the same in multiples of what one took, so that nobody's flood
of routes keeps a small machine busy; the first change of several is acted on at once."""

WATCH_S: Final = 1.0
"""How often we look whether there is a daemon."""


class Service:
    """The helper."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        allowed: frozenset[int],
        run_dir: Path,
        config_path: Path,
        linger_s: float | None = None,
    ) -> None:
        """Take daemons of the users `allowed` at `listener`; keep files in `run_dir`.

        `linger_s`: end when there has been no daemon for so long.  Raises UndoError if another
        helper uses `run_dir`.
        """
        self._config, self._complaint = _config(config_path)
        self._undo = Undo(run_dir / "journal", where=this_kernel())
        self._known = Known()
        self._control = Control(listener, allowed=allowed, known=self._known, obey=self.obey)
        self._links = Links(self._config, self._undo, self._poke)
        self._queues = Queues(self._undo, self._config)
        self._link_rates = LinkRates(self._queues, self._config, self._poke)
        self._radios = Radios(
            self._config, self._undo, self._poke, prepare=self._links.prepare_radio
        )
        self._routing = Routing(run_dir, self._undo, self._poke)
        self._linger_s = linger_s
        self._admission = Admission()
        self._joined: IPv6Address | None = None
        self._trouble = ""
        self._failed = False
        self._radio_links: frozenset[str] = frozenset()
        self._fenced: tuple[frozenset[str], frozenset[tuple[str, str]]] | None = None
        self._queued: tuple[NetLink, ...] = ()
        self._shown: frozenset[str] = frozenset()
        self._poked = asyncio.Event()
        self._in_mesh = asyncio.Event()
        self._stopping = asyncio.Event()

    # -- Commands

    def obey(self, command: NetCommand) -> Joined | NetRefused | None:
        """Begin to do what the daemon says; returns the answer."""
        now = asyncio.get_running_loop().time()
        answer = self._admission.answer(command, now)
        if isinstance(command, Avoid) and answer is None:
            self._routing.avoid(command, now)
        self._poke()
        return answer

    # -- Running

    def stop(self) -> None:
        """End soon, with everything put back."""
        self._stopping.set()

    async def run(self) -> bool:
        """Serve until `stop`; whatever ends it, everything is put back.

        Returns whether all went well.
        """
        asyncio.get_running_loop().set_exception_handler(self._part_failed)
        async with self._links:
            try:
                await self._undo.undo_all()  # What a helper that was killed has left.
                self._control.start()
                notify("READY=1")
                await self._until_stopped()
            finally:
                notify("STOPPING=1")
                self._control.close()
                await self._put_back()
                self._undo.close()
        return not self._failed

    def _part_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End, to be started anew, where something went wrong that nobody expected."""
        loop.default_exception_handler(context)
        self._failed = True
        self.stop()

    async def _until_stopped(self) -> None:
        """Run all parts; one that fails ends the helper."""
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(part)
                for part in (
                    self._links.run(),
                    self._link_rates.run(),
                    self._run_radios(),
                    self._tend(),
                    self._watch(),
                )
            ]
            await self._stopping.wait()
            for part in parts:
                part.cancel()

    async def _put_back(self) -> None:
        """Each part, the last one first; one that fails keeps nobody from the others."""
        async with contextlib.AsyncExitStack() as steps:
            steps.push_async_callback(self._undo.undo_all)
            steps.push_async_callback(self._links.leave)
            steps.push_async_callback(self._undo.undo_all, kinds=RADIO_KINDS)
            steps.push_async_callback(self._queues.stop)
            steps.push_async_callback(self._routing.stop)

    async def _watch(self) -> None:
        """Tell the service manager that the loop turns, and end where nobody needs us."""
        loop = asyncio.get_running_loop()
        interval_s = min(WATCH_S, watchdog_interval_s() or WATCH_S)
        seen = loop.time()
        while True:
            notify_alive()
            if self._control.connected:
                seen = loop.time()
            elif self._linger_s is not None and loop.time() - seen >= self._linger_s:
                log.info("No daemon for %.0f s: leaving the mesh", self._linger_s)
                self.stop()
            await asyncio.sleep(interval_s)

    async def _run_radios(self) -> None:
        """Join radios, but not before a station has joined: until then nothing is touched."""
        await self._in_mesh.wait()
        await self._radios.run()

    def _poke(self) -> None:
        """Some part has changed."""
        self._poked.set()

    async def _tend(self) -> None:
        """Let each part know what changed in the others, for ever."""
        loop = asyncio.get_running_loop()
        retry: asyncio.TimerHandle | None = None
        while True:
            await self._poked.wait()
            self._poked.clear()
            if retry is not None:  # else one would be added with each turn that fails
                retry.cancel()
            began = loop.time()
            try:
                await self._turn()
                self._trouble = ""
            except (OSError, UndoError) as error:
                if str(error) != self._trouble:
                    log.warning("The mesh could not be set up: %s", error)
                self._trouble = str(error)
                retry = loop.call_later(RETRY_S, self._poke)
            self._show(loop.time())
            await asyncio.sleep(max(TURN_S, IDLE_TURNS * (loop.time() - began)))

    async def _turn(self) -> None:
        address = self._admission.address
        if address is None:
            return
        if address != self._joined:
            await self._links.join(address)
            await self._routing.start(address)
            self._known.forget_routes()
            self._joined = address
            self._in_mesh.set()
            log.info("This machine is %s in the mesh", address)
        self._follow_radios()
        links = self._links.links()
        self._routing.set_links(links)
        await self._routing.turn(asyncio.get_running_loop().time())
        routers = frozenset((one.interface, one.address) for one in self._routing.neighbours())
        fenced = (self._routing.stations(), routers)
        if fenced != self._fenced:
            await self._links.firewall.set_stations(*fenced)
            self._fenced = fenced
        self._link_rates.follow(links, self._routing.neighbours())
        if links != self._queued:
            await self._queues.apply(links)
            self._queued = links

    def _follow_radios(self) -> None:
        """Have radios that have joined used as links."""
        joined = frozenset(self._radios.joined)
        if joined != self._radio_links:
            self._radio_links = joined
            self._links.set_radios(joined)

    # -- What is known

    def _show(self, now: float) -> None:
        """Tell the daemon what is different."""
        links = tuple(map(self._complete, self._links.links()))
        before, self._shown = self._shown, frozenset(link.name for link in links)
        self._known.learn(NetNews(links=links, links_gone=tuple(before - self._shown)))
        self._known.learn(self._routing.news(now))
        problems = tuple(map(_fitting, self._problems()))
        self._known.be(routing=self._routing.running, problems=problems)
        self._control.changed()

    def _complete(self, link: NetLink) -> NetLink:
        """Add what other parts know of a link."""
        why_not = "" if link.used else self._radios.why_not.get(link.name, link.why_not)
        return replace(
            link,
            why_not=why_not[:MAX_TEXT],
            hello_ms=self._routing.hello_ms(link.name),
            rate_kbit=self._queues.rate_kbit(link.name),
            radio=self._radios.joined.get(link.name, ""),
        )

    def _problems(self) -> list[NetProblem]:
        found = [
            *self._routing.problems(),
            *self._links.problems(),
            *self._radios.problems,
            *self._queues.problems,
        ]
        if self._complaint:
            found.insert(
                0,
                NetProblem(
                    "net-config",
                    f"No network interface is used for the mesh: {self._complaint}",
                    "Mend the file and restart the network helper.",
                ),
            )
        if self._trouble:
            found.append(
                NetProblem(
                    "net-failed",
                    f"The mesh could not be set up: {self._trouble}.",
                    "It is tried again; if that does not help, restart this machine.",
                )
            )
        return found


def _config(path: Path) -> tuple[NetConfig, str]:
    """The settings; where they are wrong, those that touch nothing, and what is wrong."""
    try:
        return load_config(path), ""
    except ConfigError as error:
        log.error("%s", error)
        return NetConfig(exclude=("*",)), str(error)


def _fitting(problem: NetProblem) -> NetProblem:
    """A problem as it can be told; what programs say may be long."""
    return replace(problem, text=problem.text[:MAX_TEXT], fix=problem.fix[:MAX_TEXT])
