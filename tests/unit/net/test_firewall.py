"""The fence: what is said to nft, when, and what follows when nft refuses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv6Address

import pytest

from appliance.net import firewall as module
from appliance.net.firewall import (
    CLAMP_SCRIPT,
    NFTABLE,
    Fence,
    Firewall,
    change_script,
    sort_prefixes,
    table_script,
)
from appliance.net.sysctls import FORWARDING
from appliance.net.undo import Undo

OWN = IPv6Address("fd12:3456:789a:bcde:1:2:3:4")
ROUTERS = [("eth0", "fe80::1")]


class Nft:
    """Stands for nft: keeps what it was told and complains when it should."""

    def __init__(self) -> None:
        self.scripts: list[str] = []
        self.complaints: list[str | None] = []
        self.missing = False

    async def __call__(self, script: str) -> str | None:
        self.scripts.append(script)
        if self.missing:
            return "nft is not installed"
        return self.complaints.pop(0) if self.complaints else None

    def told(self) -> list[str]:
        """What it was told since the last time."""
        told, self.scripts = self.scripts, []
        return told


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch) -> Nft:
    monkeypatch.setattr(module, "SPACING_S", 0.0)
    return Nft()


@pytest.fixture
async def firewall(undo: Undo, nft: Nft) -> AsyncIterator[Firewall]:
    made = Firewall(undo, run=nft)
    await made.set_stations(["fd00::1/128"], ROUTERS)
    await made.install(OWN, forwarded_before=False)
    yield made
    await made.remove()
    assert undo.changes == ()


def test_only_addresses_and_64s_of_the_mesh_are_stations() -> None:
    prefixes = ["fd00::1/128", "fd01::/64", "fd02::/48", "fd03::/96", "2001:db8::/64", "::/0"]
    prefixes.append("fd12:3456:789a:bcde::7/128")  # of what is attached to us, says a liar
    hosts, networks = sort_prefixes(prefixes, own=OWN)
    assert {str(host) for host in hosts} == {"fd00::1"}
    assert {str(network) for network in networks} == {"fd01::/64", "fd12:3456:789a:bcde::/64"}


def test_no_more_stations_than_the_kernel_should_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STATIONS", 10)
    prefixes = [f"fd00:{i:x}::/{bits}" for i in range(50) for bits in (64, 128)]
    assert [len(of) for of in sort_prefixes(prefixes, own=OWN)] == [10, 10]


def test_strangers_are_judged_only_where_nobody_forwarded_before() -> None:
    assert "meta nfproto ipv6 drop" in table_script(Fence(OWN))
    script = table_script(Fence(OWN, forwarded_before=True, links=frozenset({"eth1"})))
    assert "meta nfproto ipv6 drop" not in script
    assert 'elements = { "eth1" }' in script


@pytest.mark.parametrize("forwarded_before", [False, True])
def test_what_we_switched_on_is_for_stations_only_in_ipv4_too(forwarded_before: bool) -> None:
    script = table_script(Fence(OWN, forwarded_before=forwarded_before))
    assert "\n    iifname @links drop\n    oifname @links drop\n" in script


def test_a_change_says_only_what_changes() -> None:
    before = Fence(OWN, hosts=frozenset({OWN, IPv6Address("fd00::1")}))
    after = Fence(OWN, hosts=frozenset({OWN, IPv6Address("fd00::2")}), links=frozenset({"e"}))
    after = replace(after, used=frozenset({"e"}), routers=frozenset({("e", "fe80::1")}))
    assert change_script(before, after).splitlines() == [
        "delete element inet fencewire stations { fd00::1 }",
        "add element inet fencewire stations { fd00::2 }",
        'add element inet fencewire links { "e" }',
        'add element inet fencewire used { "e" }',
        'add element inet fencewire routers { "e" . fe80::1 }',
    ]


async def test_the_table_is_made_once_and_then_changed(firewall: Firewall, nft: Nft) -> None:
    made, clamp = nft.told()
    assert "fd00::1" in made
    assert made.startswith("table inet fencewire {}\ndelete table inet fencewire\n")
    assert clamp == CLAMP_SCRIPT
    await firewall.install(OWN, forwarded_before=False)
    await firewall.set_stations(["fd00::1/128"], ROUTERS)
    assert nft.told() == []
    await firewall.set_stations([], ROUTERS)
    assert nft.told() == ["delete element inet fencewire stations { fd00::1 }"]
    assert firewall.holds
    assert firewall.problem is None


async def test_changes_that_come_together_are_made_together(
    firewall: Firewall, nft: Nft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPACING_S", 0.01)
    nft.told()
    changes = [[f"fd00::{x}/128" for x in range(1, last)] for last in range(3, 40)]
    await asyncio.gather(*(firewall.set_stations(change, ROUTERS) for change in changes))
    [script] = nft.told()
    assert script.count("fd00::") == 37


async def test_a_refused_change_makes_the_table_anew(firewall: Firewall, nft: Nft) -> None:
    nft.told()
    nft.complaints = ["No such file or directory"]
    await firewall.set_stations(["fd00::2/128"], ROUTERS)
    assert len(nft.told()) == 3
    assert firewall.holds


async def test_a_removed_table_is_made_again(firewall: Firewall, nft: Nft) -> None:
    nft.told()
    await firewall.check()
    assert len(nft.told()) == 1
    nft.complaints = ["No such file or directory"]
    await firewall.check()
    assert len(nft.told()) == 3
    assert firewall.holds


async def test_the_fence_stays_while_packets_are_forwarded(
    firewall: Firewall, undo: Undo, nft: Nft
) -> None:
    """Of whom the kernel does not let switch that off."""
    forwarding = undo.note(FORWARDING, settled=1, was_on="")
    nft.told()
    await firewall.remove()
    assert nft.told() == []
    undo.forget(forwarding)
    await firewall.remove()
    assert nft.told() == ["table inet fencewire {}\ndelete table inet fencewire\n"]


async def test_a_kernel_without_the_clamp_still_has_the_fence(undo: Undo, nft: Nft) -> None:
    firewall = Firewall(undo, run=nft)
    nft.complaints = [None, "not supported"]
    await firewall.install(OWN, forwarded_before=False)
    assert firewall.holds
    assert firewall.problem is None


async def test_without_nft_there_is_no_fence_and_a_problem_until_it_comes(
    undo: Undo, nft: Nft, monkeypatch: pytest.MonkeyPatch
) -> None:
    firewall = Firewall(undo, run=nft)
    nft.missing = True
    await firewall.install(OWN, forwarded_before=False)
    assert not list(undo.changes)
    problem = firewall.problem
    assert problem is not None
    assert problem.code == "no-nft"
    assert "nft is not installed" in problem.text
    nft.told()
    await firewall.install(OWN, forwarded_before=False)
    assert nft.told() == [], "not at every look"
    nft.missing = False
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    firewall._retry_at = 0.0
    await firewall.install(OWN, forwarded_before=False)
    assert firewall.holds
    assert [change.kind for change in undo.changes] == [NFTABLE]
    assert firewall.problem is None


async def test_a_table_that_cannot_be_removed_is_remembered(undo: Undo, nft: Nft) -> None:
    firewall = Firewall(undo, run=nft)
    await firewall.install(OWN, forwarded_before=False)
    nft.missing = True
    await firewall.remove()
    assert [change.kind for change in undo.changes] == [NFTABLE]
    assert not firewall.holds
