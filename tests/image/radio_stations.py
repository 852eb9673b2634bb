"""Stations with simulated radios (mac80211_hwsim), each in a network namespace; runs in a machine.

    python3 tests/image/radio_stations.py play '{"stations": [{"able": ["low", "mesh"]}], ...}'

plays a fleet and prints what came of it as JSON.  Every station is this program again (`station`):
the helper's own `Radios` and nothing else.  What a radio can do is made less by striking lines
out of what iw says of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from appliance.net.config import NetConfig
from appliance.net.iw import Iw
from appliance.net.radios import Radios
from appliance.net.undo import Undo, this_kernel
from appliance.protocol.wifi.iw_text import IBSS, MESH_POINT

PLACE = Path("/run/radio-stations")
WORDS = {"mesh": f"* {MESH_POINT}", "ibss": f"* {IBSS}", "low": "* 24"}
"""How lines about each ability of a radio begin; without ``low`` it has no 2.4 GHz band."""
PORT = 5000
LOOK_S = 0.2
END_S = 30.0
PING_TRIES = 20

PING = f"""
import socket, sys, time
name, address = sys.argv[1:]
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as end:
    end.settimeout(0.5)
    where = (address, {PORT}, 0, socket.if_nametoindex(name))
    for _ in range({PING_TRIES}):
        try:
            end.sendto(b"fence", where)
            if end.recv(99) == b"fence":
                sys.exit(0)
        except TimeoutError:
            pass
        except OSError:  # its own address is still being checked, or nobody listens yet
            time.sleep(0.5)
sys.exit(1)
"""
ECHO = f"""
import socket
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as end:
    end.bind(("::", {PORT}))
    while True:
        data, where = end.recvfrom(99)
        end.sendto(data, where)
"""


class LimitedIw(Iw):
    """iw that keeps some abilities to itself."""

    def __init__(self, abilities: list[str]) -> None:
        super().__init__()
        self._hidden = tuple(line for able, line in WORDS.items() if able not in abilities)

    async def phy(self, number: int) -> str:
        """What a radio can do, in part."""
        lines = (await super().phy(number)).splitlines()
        return "\n".join(line for line in lines if not line.strip().startswith(self._hidden))


async def station(place: Path, abilities: list[str], country: str | None) -> None:
    """Be a station until SIGTERM, and put everything back."""
    undo = Undo(place / "journal", where=this_kernel())

    def tell() -> None:
        problems = [one.code for one in radios.problems]
        said = {"joined": dict(radios.joined), "why": dict(radios.why_not), "problems": problems}
        print(json.dumps(said), flush=True)

    radios = Radios(NetConfig(country=country), undo, tell, iw=LimitedIw(abilities))
    await undo.undo_all()
    running = asyncio.create_task(radios.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        await undo.undo_all()
    undo.close()


def run(*words: str, check: bool = True) -> str:
    """What a command prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


class Played:
    """One station of a play."""

    def __init__(self, number: int, phy: str, wanted: dict[str, Any], spaces: ExitStack) -> None:
        """`spaces` ends its namespace."""
        self.place = PLACE / str(number)
        self.place.mkdir(parents=True, exist_ok=True)
        self.space = f"station{number}"
        run("ip", "netns", "add", self.space)
        spaces.callback(run, "ip", "netns", "del", self.space)
        run("iw", "phy", phy, "set", "netns", "name", self.space)
        self.within = ("ip", "netns", "exec", self.space)
        run(*self.within, "ip", "link", "set", "lo", "up")
        self.name = run(*self.within, "ls", "/sys/class/net").split()[-1]
        for command in wanted.get("before", []):
            run(*self.within, "sh", "-c", command.replace("RADIO", self.name))
        self.before = self.state()
        self.wanted = wanted
        self.log = (self.place / "log").open("w")
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Switch it on."""
        country = ["--country", self.wanted["country"]] if "country" in self.wanted else []
        words = [sys.executable, __file__, "station", str(self.place), *self.wanted["able"]]
        self._spawn(*words, *country, stdout=self.log)
        self._spawn(sys.executable, "-c", ECHO)

    def _spawn(self, *words: str, **more: Any) -> None:
        self.children.append(subprocess.Popen([*self.within, *words], **more))

    def said(self) -> dict[str, Any]:
        """The last that it told."""
        lines = self._lines()
        return json.loads(lines[-1]) if lines else {"joined": {}, "why": {}, "problems": []}

    def tellings(self) -> int:
        """How often it has told something."""
        return len(self._lines())

    def _lines(self) -> list[str]:
        """All that it told, as far as it is written to its end.

        Read by its path: who moves in the file that the station has open moves the station too.
        """
        told = (self.place / "log").read_text()
        return told[: told.rfind("\n") + 1].splitlines()

    def state(self) -> dict[str, Any]:
        """Type, hardware address and switch of its radio, and where it sends."""
        info = run(*self.within, "iw", "dev", self.name, "info")
        told = dict(line.strip().split(" ", 1) for line in info.splitlines() if " " in line.strip())
        flags = run(*self.within, "ip", "-o", "link", "show", "dev", self.name).split("<")[1]
        keys = ("type", "addr", "channel")
        return {key: told.get(key, "") for key in keys} | {"up": "UP" in flags.split(">")[0]}

    def fwding(self) -> str:
        """Whether the mesh forwards by itself."""
        asked = ("iw", "dev", self.name, "get", "mesh_param", "mesh_fwding")
        return run(*self.within, *asked, check=False).strip()

    def address(self) -> str:
        """Its link-local address."""
        words = run(*self.within, "ip", "-6", "-o", "addr", "show", "dev", self.name).split()
        found = [word for word in words if word.startswith("fe80:")]
        return found[0].partition("/")[0] if found else ""

    def reaches(self, other: Played) -> bool:
        """Whether a packet gets there and back."""
        address = other.address()
        words = [sys.executable, "-c", PING, self.name, address]
        return bool(address) and subprocess.run([*self.within, *words], check=False).returncode == 0

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Switch it off."""
        for child in self.children:
            child.send_signal(number if child is self.children[0] else signal.SIGKILL)
        for child in self.children:
            child.wait(END_S)
        self.children = []


def play(script: dict[str, Any]) -> dict[str, Any]:
    """Let a fleet meet until each has said what is expected; return what was found."""
    wanted = script["stations"]
    result: dict[str, Any] = {}
    with ExitStack() as spaces:  # they go last, whatever fails before
        run("modprobe", "mac80211_hwsim", f"radios={len(wanted)}")
        with ExitStack() as radios, ExitStack() as running:
            radios.callback(run, "modprobe", "-r", "mac80211_hwsim")
            run("iw", "reg", "set", "00")
            phys = sorted(path.name for path in Path("/sys/class/ieee80211").iterdir())
            fleet: list[Played] = []
            for number, one in enumerate(wanted):
                fleet.append(Played(number, phys[number], one, spaces))
                running.callback(fleet[-1].stop)
            meet(fleet, script["within_s"], result)
            if script.get("kill"):
                result["reached_again"] = reaches_again(fleet, script["within_s"])
            running.close()
            result["before"] = [one.before for one in fleet]
            result["after"] = [one.state() for one in fleet]
            result["told"] = [one.tellings() for one in fleet]
    return result


def meet(fleet: list[Played], within_s: float, result: dict[str, Any]) -> None:
    """Start all, each when it is time, until each has said what is expected."""
    begun = time.monotonic()
    late = [one for one in fleet if "after_s" in one.wanted]
    for one in fleet:
        if one not in late:
            one.start()
    while time.monotonic() < begun + within_s:
        for one in list(late):
            if time.monotonic() - begun >= one.wanted["after_s"]:
                one.start()
                late.remove(one)
        said = [one.said() for one in fleet]
        now = [[*one["joined"].values(), *one["why"].values()] for one in said]
        if not late and now == [[one.wanted["expect"]] for one in fleet]:
            result["joined_s"] = round(time.monotonic() - begun, 1)
            break
        time.sleep(LOOK_S)
    result["said"] = [one.said() for one in fleet]
    result["during"] = [one.state() | {"fwding": one.fwding()} for one in fleet]
    result["reach"] = [[one is other or one.reaches(other) for other in fleet] for one in fleet]


def reaches_again(fleet: list[Played], within_s: float) -> bool:
    """Kill the first and start it anew; whether it then reaches the second."""
    first, second = fleet[:2]
    first.stop(signal.SIGKILL)
    told = first.tellings()
    first.start()
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if first.tellings() > told and first.said()["joined"]:
            break
        time.sleep(LOOK_S)
    return first.reaches(second)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    alone = verbs.add_parser("station")
    alone.add_argument("place", type=Path)
    alone.add_argument("able", nargs="+")
    alone.add_argument("--country")
    together = verbs.add_parser("play")
    together.add_argument("script", type=json.loads)
    options = parser.parse_args()
    if options.verb == "station":
        asyncio.run(station(options.place, options.able, options.country))
    else:
        print(json.dumps(play(options.script)))


if __name__ == "__main__":
    main()
