"""The mesh with real helpers, real babeld and real daemons, and what happens to it in the field.

Each village serves for many checks, since making one takes longer than most of them.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
from mesh_seats import (
    Seats,
    all_list_all,
    begin_call,
    hops_become,
    kill_babeld,
    mesh,
    talk_across,
    write_across,
)
from seats import Seat, delivered, eventually, pid_of

from appliance.village.station import NET

pytestmark = [
    pytest.mark.village,
    pytest.mark.usefixtures("may_make_namespaces"),
    pytest.mark.timeout(180),
]

LONG = "The bridge at the mill is closed. " * 400
FLAPS = 8


# -- A line of five, and what is done to it


async def test_a_line_of_five_reaches_across_and_bears_what_happens_to_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with mesh(tmp_path_factory.mktemp("v"), "line:5") as seats:
        await all_list_all(seats)
        a, e = seats["a"], seats["e"]
        await write_across(a, e)
        await talk_across(a, e, tmp_path)
        await hops_become(a, e, 4)
        await a_smaller_mtu(seats)
        await loss_in_one_direction(seats)
        await a_link_that_comes_and_goes(seats)
        await a_killed_babeld(seats)
        await a_killed_helper(seats)
        await a_killed_daemon(seats)


async def a_smaller_mtu(seats: Seats) -> None:
    """IPv6's least, on a cable that is in use."""
    for name, interface in (("b", "eth1"), ("c", "eth0")):
        command = ["ip", "link", "set", interface, "mtu", "1280"]
        seats[name].village.exec(name, command, check=True)
    await write_across(seats["a"], seats["e"], LONG)


async def loss_in_one_direction(seats: Seats) -> None:
    """A third of what goes from c to d is lost, and nothing the other way."""
    village = seats["d"].village
    rule = "numgen random mod 100 < 33 drop"
    hook = 'type filter hook ingress device "eth0" priority 0;'
    table = f"table netdev asymmetric {{\nchain lossy {{ {hook} {rule}; }}\n}}\n"
    village.exec("d", ["nft", "-f", "-"], stdin=table, check=True)
    await write_across(seats["a"], seats["e"])
    village.exec("d", ["nft", "delete table netdev asymmetric"], check=True)
    await write_across(seats["a"], seats["e"])


async def a_link_that_comes_and_goes(seats: Seats) -> None:
    """An adapter is plugged in at both ends of the line, joined by a cable, and pulled out."""
    a, e = seats["a"], seats["e"]
    pair = f"type veth peer name usb0 netns {pid_of(e)}".split()
    a.village.exec("a", ["ip", "link", "add", "usb0", *pair], check=True)
    await hops_become(a, e, 1)
    await write_across(a, e)
    a.village.exec("a", ["ip", "link", "delete", "usb0"], check=True)
    await hops_become(a, e, 4)
    await write_across(a, e)


async def a_killed_babeld(seats: Seats) -> None:
    """In the middle: another one is started."""
    await kill_babeld(seats["c"])
    await write_across(seats["a"], seats["e"])
    await all_list_all(seats)


async def a_killed_helper(seats: Seats) -> None:
    """In the middle of the only way: its babeld goes with it, and the next helper takes over."""
    a, c, e = (seats[name] for name in "ace")
    c.village.kill("c", which=NET)
    sent = await a.client.send(e.id, "Over c.")
    c.village.start("c", which=NET)
    await delivered(a, sent.id)
    await write_across(a, c)
    await all_list_all(seats)


async def a_killed_daemon(seats: Seats) -> None:
    """In the middle, while the helper and all others hold routes."""
    a, c, e = (seats[name] for name in "ace")
    c.village.kill("c")
    sent = await a.client.send(c.id, "Are you there?")
    await write_across(a, e)
    c.village.start("c")
    await delivered(a, sent.id)
    await all_list_all(seats)
    await write_across(c, e)


# -- A line of eight that becomes a ring


async def test_a_line_of_eight_becomes_a_ring_and_a_cable_flaps_in_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with mesh(tmp_path_factory.mktemp("v"), "ring:8", pulled=[("a", "h")]) as seats:
        await all_list_all(seats)
        a, e, h = (seats[name] for name in "aeh")
        await write_across(a, h)
        await talk_across(a, h, tmp_path)
        await hops_become(a, h, 7)

        a.village.link("a", "h", up=True)
        await hops_become(a, h, 1)
        await all_list_all(seats)
        await write_across(a, e)

        call = await begin_call(a, e, tmp_path)
        written = []
        for flap in range(FLAPS):
            for up in (False, True):
                await asyncio.to_thread(partial(a.village.link, "b", "c", up=up))
                # The cable's own rhythm, not a wait for anything.
                await asyncio.sleep(0.5)
            written.append(await a.client.send(e.id, f"flap {flap}"))
        for message in written:
            await delivered(a, message.id)
        assert (await a.client.calls())[0].state == "talking"
        await a.client.hang_up(call)
        await all_list_all(seats)


# -- A question that goes astray


async def test_a_way_is_found_though_babeld_waits_in_vain_for_leave_to_use_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The long way round a ring of five needs leave; what asks for it is lost between a and b."""
    async with mesh(tmp_path_factory.mktemp("v"), "ring:5") as seats:
        await all_list_all(seats)
        village = seats["a"].village
        for name, other in (("a", "b"), ("b", "a")):
            cable = village.topology.cable(name, other)
            (end,) = [p.interface for p in (cable.a, cable.b) if p and p.station == name]
            lost = f"oifname {end} ip6 daddr fe80::/10 udp dport 6696 drop"
            hook = "type filter hook output priority filter;"
            script = f"table inet lossy {{ chain out {{ {hook} {lost}; }}; }}"
            assert not village.exec(name, ["nft", script]).returncode
        village.link("e", "d", up=False)
        await write_across(seats["e"], seats["c"])
        await hops_become(seats["e"], seats["c"], 3)


# -- A grid


async def test_a_grid_of_twenty_five(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    async with mesh(tmp_path_factory.mktemp("v"), "grid:5x5") as seats:
        await all_list_all(seats, within_s=60)
        await write_across(seats["a"], seats["y"])
        await talk_across(seats["a"], seats["y"], tmp_path)
        await hops_become(seats["a"], seats["y"], 8)


# -- Islands


async def test_islands_merge_by_one_cable_and_stay_one_by_another(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Three on a shared network, three in a triangle; two cables between the two."""
    cables = "cables:lan-1,lan-2,lan-3,4-5,5-6,4-6,1-4,2-5"
    async with mesh(tmp_path_factory.mktemp("v"), cables, pulled=[("a", "d"), ("b", "e")]) as seats:
        village = seats["a"].village
        await all_list_all({name: seats[name] for name in "abc"})
        await all_list_all({name: seats[name] for name in "def"})
        assert len(await seats["c"].client.stations()) == 2
        village.link("a", "d", up=True)
        await all_list_all(seats)
        await write_across(seats["c"], seats["f"])
        # Now two stations of the shared network have the same island behind them.
        village.link("b", "e", up=True)
        await eventually(partial(hears, seats["b"], "eth1", seats["e"]))
        village.link("a", "d", up=False)
        await write_across(seats["c"], seats["f"])
        await hops_become(seats["a"], seats["d"], 3)
        await all_list_all(seats)


async def hears(seat: Seat, interface: str, other: Seat) -> bool:
    """Whether a station is a neighbour on a link."""
    links = await seat.client.links()
    return any(r.station == other.id for k in links if k.name == interface for r in k.routers)


# -- Somebody else's address


async def test_an_address_of_another_is_noticed_named_and_avoided(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """d, next to a, announces the address of c, which is behind b.

    babeld keeps a way that works for a while when a shorter one is offered, so c goes away first.
    """
    places = tmp_path_factory.mktemp("v")
    async with mesh(places, "cables:1-2,2-3,1-4", without="d") as seats:
        a, c, d = (seats[name] for name in "acd")
        await all_list_all({name: seats[name] for name in "abc"})
        await write_across(a, c)
        d.village.start("d")
        address = (await c.client.status()).address
        with announced(d, address):
            a.village.link("b", "c", up=False)
            await eventually(partial(goes_over, a, "eth1", address))
            a.village.link("b", "c", up=True)
            await eventually(partial(goes_over, seats["b"], "eth1", address))
            sent = await a.client.send(c.id, "Only for c.")
            problem = await eventually(partial(impostor, a))
            assert problem is not None
            assert f"·{(await c.client.status()).tag}" in problem
            # A copy may arrive by way of b before the route is right again.
            await delivered(a, sent.id)
            await eventually(partial(goes_over, a, "eth0", address))
            await write_across(a, c)
        d.village.stop("d")

        # A board that was copied, key and all.
        c.village.stop("c")
        shutil.copytree(c.info.state, d.info.state, dirs_exist_ok=True)
        d.village.start("d", which=NET)
        for seat in (c, d):
            seat.village.start(seat.name)
        for seat in (c, d):
            await eventually(partial(knows_of_its_double, seat))


class announced:  # noqa: N801 - reads as a verb
    """A station runs babeld of its own, which announces an address that is not its own."""

    def __init__(self, seat: Seat, address: str) -> None:
        self._seat, self._address = seat, address
        self._babeld: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> None:
        village, name = self._seat.village, self._seat.name
        add = ["ip", "-6", "address", "add", f"{self._address}/128", "dev", "lo"]
        village.exec(name, add, check=True)
        rules = f"redistribute local ip {self._address}/128 allow", "redistribute local deny"
        state = str(self._seat.info.state / "babel-state")
        command = ["babeld", "-I", "", "-S", state, "-H", "1"]
        for rule in rules:
            command += ["-C", rule]
        self._babeld = village.popen(name, [*command, "eth0"], stderr=subprocess.DEVNULL)

    def __exit__(self, *_: object) -> None:
        assert self._babeld is not None
        self._babeld.kill()
        self._babeld.wait()
        remove = ["ip", "-6", "address", "delete", f"{self._address}/128", "dev", "lo"]
        self._seat.village.exec(self._seat.name, remove, check=True)


async def goes_over(seat: Seat, interface: str, address: str) -> bool:
    """Whether a station's kernel sends what is for an address over that interface."""
    route = seat.village.exec(seat.name, ["ip", "-6", "route", "get", address]).stdout.split()
    return "dev" in route and route[route.index("dev") + 1] == interface


async def impostor(seat: Seat) -> str | None:
    """What a station says of somebody who answers at another's address."""
    problems = (await seat.client.status()).problems
    return next((p.text for p in problems if p.code.startswith("impostor-")), None)


async def knows_of_its_double(seat: Seat) -> bool:
    return bool({"copied-key", "address-claimed"} & await seat.problems())
