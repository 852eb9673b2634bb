"""Our queues on eth0 of the station that this runs in, without the rest of the network helper.

    queue_station.py DIRECTORY     journal in DIRECTORY; what an earlier one left is put back first

Each line on standard input is a rate in kbit/s, 0 for none, and is answered with "ready" when it
holds; or a neighbour's address, to which the rate is measured from then on. The end of input puts
everything back.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from appliance.model.net import LinkKind, NetLink, NetNeighbour
from appliance.net.config import NetConfig
from appliance.net.link_rates import LinkRates
from appliance.net.queues import Queues
from appliance.net.undo import Undo, this_kernel


async def main(directory: Path) -> None:
    undo = Undo(directory / "journal", where=this_kernel())
    queues = Queues(undo, NetConfig())
    await undo.undo_all()
    print("ready", flush=True)
    index = socket.if_nametoindex("eth0")
    link = NetLink("eth0", index, LinkKind.ETHERNET, True, "", True, 1500, 4000, None, "")
    measuring = None
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if ":" in line:
            rates = LinkRates(queues, NetConfig(), lambda: None)
            rates.follow([link], [NetNeighbour("eth0", line, 0xFFFF, 96, 0, 0, None)])
            await queues.apply([link])
            measuring = asyncio.create_task(rates.run())
            print("ready", flush=True)
            continue
        rate_kbit = int(line)
        queues = Queues(undo, NetConfig(rate_kbit={"eth0": rate_kbit} if rate_kbit else {}))
        await queues.apply([link])
        print("no queues" if queues.problems else "ready", flush=True)
    if measuring is not None:
        measuring.cancel()
        await asyncio.wait({measuring})
        measuring.cancelled() or measuring.result()
    await queues.stop()
    undo.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
