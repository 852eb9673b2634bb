"""Ending a real daemon from the command line."""

from __future__ import annotations

import asyncio
import json

from fencewire_program import TIMEOUT_S, Fencewire

from appliance.commands import exits


async def test_stop_ends_the_daemon_and_says_so(fencewire: Fencewire) -> None:
    state = str(fencewire.folder / "state")
    quiet = ("--interface", "lo", "--bind", "127.0.0.1", "--port", "0")
    daemon = await fencewire.start("run", "--state", state, *quiet)
    async with asyncio.timeout(TIMEOUT_S):
        while (await fencewire("status")).code == exits.NOT_RUNNING:
            pass
    stopped = await fencewire("stop")
    assert (stopped.code, "Messages are kept" in stopped.out) == (exits.OK, True)
    assert (await daemon.done()).code == exits.OK
    again = await fencewire("stop", "--json")
    assert (again.code, again.out) == (exits.NOT_RUNNING, "")
    assert json.loads(again.err)["error"]["code"] == "not-running"
