"""The helper as a whole: what each command does, and what its parts hear of each other.

The station that has joined decides one thing, the address.  Everything else follows from what the
kernel shows and the operator has set.  What stays out: the parts themselves, and the socket.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from appliance.adapters.service_manager import notify, notify_alive, watchdog_interval_s
from appliance.model.net import (
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
from appliance.net.links import Links
from appliance.net.queues import Queues
from appliance.net.radios import KINDS as RADIO_KINDS
from appliance.net.radios import Radios
from appliance.net.undo import Undo, UndoError, this_kernel

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
"""Until what failed is tried again."""

WATCH_S: Final = 1.0
"""How often we look whether there is a daemon."""

MAX_TEXT: Final = 300
"""Characters of a sentence that the daemon takes."""


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
        self._radios = Radios(
            self._config, self._undo, self._poke, prepare=self._links.prepare_radio
        )
        self._linger_s = linger_s
        self._admission = Admission()
        self._joined: IPv6Address | None = None
        self._trouble = ""
        self._radio_links: frozenset[str] = frozenset()
        self._shown: dict[str, NetLink] = {}
        self._poked = asyncio.Event()
        self._in_mesh = asyncio.Event()
        self._stopping = asyncio.Event()

    # -- Commands

    def obey(self, command: NetCommand) -> Joined | NetRefused | None:
        """Begin to do what the daemon says; returns the answer."""
        answer = self._admission.answer(command, asyncio.get_running_loop().time())
        self._poke()
        return answer

    # -- Running

    def stop(self) -> None:
        """End soon, with everything put back."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`; whatever ends it, everything is put back."""
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

    async def _until_stopped(self) -> None:
        """Run all parts; one that fails ends the helper."""
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(part)
                for part in (self._links.run(), self._run_radios(), self._tend(), self._watch())
            ]
            await self._stopping.wait()
            for part in parts:
                part.cancel()

    async def _put_back(self) -> None:
        await self._queues.stop()
        await self._undo.undo_all(kinds=RADIO_KINDS)
        await self._links.leave()
        await self._undo.undo_all()

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
        while True:
            await self._poked.wait()
            self._poked.clear()
            try:
                await self._turn()
                self._trouble = ""
            except (OSError, UndoError) as error:
                log.warning("The mesh could not be set up: %s", error)
                self._trouble = str(error)
                asyncio.get_running_loop().call_later(RETRY_S, self._poke)
            self._show()

    async def _turn(self) -> None:
        address = self._admission.address
        if address is not None and address != self._joined:
            await self._links.join(address)
            self._joined = address
            self._in_mesh.set()
            log.info("This machine is %s in the mesh", self._joined)
        if self._joined is not None:
            self._follow_radios()
            await self._queues.apply(self._links.links())

    def _follow_radios(self) -> None:
        """Have radios that have joined used as links."""
        joined = frozenset(self._radios.joined)
        if joined != self._radio_links:
            self._radio_links = joined
            self._links.set_radios(joined)

    # -- What is known

    def _show(self) -> None:
        """Tell the daemon what is different."""
        links = {link.name: self._complete(link) for link in self._links.links()}
        gone = tuple(name for name in self._shown if name not in links)
        self._shown = links
        self._known.learn(NetNews(links=tuple(links.values()), links_gone=gone))
        self._known.be(routing=False, problems=tuple(map(_fitting, self._problems())))
        self._control.changed()

    def _complete(self, link: NetLink) -> NetLink:
        """Add what other parts know of a link."""
        why_not = "" if link.used else self._radios.why_not.get(link.name, link.why_not)
        return replace(
            link,
            why_not=why_not[:MAX_TEXT],
            rate_kbit=self._queues.rate_kbit(link.name),
            radio=self._radios.joined.get(link.name, ""),
        )

    def _problems(self) -> list[NetProblem]:
        found = [*self._links.problems(), *self._radios.problems, *self._queues.problems]
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
