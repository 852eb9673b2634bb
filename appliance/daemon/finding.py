"""Finds others: announcements on links, routes from the network helper, and dials.

What the station wants dialled is dialled here; what is seen and what becomes of it goes back to it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.adapters.links import LinkSnapshot, LinkWatch
from appliance.adapters.mdns import Mdns
from appliance.adapters.net_client import NetClient
from appliance.adapters.sessions import DialError
from appliance.api.paths import net_path
from appliance.daemon.dialling import Pace, dial_any
from appliance.model.identity import StationId
from appliance.model.net import Avoid, NetEvent, NetRefused
from appliance.node.effects import AvoidRoute, Dial
from appliance.protocol.dnssd import Gone, Sighting
from appliance.protocol.hello import VERSIONS

if TYPE_CHECKING:
    from appliance.daemon.runtime import Runtime

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DialResult:
    """How a dial ended."""

    peer: StationId | None
    """Who was met."""

    error: DialError | None
    """Why nobody was."""


class Finding:
    """The ways to others."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.snapshot = LinkSnapshot()
        """The network interfaces as they are now."""

        self.discovering = False
        """Whether announcements are sent and heard."""

        self.net = NetClient(net_path(), runtime.station.id.key, self._net_said)
        """The network helper, where there is one."""

        self._pace = Pace()
        self._mdns: Mdns | None = None
        self._waiters: dict[int, asyncio.Future[DialResult]] = {}

    def start(self, *, boot: bytes, interfaces: tuple[str, ...]) -> None:
        """Announce this station, listen for others, and ask the helper where they are."""
        self._mdns = Mdns(
            station=self._runtime.station.id,
            boot=boot,
            port=self._runtime.sessions.port,
            version=max(VERSIONS),
            on_seen=self._seen,
            on_gone=self._gone,
            rng=random.Random(),  # noqa: S311 (jitter only)
            interfaces=interfaces,
        )
        self._runtime.spawn(self._discover(self._mdns))
        self._runtime.spawn(self.net.run())

    async def stop(self) -> None:
        """Take the announcements back."""
        if self._mdns is not None:
            await self._mdns.stop()

    # -- What is seen

    async def _discover(self, mdns: Mdns) -> None:
        async with LinkWatch() as watch:
            await mdns.start()
            self.discovering = True
            async for snapshot in watch:
                self.snapshot = snapshot
                await mdns.interfaces_changed(snapshot)
                self._runtime.links_changed(snapshot)

    def _seen(self, sighting: Sighting) -> None:
        self._runtime.carry_out(
            self._runtime.station.whereabouts.sighted(
                sighting.instance,
                sighting.station,
                sighting.candidates,
                sighting.links,
                self._runtime.time.now(),
            )
        )

    def _gone(self, gone: Gone) -> None:
        self._runtime.carry_out(self._runtime.station.whereabouts.gone(gone.instance, gone.station))

    def _net_said(self, event: NetEvent | None) -> None:
        if isinstance(event, NetRefused):
            log.warning("the network helper refuses: %s", event.text)
        self._runtime.carry_out(
            self._runtime.station.whereabouts.net_said(event, self._runtime.time.now())
        )
        self._runtime.mesh_changed()

    # -- What is wanted

    def avoid(self, effect: AvoidRoute) -> None:
        """Let the helper reach a station another way."""
        station, interface, via = effect.station, effect.interface, effect.via
        log.warning("%s: not over %s (%s)", station.tag, via, interface)
        self.net.send(Avoid(station.key, interface, via))

    async def dial_address(self, host: str, port: int) -> DialResult:
        """Dial an address that the operator gave, and say how it ended."""
        runtime = self._runtime
        runtime.carry_out(
            runtime.station.peers.add_address(host, port, runtime.time.now().monotonic)
        )
        target = runtime.station.peers.given()[host, port]
        if target.attempt is None:  # a session stands with whoever was met there
            return DialResult(target.wanted, None)
        # Several may wait for one attempt, and each gives up by itself.
        future = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._waiters.setdefault(target.attempt, future))

    async def dial(self, effect: Dial) -> None:
        """Carry a dial out."""
        runtime = self._runtime
        peer: StationId | None = None
        error: DialError | None = None
        try:
            session = await dial_any(
                runtime.sessions.dial, effect.candidates, effect.wanted, self._pace
            )
            peer = session.proved.peer
        except DialError as failure:
            error = failure
            log.debug("attempt %d failed: %s", effect.attempt, error)
        except Exception:
            # Whatever answers there must not be able to end the daemon.
            log.exception("attempt %d failed unexpectedly", effect.attempt)
            error = DialError("fault", "a fault in the program; its log says more")
        now = runtime.time.now()
        if peer is None:
            runtime.carry_out(runtime.station.whereabouts.dial_failed(effect.attempt, now))
        else:
            runtime.carry_out(
                runtime.station.peers.dial_succeeded(effect.attempt, peer, now.monotonic)
            )
        waiter = self._waiters.pop(effect.attempt, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(DialResult(peer, error))
