"""What each of our packets says about itself on the wire, over IPv4 and IPv6."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from seats import Seat, delivered, eventually, meet, pair, talk
from speech import silence

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

HERE = Path(__file__).parent
EF, CS3, CS1, CS0 = 46, 24, 8, 0
SESSIONS_PORT, MDNS_PORT = 18950, 5353
BULK_BYTES = 300_000


def run_bulk(holder: Seat, fetcher: Seat, host: str) -> None:
    """Two more stations, in the places of these, move a blob."""
    script = [sys.executable, str(HERE.parent / "bench/_bulk_ends.py")]
    program = ["env", f"PYTHONPATH={HERE.parent.parent}", *script]
    with holder.village.popen(
        holder.name,
        [*program, "hold", str(BULK_BYTES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holding:
        assert holding.stdout is not None
        held = holding.stdout.readline()
        fetch = [*program, "fetch", host, held]
        fetcher.village.exec(fetcher.name, fetch, check=True)
        holding.terminate()


async def call(a: Seat, b: Seat, scratch: Path) -> None:
    play = silence(scratch / "play.wav")
    await talk(a, b, play=(play, play), record=(scratch / "a.wav", scratch / "b.wav"))
    current = await a.call_in("talking")
    assert current is not None
    await a.client.hang_up(current.id)
    await eventually(partial(b.call_in, "ended"))


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
async def test_every_packet_says_what_it_is_for(tmp_path: Path, family: str) -> None:
    async with pair(tmp_path / "v", daemons=False) as (a, b):
        other = {"ipv6": "ip -4 address flush dev eth0", "ipv4": "ip -6 address flush dev eth0"}
        for seat in (a, b):
            a.village.exec(seat.name, other[family].split(), check=True)
        watch = b.village.popen(
            "b",
            [sys.executable, "-I", "-S", str(HERE / "packet_marks.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watch.stdout is not None
        assert watch.stdout.readline() == "ready\n"
        for seat in (a, b):
            a.village.start(seat.name)
        await meet(a, b)
        await delivered(a, (await a.client.send(b.id, "Marked.")).id)
        await call(a, b, tmp_path)
        for holder, fetcher in ((b, a), (a, b)):
            host = holder.info.addresses[0]
            if family == "ipv6":
                host = f"{holder.info.addresses6[0]}%eth0"
            run_bulk(holder, fetcher, host)
        said, _ = watch.communicate(timeout=20)
    seen = [kind for kind in json.loads(said) if kind["family"] == family]
    check_tcp(seen)
    check_udp(seen)


def check_tcp(seen: list[dict[str, Any]]) -> None:
    """Connections carry sessions or bulk; bulk's server knows only after the request which."""
    ours = [k for k in seen if k["protocol"] == "tcp"]
    assert {k["dscp"] for k in ours} == {CS3, CS1}
    for way in ("in", "out"):
        moved = [k for k in ours if k["way"] == way and k["packets"] * k["longest"] > BULK_BYTES]
        assert {k["dscp"] for k in moved} == {CS1}, ours
    bulk_ports = {k["source"] for k in ours if k["way"] == "in" and k["dscp"] == CS1}
    for kind in ours:
        port = kind["source"] if kind["way"] == "in" else kind["target"]
        if port in bulk_ports and kind["dscp"] == CS3:
            # Handshakes of TCP and TLS, and what is acknowledged until the request is read.
            assert kind["packets"] < 50, ours


def check_udp(seen: list[dict[str, Any]]) -> None:
    ours = [k for k in seen if k["protocol"] == "udp"]
    voice = [k for k in ours if MDNS_PORT not in (k["source"], k["target"])]
    assert {(k["way"], k["dscp"]) for k in voice} == {("in", EF), ("out", EF)}, ours
    mdns = [k for k in ours if k not in voice]
    assert {k["dscp"] for k in mdns} == {CS0}, ours
