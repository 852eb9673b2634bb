"""A helper that is killed at every step that it takes, and what its next start makes of that."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from links_host import CONF, STATION, run, state

from appliance.net import firewall
from appliance.net.config import NetConfig
from appliance.net.links import Links
from appliance.net.sysctls import Sysctls
from appliance.net.undo import Change, Fact, Undo, this_kernel


class MortalUndo(Undo):
    """A journal whose process dies at a given step: a line that is written, or a sysctl."""

    def __init__(self, path: Path, steps: int) -> None:
        self.steps_left = steps
        write = Sysctls._write

        def write_and_step(sysctls: Sysctls, where: str, key: str, value: int) -> None:
            write(sysctls, where, key, value)
            self._step()

        Sysctls._write = write_and_step  # type: ignore[method-assign,assignment]
        super().__init__(path, where=this_kernel())

    def _step(self) -> None:
        self.steps_left -= 1
        if self.steps_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, kind: str, **facts: Fact) -> Change:
        self._step()
        change = super().note(kind, **facts)
        self._step()
        return change

    def forget(self, change: Change) -> None:
        self._step()  # between the change being undone and its line
        super().forget(change)


async def _live(directory: Path, steps: int) -> None:
    """Start, join and leave as far as it goes; with no steps, start and stop."""
    firewall.SPACING_S = 0.0  # type: ignore[misc]
    if steps:
        undo: Undo = MortalUndo(directory / "journal", steps)
    else:
        undo = Undo(directory / "journal", where=this_kernel())
    links = Links(NetConfig(exclude=("eth9",)), undo, lambda: None)
    async with links:
        await undo.undo_all()
        if not steps:
            undo.close()
            return
        await links.join(STATION)
        await links._turn()
        await links.firewall.set_stations(["fd00::1/128"], [("eth1", "fe80::1")])
        await links.leave()
    undo.close()


def _child(directory: Path, steps: int) -> int:
    """Do that in a process of its own; returns how it ended."""
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(_live(directory, steps))
            os._exit(0)
        finally:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at_every_step(directory: Path) -> None:
    for name in ("eth0", "eth1", "eth2", "eth9"):
        run(f"ip link add {name} type veth peer name far{name}")
        run(f"ip link set {name} up; ip link set {name} down")
        run(f"ip netns add {name}; ip link set far{name} netns {name}")
    run(
        "ip -n eth1 link set fareth1 up; ip link set eth1 up; ip addr add fd55::1/64 dev eth1 nodad"
    )
    run("ip link set eth2 up; ip addr add 192.0.2.1/24 dev eth2")
    run("ip -6 route add default via fd55::2; nft add table inet operators")
    (CONF / "eth1/forwarding").write_text("1")
    (CONF / "eth9/forwarding").write_text("1")
    while "tentative" in run("ip -6 addr"):
        time.sleep(0.05)
    before = state()
    steps = 0
    while True:
        steps += 1
        ended = _child(directory, steps)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        assert _child(directory, 0) == 0
        after = state()
        assert after == before, f"step {steps}:\n{_difference(before, after)}"
    assert state() == before
    print(f"killed at {steps - 1} steps")
    assert steps > 50


def _difference(before: str, after: str) -> str:
    old, new = before.splitlines(), after.splitlines()
    gone = [f"- {line}" for line in old if line not in new]
    return "\n".join([*gone, *(f"+ {line}" for line in new if line not in old)])
