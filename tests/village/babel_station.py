"""A router in a village: the real babeld under its supervisor, and nothing else of a station.

Runs inside a station, as root of the village: ``babel_station.py RUN_DIR ADDRESS``.  Every
interface but ``lo`` and bridges is a link.  It says on its output, a JSON object a line, how it is,
and answers UDP to port 9 of its address.  SIGTERM stops it in order.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import cast

from appliance.model.net import LinkKind
from appliance.net.babel_link import BabelLink
from appliance.net.babeld import Babeld
from appliance.net.numbers import ROUTE_TABLE, RULE_ROUTES
from appliance.protocol.hello_interval import FASTEST_MS

ECHO_PORT = 9
LOOK_S = 0.1


class Echo(asyncio.DatagramProtocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


def set_up(address: str) -> None:
    """Do what the helper's other parts do."""
    for words in (
        f"ip addr replace {address}/128 dev lo nodad",
        f"ip -6 rule add to fd00::/8 lookup {ROUTE_TABLE} prio {RULE_ROUTES}",
        "sysctl -qw net.ipv6.conf.all.forwarding=1",
    ):
        subprocess.run(words.split(), check=False, stderr=subprocess.DEVNULL)


async def follow_links(babeld: Babeld) -> None:
    """Use whatever interfaces there are."""
    link = BabelLink(LinkKind.ETHERNET, FASTEST_MS)
    while True:
        names = {name for _, name in socket.if_nameindex()} - {"lo"}
        babeld.set_links({name: link for name in names if not name.startswith("br")})
        await asyncio.sleep(LOOK_S)


async def main(run_dir: Path, address: str) -> None:
    """Route until SIGTERM."""
    loop = asyncio.get_running_loop()
    set_up(address)
    await loop.create_datagram_endpoint(Echo, local_addr=(address, ECHO_PORT))
    said = ""

    def say() -> None:
        nonlocal said
        text = json.dumps(
            {
                "running": babeld.running,
                "problem": babeld.problem.code if babeld.problem else "",
                "installed": sorted(babeld.table.installed()),
                "offered": sorted({route.prefix for route in babeld.table.routes()}),
            }
        )
        if text != said:
            said = text
            print(text, flush=True)

    babeld = Babeld(run_dir, IPv6Address(address), say)
    routing = asyncio.create_task(babeld.run())
    links = asyncio.create_task(follow_links(babeld))
    loop.add_signal_handler(signal.SIGTERM, routing.cancel)
    await asyncio.wait({routing, links}, return_when=asyncio.FIRST_COMPLETED)
    links.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
