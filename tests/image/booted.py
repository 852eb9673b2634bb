"""A station that was started from an image, as tests look at it.

It is asked through its own API by a small program inside the machine, and seen on its consoles.
Nobody types anything before a test does. Waiting is looking again within a bound; the bounds are
wide, because three machines share two emulated processors with everything else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from images.vm import Console, Kind, Machine, Network, Settings

T = TypeVar("T")

BOOT_S = 300.0
"""From power to the screen, at most."""
WITHIN_S = 120.0
"""For anything else."""
LOOK_EVERY_S = 0.5

INITRD = "Fencewire is starting"
"""What is said when the kernel is up."""

SCREEN = "F1 help"
"""What stands in the screen's last row."""

WAYS = ("here", "reachable")
"""What is said of a station to which there is a way."""

PAGE = 200
"""Messages that are asked for at once."""

API_SOCKET = "/run/fencewire/api.sock"

ASKING = f"""
import http.client, json, socket, sys
def ask(method, path, body):
    connection = http.client.HTTPConnection("station")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(60)
    connection.sock.connect({API_SOCKET!r})
    connection.request(method, path, body or None, {{"Content-Type": "application/json"}})
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer
"""
"""For the machine's own Python; the command line takes seconds to start there."""

ASK = ASKING + "print(ask(*sys.argv[1:]))\n"

DATA_IS_MOUNTED = "until mountpoint -q /data; do sleep 0.1; done"


def eventually(look: Callable[[], T], *, within_s: float = WITHIN_S) -> T:
    """The first answer that counts as true."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come about in {within_s:g} s: {found!r}")
        time.sleep(LOOK_EVERY_S)


class Booted:
    """One machine and the station in it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.name = ""
        """What it calls itself; known from `settle` on."""
        self.id = ""
        """Its station id, likewise."""

    screen_s = 0.0
    """When its screen was on the serial line, in seconds since power."""

    def settle(self) -> None:
        """Wait for the station, and learn who it is."""
        self.screen_s = self.machine.serial.wait_for(SCREEN, timeout_s=BOOT_S)
        status = eventually(lambda: self.ask("GET", "/v1/status"), within_s=BOOT_S)
        self.name, self.id = status["name"], status["id"]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer of its API; None while there is no daemon."""
        text = "" if body is None else json.dumps(body)
        done = self.machine.run(["python3", "-c", ASK, method, path, text], timeout_s=WITHIN_S)
        if done.code:
            return None
        answer = json.loads(done.stdout)
        assert "error" not in answer, answer
        return answer

    def others(self) -> list[str]:
        """Names of the stations that it can reach."""
        return [one["name"] for one in self.ask("GET", "/v1/stations") if one["reach"] == "here"]

    def hops(self) -> dict[str, int]:
        """Names of the stations to which there is a way, and over how many links."""
        stations = self.ask("GET", "/v1/stations")
        return {one["name"]: one["hops"] for one in stations if one["reach"] in WAYS}

    def messages(self, conversation: str) -> dict[str, dict[str, Any]]:
        """All messages of a conversation by id."""
        found: dict[str, dict[str, Any]] = {}
        query = f"/v1/messages?with={conversation}&limit={PAGE}"
        page = self.ask("GET", query)
        while True:
            found |= {one["id"]: one for one in page["messages"]}
            if not page["more"]:
                return found
            first = page["messages"][0]
            place = f"before={first['order']}&before_id={first['id']}"
            page = self.ask("GET", f"{query}&{place}")


def choose(console: Console, name: str) -> None:
    """Press what a person presses until the conversation with somebody is open."""

    def is_open() -> bool:
        return name in console.screen()[1]

    for _ in range(5):
        if is_open():
            return
        console.press("Down")
        time.sleep(LOOK_EVERY_S)
    eventually(is_open)


@contextmanager
def line_of_three(image: Path, kind: Kind) -> Iterator[tuple[Booted, Booted, Booted]]:
    """Three machines in a line over two cables, joined; the one in the middle starts by UEFI.

    Their kernels start one after the other: each looks whether its timer keeps time, and gives up
    where too many are emulated at once.
    """
    with ExitStack() as stack:
        left, right = stack.enter_context(Network()), stack.enter_context(Network())
        common = Settings(image=image, kind=kind, disk_mb=2048)
        stations = []
        for settings in (
            replace(common, name="a", networks=(left,), sound_card=True),
            replace(common, name="b", networks=(left, right), firmware="uefi"),
            replace(common, name="c", networks=(right,)),
        ):
            machine = stack.enter_context(Machine(settings))
            machine.serial.wait_for(INITRD, timeout_s=BOOT_S)
            stations.append(Booted(machine))
        for station in stations:
            station.settle()
        a, b, c = stations
        try:
            eventually(lambda: a.hops() == {b.name: 1, c.name: 2})
            eventually(lambda: c.hops() == {b.name: 1, a.name: 2})
            eventually(lambda: b.name in a.others() and b.name in c.others())
        except AssertionError as problem:
            raise b.machine.error(f"{a.name}, {b.name}, {c.name}: {problem}") from problem
        yield a, b, c
