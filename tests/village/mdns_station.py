"""Announces and browses inside a village station; prints what it hears, a JSON array a line.

Arguments: the key's seed byte, the boot id in hexadecimal, the port, and ``netlink`` or ``poll``.
It ends, with goodbyes, when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from appliance.adapters.links import LinkWatch
from appliance.adapters.mdns import Mdns
from appliance.model.identity import StationId
from appliance.protocol.dnssd import Gone, Sighting


def say(*words: object) -> None:
    print(json.dumps(words), flush=True)


def on_seen(sighting: Sighting) -> None:
    hosts = [host for host, _ in sighting.candidates]
    say("seen", sighting.instance, sighting.station.key[0], hosts, sighting.candidates[0][1])


def on_gone(gone: Gone) -> None:
    say("gone", gone.instance)


async def follow(mdns: Mdns, *, use_netlink: bool) -> None:
    async with LinkWatch(use_netlink=use_netlink) as watch:
        async for snapshot in watch:
            await mdns.interfaces_changed(snapshot)
            if watch.netlink_works:
                say("netlink")


async def main() -> None:
    seed, boot, port, how = sys.argv[1:]
    mdns = Mdns(
        station=StationId(bytes([int(seed)]) * 32),
        boot=bytes.fromhex(boot),
        port=int(port),
        version=1,
        on_seen=on_seen,
        on_gone=on_gone,
        rng=random.Random(boot),
    )
    await mdns.start()
    following = asyncio.create_task(follow(mdns, use_netlink=how == "netlink"))
    await asyncio.to_thread(sys.stdin.read)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await mdns.stop()


asyncio.run(main())
