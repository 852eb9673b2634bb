"""Who joins a station's network helper in place of its daemon, and what the kernel then has."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from seats import WITHIN_S

from appliance.adapters.net_client import NetClient
from appliance.model.identity import StationId, StationKey
from appliance.model.net import NetEvent, NetState
from appliance.node.mesh import Mesh
from appliance.village.village import Village

KERNEL = r"""
set -e
addresses=$(ip -6 addr)
routes=$(ip -6 route show table all)
echo "$addresses" | grep -v valid_lft | sed 's/ tentative//'
echo "$routes" | sed '/table local/d;/proto kernel/d'
ip -o link
ip -6 rule
nft list ruleset
tc qdisc
cd /proc/sys/net/ipv6/conf
grep . */forwarding */accept_ra */accept_redirects
grep -s . */optimistic_dad */use_optimistic || true  # not in every kernel
"""
"""Prints all that the helper may change."""

PING = """
import os, socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
    s.connect((sys.argv[1], 0))
    s.settimeout(1.0)
    token = os.urandom(8)
    s.send(bytes([128, 0, 0, 0]) + token)
    while (answer := s.recv(100))[0] != 129 or answer[4:] != token:
        pass
"""
"""An echo request and its reply (RFC 4443 section 4)."""


class Joiner:
    """A daemon, as far as the helper can tell."""

    def __init__(self, village: Village, name: str, *, key: StationId | None = None) -> None:
        """`key`: who it is, where it is not somebody new."""
        self.village = village
        self.name = name
        self.id = key or StationKey.generate().id
        self.mesh = Mesh(self.id)
        self.events: list[NetEvent | None] = []
        self._changed = asyncio.Event()

    @property
    def address(self) -> str:
        """The station's."""
        return str(self.id.address)

    @asynccontextmanager
    async def there(self) -> AsyncIterator[Joiner]:
        """Join, and listen until the end."""
        client = NetClient(self.village.station(self.name).net, self.id.key, self._take)
        task = asyncio.create_task(client.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait until something is true of what was heard."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while not what():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            log = self.village.station(self.name).net_log.read_text()
            raise AssertionError(f"{self.name} heard {self.events[-5:]}; {log[-2000:]}") from None

    async def until_reaches(self, *others: Joiner) -> None:
        """Wait for routes."""
        await self.until(lambda: all(self.mesh.reachable(other.id) for other in others))

    async def until_synced(self) -> None:
        """Wait until all has been told that was known."""
        await self.until(
            lambda: any(isinstance(event, NetState) and event.synced for event in self.events)
        )

    def pings(self, other: Joiner) -> bool:
        """Whether a packet gets there and back."""
        ping = [sys.executable, "-I", "-S", "-c", PING, other.address]
        return self.village.exec(self.name, ping).returncode == 0

    def _take(self, event: NetEvent | None) -> None:
        self.events.append(event)
        self.mesh.feed(event)
        self._changed.set()


def kernel_of(village: Village, station: str) -> str:
    """What the kernel of a station has that the helper may change."""
    return village.exec(station, ["sh", "-c", KERNEL], check=True).stdout
