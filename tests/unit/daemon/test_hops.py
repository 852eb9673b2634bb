"""Counting how far stations are, against a network that is played."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from appliance.adapters.trace import Reply
from appliance.daemon import hops as hops_module
from appliance.daemon.hops import Hops
from appliance.daemon.runtime import Runtime
from appliance.model.identity import StationId
from appliance.model.net import NetNews, NetRoute
from appliance.node import hop_counts
from appliance.node.mesh import Mesh

OWN, FAR = (StationId(bytes([number]) * 32) for number in (1, 2))


async def test_who_was_silent_is_soon_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing else happens in the mesh meanwhile."""
    asked: list[str] = []

    async def probe(
        _source: str, target: str, _limits: Sequence[int], *, within_s: float
    ) -> tuple[Reply, ...]:
        assert within_s > 0
        asked.append(target)
        return (Reply(64, target, True, 3, 0.1),) if len(asked) > 2 else ()

    monkeypatch.setattr(hops_module, "probe", probe)
    monkeypatch.setattr(hop_counts, "SETTLE_S", 0.0)
    monkeypatch.setattr(hop_counts, "SILENT_S", 0.01)
    mesh = Mesh(OWN)
    mesh.learn((FAR,))
    route = NetRoute(f"{FAR.host}/128", "eth0", "fe80::1", 512, 256, "", installed=True)
    mesh.feed(NetNews(routes=(route,)))
    clock = asyncio.get_running_loop().time
    runtime = SimpleNamespace(
        station=SimpleNamespace(id=OWN, mesh=mesh),
        time=SimpleNamespace(now=lambda: SimpleNamespace(monotonic=clock())),
        spawn=asyncio.create_task,
    )
    told = asyncio.Event()
    hops = Hops(cast(Runtime, runtime), lambda _: told.set())
    running = asyncio.create_task(hops.run())
    hops.look(FAR)
    async with asyncio.timeout(5.0):
        await told.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert asked == [FAR.host] * 3
    assert hops.counts.hops(FAR) == 3
