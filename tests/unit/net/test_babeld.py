"""What babeld is told at its start, and of its links."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from ipaddress import IPv6Address
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from appliance.model.net import LinkKind
from appliance.net import babeld as module
from appliance.net.babel_link import BabelLink
from appliance.net.babeld import GIVEN_UP, SEQNO_STEP, Babeld
from appliance.net.numbers import ROUTE_TABLE
from appliance.protocol.hello_interval import FASTEST_MS, UPDATES

ADDRESS = IPv6Address("fd12:3456:789a:bcde:1122:3344:5566:7788")


def babeld(directory: Path) -> Babeld:
    return Babeld(directory, ADDRESS, lambda: None)


def test_only_stations_are_let_in_and_only_ourselves_out(tmp_path: Path) -> None:
    words = babeld(tmp_path)._arguments(tmp_path / "babeld.sock")
    said = [words[place + 1] for place, word in enumerate(words) if word == "-C"]
    rules = [line for line in said if line.startswith("in ")]
    assert rules[-1] == "in deny"
    assert "in ip fd00::/8 ge 64 allow" in rules
    ours = [line for line in said if line.startswith("redistribute")]
    assert ours == [
        f"redistribute local ip {ADDRESS}/128 eq 128 allow",
        "redistribute local deny",
        "redistribute ip fd12:3456:789a:bcde::/64 eq 64 proto 2 allow",
        "redistribute deny",
    ]
    assert "router-id 11:22:33:44:55:66:77:88" in said
    assert words[words.index("-t") + 1] == str(ROUTE_TABLE)
    assert "-c" in words  # else it reads /etc/babeld.conf, where there is one


def test_babeld_can_fill_our_table() -> None:
    assert ROUTE_TABLE < 253


def test_the_sequence_number_goes_up_by_little(tmp_path: Path) -> None:
    state = tmp_path / "babeld.state"
    ours = babeld(tmp_path)
    ours._go_on_counting()
    assert state.read_text() == "0\n"
    state.unlink()  # babeld does so at its start, and dies
    ours._go_on_counting()
    assert state.read_text() == f"{SEQNO_STEP}\n"
    state.write_text("4711\n")  # and this one ended well
    ours._go_on_counting()
    assert state.read_text() == "4711\n"
    state.unlink()
    ours._go_on_counting()
    assert state.read_text() == f"{4711 + SEQNO_STEP}\n"


@pytest.mark.parametrize("garbage", ["", "x", "-1\n", "65536\n", "1 2\n", "\xff"])
def test_a_spoilt_state_is_none(tmp_path: Path, garbage: str) -> None:
    (tmp_path / "babeld.state").write_text(garbage, encoding="latin-1")
    babeld(tmp_path)._go_on_counting()
    assert (tmp_path / "babeld.state").read_text() == "0\n"


def test_each_start_has_a_priority_before_the_last(tmp_path: Path) -> None:
    ours = babeld(tmp_path)
    ours._starts = 1
    first = ours._priority
    ours._starts = 2
    assert 0 < ours._priority < first


@pytest.mark.parametrize("kind", LinkKind)
def test_links_by_kind(kind: LinkKind) -> None:
    for interval in UPDATES:
        line = BabelLink(kind, interval).statement("eth0")
        assert line.startswith("interface eth0 type ")
        assert f"hello-interval {interval / 1000:g} " in line


def test_quality_is_measured_where_something_is_lost() -> None:
    assert "link-quality false" in BabelLink(LinkKind.ETHERNET, FASTEST_MS).statement("eth0")
    lossy = BabelLink(LinkKind.ETHERNET, FASTEST_MS, lossy=True).statement("eth0")
    assert "link-quality true split-horizon false" in lossy
    assert "link-quality false" in BabelLink(LinkKind.CABLE, FASTEST_MS, lossy=True).statement("u")
    assert "link-quality true" in BabelLink(LinkKind.RADIO, FASTEST_MS).statement("wlan0")


async def test_one_that_dies_again_and_again_is_a_problem_though_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    flushes: list[int] = []
    enough = asyncio.Event()

    async def answers_and_dies(one: Babeld) -> str:
        one.running, one.problem = True, None
        return "exit status 1"

    async def flush(*, but: int | None = None) -> None:
        flushes.append(len(told))

    def heard() -> None:
        told.append(one.problem is not None)
        if len(told) == GIVEN_UP + 2:
            enough.set()

    monkeypatch.setattr(Babeld, "_run_once", answers_and_dies)
    monkeypatch.setattr(module, "flush_routes", flush)
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.0)
    one = Babeld(tmp_path, ADDRESS, heard)
    running = asyncio.create_task(one.run())
    await enough.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert told[: GIVEN_UP + 2] == [False] * (GIVEN_UP - 1) + [True] * 3
    assert flushes[:3] == [GIVEN_UP - 1, GIVEN_UP, GIVEN_UP + 1]


async def test_one_whose_helper_died_before_it_began_ends_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_child: list[Callable[[], None]] = []
    killed: list[tuple[int, int]] = []

    async def start(*_: object, preexec_fn: Callable[[], None], **__: object) -> NoReturn:
        in_child.append(preexec_fn)
        raise OSError("that is enough")

    async def nothing() -> None:
        pass

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    monkeypatch.setattr(module, "flush_unreachable", nothing)
    with pytest.raises(OSError, match="enough"):
        await Babeld(tmp_path, ADDRESS, lambda: None, program="true")._run_once()
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(prctl=lambda *_: 0))
    monkeypatch.setattr(os, "kill", lambda *words: killed.append(words))
    monkeypatch.setattr(os, "getppid", lambda: 1)
    in_child[0]()
    assert killed == [(os.getpid(), signal.SIGTERM)]
    killed.clear()
    monkeypatch.setattr(os, "getppid", os.getpid)
    in_child[0]()
    assert not killed


async def test_what_babeld_says_again_is_not_looked_at_again(tmp_path: Path) -> None:
    heard: list[int] = []
    one = Babeld(tmp_path, ADDRESS, lambda: heard.append(1))

    def say(verb: str, cost: int) -> None:
        neighbour = f"{verb} neighbour 1 address fe80::2 if eth0 reach ffff ureach 0000"
        one.table.read(f"{neighbour} rxcost 256 txcost 256 cost {cost}")
        one._mention()

    def soon() -> bool:
        if one._soon is not None:
            one._soon.cancel()
        return one._soon is not None

    say("add", 256)
    assert heard
    for _ in range(3):
        say("change", 256)
    assert not soon()
    say("change", 300)
    assert soon()
    assert heard == [1]
