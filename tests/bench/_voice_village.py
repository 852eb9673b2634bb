"""Two stations with a link between them that does what a trace says, and who calls over it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from _call_aiortc import Aiortc
from _call_baresip import AS_MANY_BYTES, HOSTS, Baresip
from _call_ours import Ours, our_command
from _clips import ADAPT_S, QUIET_S, Script
from _heard import System, drifting
from _scores import Score, scores
from _stations import processes, village
from _traces import Row
from _voice_table import Result

from appliance.village.village import Village

RELAY = Path(__file__).with_name("_voice_relay.py")
PREPARE = """\
sysctl -qw net.ipv6.conf.all.disable_ipv6=1
ip address flush dev eth0
ip address flush dev eth1
"""
"""In the station in the middle, so that it is a wire."""

NEIGHBOUR = f"ip address flush dev eth0 scope global; ip address add {HOSTS[1]}/24 dev eth0"
SYSTEMS = ("ours", "baresip", "aiortc", "baresip48")
FROM_S = round(QUIET_S + ADAPT_S)
"""Of a call: rates are taken from then on."""


class Relay:
    """The process in the middle, real-time where we may, so that it adds little of its own."""

    def __init__(self, up: Village) -> None:
        self._process = up.popen(
            "b",
            [sys.executable, str(RELAY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask()
        for pid in processes(up, "b"):
            with suppress(PermissionError):  # what it then adds is told all the same
                os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))

    def ask(self, **order: object) -> list[dict[str, Any]]:
        """What it has done, there and back."""
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        orders.write(json.dumps(order) + "\n")
        orders.flush()
        line = answers.readline()
        if not line:
            raise RuntimeError("the relay between the stations has ended")
        answer: list[dict[str, Any]] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class BadLink:
    """Calls of all systems over the same traces."""

    def __init__(self, up: Village, relay: Relay, script: Script, folder: Path) -> None:
        self._script, self._relay, self._folder = script, relay, folder
        self._systems: dict[str, System] = {
            "ours": Ours(up, script, folder),
            "baresip": Baresip(up, script, folder),
            "aiortc": Aiortc(up, script, folder),
            "baresip48": Baresip(up, script, folder, AS_MANY_BYTES),
        }

    async def call(self, name: str, kind: Row, seed: int) -> Result:
        """One call of one system."""
        system = self._systems[name]
        drift = drifting(self._library(), kind.drift_ppm) if kind.drift_ppm else {}
        self._relay.ask(row="clean", seed=0)
        await system.start(drift=drift)
        self._relay.ask(row=kind.name, seed=seed)
        heard = await system.call(self._script.seconds)
        there, _ = self._relay.ask()
        found = await asyncio.to_thread(
            scores,
            self._script,
            heard.sound,
            begun_s=heard.begun_s,
            pace=1 + kind.drift_ppm / 1e6,
        )
        return _result(found, there, system.tag_bytes)

    def _library(self) -> Path:
        library = self._folder / "drift_clock.so"
        if not library.exists():
            source = Path(__file__).with_name("_drift_clock.c")
            subprocess.run(["gcc", "-shared", "-fPIC", "-O", "-o", library, source], check=True)
        return library

    async def stop(self) -> None:
        """End all that still runs."""
        for system in self._systems.values():
            await system.stop()


def _result(found: list[Score], there: dict[str, Any], tag_bytes: int) -> Result:
    seconds = there["seconds"][FROM_S:-1]  # the last one is not whole
    packets, payload, wire = (sum(one[kind] for one in seconds) for kind in range(3))
    late = there["late_ms"] or [0.0]
    middle, worst = (float(value) for value in np.percentile(late, [50, 99]))
    lost_pct = 100 * there["lost"] / max(1, there["packets"])
    return Result(
        scores=found,
        payload_kbit_s=(payload - packets * tag_bytes) * 8 / 1000 / len(seconds),
        peak_kbit_s=max((one[1] - one[0] * tag_bytes) * 8 / 1000 for one in seconds),
        wire_kbit_s=wire * 8 / 1000 / len(seconds),
        note=f"lost {lost_pct:.0f} %, relay adds {middle:.1f}, 1 % over {worst:.1f} ms",
    )


@asynccontextmanager
async def bad_link(script: Script) -> AsyncIterator[BadLink]:
    """Three stations, the one in the middle a wire; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fw-voice-") as scratch:
        async with village("line:3", daemons=False, command=our_command()) as up:
            for name, words in (("b", PREPARE), ("c", NEIGHBOUR)):
                await asyncio.to_thread(up.exec, name, ["sh", "-ec", words], check=True)
            relay = Relay(up)
            link = BadLink(up, relay, script, Path(scratch))
            try:
                yield link
            finally:
                await link.stop()
                relay.close()
