"""The helper's radios against a kernel and an iw that are played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import pytest
from link_samples import ETH0

from appliance.net import radios as radios_module
from appliance.net.config import NetConfig
from appliance.net.facts import Hardware, Udev
from appliance.net.iw import Iw, IwError, NoIwError
from appliance.net.netlink import Address, Interface, Picture
from appliance.net.radio_users import RadioUsers, Unfit
from appliance.net.radios import Radios
from appliance.net.undo import Undo
from appliance.protocol.wifi.choice import Choice
from appliance.protocol.wifi.tables import CELL, NETWORK, Mode

WITHIN_S = 5.0
MODES = {Mode.MESH: "mesh point", Mode.IBSS: "IBSS", None: "managed"}
WLAN = replace(
    ETH0,
    name="wlan1",
    index=7,
    up=False,
    carrier=False,
    mac=bytes.fromhex("020000000107"),
    carrier_ups=0,
)


@dataclass
class Played:
    """A machine with one radio."""

    interface: Interface | None = WLAN
    others: str = ""
    """What else iw tells of the radio."""
    modes: tuple[str, ...] = ("IBSS", "managed", "mesh point")
    kind: str = "managed"
    place: Choice | None = None
    link: str = ""
    country: str = "00"
    sleeps: bool = True
    refuses: str = ""
    """What joining fails with."""
    silent: bool = False
    """The kernel does not answer who switches an interface."""
    installed: bool = True
    did: list[str] = field(default_factory=list)
    """What was changed, in order."""
    on_event: Callable[[], None] = lambda: None
    undo: Undo | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Something was said to have changed."""

    async def happens(self) -> None:
        """Let what was just done to the machine be seen, until something comes of it."""
        self.told.clear()
        self.on_event()
        async with asyncio.timeout(WITHIN_S):
            await self.told.wait()

    def change(self, what: str) -> None:
        """Nothing is changed that is not in the journal."""
        assert self.undo is not None
        assert self.undo.changes, f"{what} is not in the journal"
        self.did.append(what)


class PlayedIw(Iw):
    """Says what the real one would."""

    def __init__(self, world: Played) -> None:
        super().__init__()
        self.world = world

    async def interfaces(self) -> str:
        if not self.world.installed:
            raise NoIwError("iw is not installed")
        place = self.world.place
        name = self.world.interface.name if self.world.interface else "gone"
        lines = ["phy#1", self.world.others, f"\tInterface {name}"]
        lines.append("\t\taddr 02:00:00:00:01:07")
        lines.append(f"\t\ttype {self.world.kind}")
        if place is not None:
            lines.append(f"\t\tssid {NETWORK}")
            lines.append(f"\t\tchannel 6 ({place.channel.frequency_mhz} MHz), width: 20 MHz")
        return "\n".join(lines)

    async def phy(self, number: int) -> str:
        modes = "".join(f"\t\t * {mode}\n" for mode in self.world.modes)
        ending = "\tBand 1:\n\t\t\tHT20/HT40\n\t\t\t* 2437.0 MHz [6] (20.0 dBm)\n"
        return f"Wiphy phy{number}\n\tSupported interface modes:\n{modes}{ending}"

    async def domains(self) -> str:
        return f"global\ncountry {self.world.country}: DFS-UNSET\n"

    async def set_country(self, country: str) -> None:
        self.world.change(f"country {country}")
        self.world.country = country

    async def link(self, name: str) -> str:
        return self.world.link

    async def power_save(self, name: str) -> bool:
        return self.world.sleeps

    async def set_power_save(self, name: str, *, on: bool) -> None:
        self.world.change(f"power save {on}")
        self.world.sleeps = on

    async def set_type(self, name: str, mode: Mode | None) -> None:
        assert self.world.interface is not None
        assert not self.world.interface.up
        self.world.change(f"type {MODES[mode]}")
        self.world.kind, self.world.place = MODES[mode], None

    async def scan(self, name: str, frequency_mhz: int) -> str:
        self.world.did.append("scan")
        return ""

    async def join(self, name: str, choice: Choice, *, ht: bool, mcast: bool) -> None:
        if self.world.refuses:
            raise IwError(self.world.refuses)
        self.world.change(f"join {choice}")
        self.world.place = choice
        if choice.mode is Mode.IBSS:
            self.world.link = f"Joined IBSS {CELL} (on wlan1)\n"


class PlayedKernel:
    """The kernel's interfaces."""

    world: Played

    def __init__(self, on_event: Callable[[], None]) -> None:
        self.world.on_event = on_event

    async def __aenter__(self) -> PlayedKernel:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def look(self) -> Picture:
        return Picture((self.world.interface,) if self.world.interface else ())

    async def set_up(self, index: int, *, up: bool) -> None:
        assert self.world.interface is not None
        if self.world.silent:
            raise TimeoutError
        self.world.change("up" if up else "down")
        self.world.interface = replace(self.world.interface, up=up)


class PlayedFacts:
    """What is known of hardware."""

    def hardware(self, interface: Interface) -> Hardware:
        return Hardware(wireless=True, mobile=False, driver="mt7601u", gadget=False)

    def udev(self, index: int) -> Udev:
        return Udev(pending=False, ignore=False)

    def close(self) -> None:
        pass


class PlayedUsers(RadioUsers):
    """Nobody, or somebody."""

    unfit: Unfit | None = None

    def blocked(self, name: str, index: int) -> Unfit | None:
        return self.unfit

    def manager(self, name: str, index: int) -> Unfit | None:
        return None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played()
    monkeypatch.setattr(PlayedKernel, "world", played, raising=False)
    monkeypatch.setattr(radios_module, "Kernel", PlayedKernel)
    monkeypatch.setattr(radios_module, "Facts", PlayedFacts)
    monkeypatch.setattr(radios_module, "SETTLE_S", 0.0)
    return played


@asynccontextmanager
async def running(
    world: Played,
    tmp_path: Path,
    *,
    config: NetConfig | None = None,
    unfit: Unfit | None = None,
) -> AsyncIterator[Radios]:
    """Radios that have looked and acted once."""
    world.undo = Undo(tmp_path / "journal", where="here")
    users = PlayedUsers()
    users.unfit = unfit
    radios = Radios(
        config or NetConfig(), world.undo, world.told.set, iw=PlayedIw(world), users=users
    )
    task = asyncio.create_task(radios.run())
    try:
        async with asyncio.timeout(WITHIN_S):
            await world.told.wait()
        yield radios
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await world.undo.undo_all()
        world.undo.close()


async def test_a_radio_joins_and_is_put_back(world: Played, tmp_path: Path) -> None:
    async with running(world, tmp_path) as radios:
        assert radios.joined == {"wlan1": "mesh, channel 6"}
        assert not world.sleeps
        assert world.did == [
            *("up", "scan", "down", "type mesh point", "up"),
            *("power save False", "join mesh, channel 6"),
        ]
    assert (world.kind, world.sleeps) == ("managed", True)
    assert world.interface == WLAN


async def test_a_radio_that_was_on_stays_on(world: Played, tmp_path: Path) -> None:
    world.interface = replace(WLAN, up=True)
    async with running(world, tmp_path):
        pass
    assert world.interface == replace(WLAN, up=True)


async def test_ibss_only(world: Played, tmp_path: Path) -> None:
    world.modes = ("IBSS", "managed")
    async with running(world, tmp_path) as radios:
        assert radios.joined == {"wlan1": "ad hoc, channel 6"}


async def test_the_country_is_said_and_taken_back(world: Played, tmp_path: Path) -> None:
    async with running(world, tmp_path, config=NetConfig(country="DE")):
        assert world.country == "DE"
    assert world.country == "00"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "AP"}, "It is used as something else: AP."),
        (
            {"link": "Connected to 00:3a:99:2b:59:b0 (on wlan1)\n"},
            "It is connected to an access point.",
        ),
        (
            {"interface": replace(WLAN, addresses=(Address("192.0.2.1", 24),))},
            "It has addresses, so it is used for something else.",
        ),
        ({"others": "\tInterface ap0\n\t\ttype AP"}, "Its radio is used by ap0 too."),
        (
            {"modes": ("managed", "monitor")},
            "With mt7601u it can do neither 802.11s mesh nor ad hoc mode."
            " images/README.md names radios that can be plugged in.",
        ),
    ],
)
async def test_what_is_used_is_left_alone(
    world: Played, tmp_path: Path, change: dict[str, object], why: str
) -> None:
    for name, value in change.items():
        setattr(world, name, value)
    async with running(world, tmp_path) as radios:
        assert radios.why_not == {"wlan1": why}
        assert radios.joined == {}
        assert radios.problems == ()
    assert world.did == []


async def test_what_is_excluded_is_left_alone(world: Played, tmp_path: Path) -> None:
    async with running(world, tmp_path, config=NetConfig(exclude=("wl*",))) as radios:
        assert radios.why_not == {"wlan1": "It is excluded by the operator."}
    assert world.did == []


async def test_a_radio_that_is_switched_off_is_said(world: Played, tmp_path: Path) -> None:
    unfit = Unfit("The radio is switched off by software (rfkill).", "Do this.", "radio-off")
    async with running(world, tmp_path, unfit=unfit) as radios:
        (problem,) = radios.problems
        assert (problem.code, problem.fix) == ("radio-off", "Do this.")
    assert world.did == []


async def test_a_radio_that_is_renamed_is_put_back(world: Played, tmp_path: Path) -> None:
    async with running(world, tmp_path):
        assert world.interface is not None
        world.interface = replace(world.interface, name="mesh0")
    assert world.kind == "managed"
    assert world.interface == replace(WLAN, name="mesh0")


async def test_wpa_supplicants_hold_is_said(world: Played, tmp_path: Path) -> None:
    world.others = "\tUnnamed/non-netdev interface\n\t\ttype P2P-device"
    async with running(world, tmp_path) as radios:
        (problem,) = radios.problems
        assert problem.code == "radio-managed"
    assert world.did == []


async def test_without_iw_the_operator_is_told(world: Played, tmp_path: Path) -> None:
    world.installed = False
    async with running(world, tmp_path) as radios:
        assert [problem.code for problem in radios.problems] == ["no-iw"]


async def test_a_radio_that_fails_is_said_and_put_back(world: Played, tmp_path: Path) -> None:
    world.refuses = "Operation not supported"
    async with running(world, tmp_path) as radios:
        (problem,) = radios.problems
        assert problem.code == "radio-fails"
        assert "Operation not supported" in problem.text
        assert radios.joined == {}
    assert world.kind == "managed"


async def test_a_radio_that_somebody_takes_is_not_put_back(world: Played, tmp_path: Path) -> None:
    async with running(world, tmp_path) as radios:
        world.did.clear()
        world.kind, world.place = "AP", None
        await world.happens()
        assert radios.joined == {}
    assert world.did == []
    assert world.kind == "AP"


async def test_a_dongle_that_is_pulled_needs_no_putting_back(world: Played, tmp_path: Path) -> None:
    async with running(world, tmp_path) as radios:
        world.did.clear()
        world.interface = None
        await world.happens()
        assert radios.joined == {}
        assert world.undo is not None
        assert world.undo.changes == ()
    assert world.did == []


async def test_a_kernel_that_does_not_answer_is_a_try_in_vain(
    world: Played, tmp_path: Path
) -> None:
    world.silent = True
    async with running(world, tmp_path) as radios:
        why = "It could not join: the kernel does not answer. It is tried again."
        assert radios.why_not == {"wlan1": why}
        world.silent = False
