"""Datagrams that nobody takes, on the loopback; over relays they are tried in villages."""

from __future__ import annotations

import pytest

from appliance.adapters.trace import FAR, TraceError, probe


async def test_who_is_there_says_that_nobody_listens() -> None:
    near, far = await probe("::1", "::1", (FAR, 1), within_s=5.0)
    assert (near.hop_limit, far.hop_limit) == (1, FAR)
    for reply in (near, far):
        assert (reply.address, reply.arrived, reply.links_back) == ("::1", True, 1)
        assert 0 < reply.rtt_ms < 5_000


async def test_without_a_way_or_an_address_there_is_no_answer() -> None:
    assert await probe("::1", "fd00::1", (1, 2), within_s=0.05) == ()
    with pytest.raises(TraceError, match="can't be used"):
        await probe("fd00::1", "::1", (1,), within_s=0.05)
