"""Which queues are set and removed when, with a `tc` that only keeps books."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from link_samples import TOLD_ETH0 as ETH0

from appliance.net import program, queues
from appliance.net.config import NetConfig
from appliance.net.queues import Queues, TcError
from appliance.net.undo import Undo

ETH1 = replace(ETH0, name="eth1", index=3)


class Kernel:
    """Interfaces with their root queues, and what `tc` was asked for."""

    def __init__(self) -> None:
        self.root = {"lo": ("noqueue", "0:"), "eth0": ("noqueue", "0:"), "eth1": ("noqueue", "0:")}
        self.default = dict(self.root)
        self.indices = {"eth0": 2, "eth1": 3}
        self.missing: set[str] = set()
        """Words in a line that this kernel does not know."""

        self.batches: list[list[str]] = []

    async def tc(self, *arguments: str, lines: Iterable[str] = ()) -> str:
        if "show" in arguments:
            return json.dumps(
                [
                    {"dev": dev, "kind": kind, "handle": handle, "root": True}
                    for dev, (kind, handle) in self.root.items()
                ]
            )
        batch = list(lines) or [" ".join(arguments)]
        self.batches.append(batch)
        for line in batch:
            words = line.split()
            dev = words[words.index("dev") + 1]
            if dev not in self.root or self.missing & set(words):
                raise TcError("no")
            if words[:2] == ["qdisc", "del"]:
                if self.root[dev] == self.default[dev]:
                    raise TcError("Cannot delete qdisc with handle of zero.")
                self.root[dev] = self.default[dev]
            elif "root" in words:
                at = words.index("handle")
                self.root[dev] = (words[at + 2], words[at + 1])
        return ""

    def if_nametoindex(self, name: str) -> int:
        if name not in self.indices:
            raise OSError
        return self.indices[name]

    def if_indextoname(self, index: int) -> str:
        for name, number in self.indices.items():
            if number == index:
                return name
        raise OSError


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(queues, "_tc", made.tc)
    monkeypatch.setattr(queues, "_speed_kbit", lambda _: 1_000_000)
    monkeypatch.setattr(socket, "if_nametoindex", made.if_nametoindex)
    monkeypatch.setattr(socket, "if_indextoname", made.if_indextoname)
    return made


def codes(ours: Queues) -> list[str]:
    return [problem.code for problem in ours.problems]


def journal(directory: Path) -> Undo:
    return Undo(directory / "journal", where="here")


async def test_only_links_that_are_used_and_need_it_get_queues(
    kernel: Kernel, tmp_path: Path
) -> None:
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900, "eth2": 5}))
    await ours.apply([ETH0, ETH1])
    assert kernel.root["eth0"] == ("tbf", "4a06:")
    assert kernel.root["eth1"] == ("noqueue", "0:")
    assert (ours.rate_kbit("eth0"), ours.rate_kbit("eth1")) == (1900, None)
    assert [change.facts for change in undo.changes] == [{"interface": "eth0", "index": 2}]
    done = len(kernel.batches)
    await ours.apply([ETH0, ETH1])
    assert len(kernel.batches) == done
    await ours.apply([replace(ETH0, used=False), ETH1])
    assert kernel.root == kernel.default
    assert not undo.changes
    undo.close()


async def test_a_plain_queue_is_replaced_by_classes_without_a_bucket(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.root["eth1"] = kernel.default["eth1"] = ("pfifo_fast", "0:")
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig())
    for _ in range(2):
        await ours.apply([ETH0, ETH1])
        assert kernel.root["eth1"] == ("htb", "4a07:")
        assert ours.rate_kbit("eth1") is None
    assert len(kernel.batches) == 1
    await ours.stop()
    assert kernel.root == kernel.default
    undo.close()


async def test_queues_of_the_operator_stay(kernel: Kernel, tmp_path: Path) -> None:
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900}))
    kernel.root["eth0"] = ("cake", "8001:")
    await ours.apply([ETH0])
    assert not kernel.batches
    kernel.root["eth0"] = kernel.default["eth0"]
    await ours.apply([ETH0])
    kernel.root["eth0"] = ("cake", "8002:")  # in place of ours
    await ours.apply([ETH0])
    await ours.stop()
    assert kernel.root["eth0"] == ("cake", "8002:")
    assert not undo.changes
    assert not codes(ours)
    undo.close()


async def test_a_link_that_comes_back_gets_them_again(kernel: Kernel, tmp_path: Path) -> None:
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900}))
    await ours.apply([ETH0])
    kernel.root["eth0"], kernel.indices["eth0"] = kernel.default["eth0"], 9
    await ours.apply([replace(ETH0, index=9)])
    assert kernel.root["eth0"] == ("tbf", "4a06:")
    assert [change.facts["index"] for change in undo.changes] == [9]
    del kernel.root["eth0"], kernel.indices["eth0"]
    await ours.apply([])
    assert not undo.changes
    undo.close()


async def test_another_mtu_changes_them_in_place(kernel: Kernel, tmp_path: Path) -> None:
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900}))
    await ours.apply([ETH0])
    await ours.apply([replace(ETH0, mtu=1280)])
    assert kernel.batches[-1][0].startswith("qdisc change dev eth0 root handle 4a06: tbf rate 1900")
    undo.close()


async def test_after_a_crash_they_are_removed(kernel: Kernel, tmp_path: Path) -> None:
    crashed = journal(tmp_path)
    await Queues(crashed, NetConfig(rate_kbit={"eth0": 1900})).apply([ETH0])
    crashed.close()
    undo = journal(tmp_path)
    Queues(undo, NetConfig())
    await undo.undo_all()
    assert kernel.root == kernel.default
    assert not undo.changes
    undo.close()


async def test_queues_of_ours_that_nobody_remembers_are_removed(
    kernel: Kernel, tmp_path: Path
) -> None:
    undo = journal(tmp_path)
    kernel.root["eth0"] = ("htb", "4a07:")
    await Queues(undo, NetConfig()).apply([ETH0])
    assert kernel.root == kernel.default
    undo.close()


async def test_a_kernel_without_fair_queues_has_bounded_ones(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.missing = {"fq_codel"}
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900, "eth1": 500}))
    await ours.apply([ETH0, ETH1])
    assert kernel.root["eth0"] == kernel.root["eth1"] == ("tbf", "4a06:")
    fair = [any("fq_codel" in line for line in batch) for batch in kernel.batches]
    assert fair == [True, False, False, False]  # it, its removal, and one for each
    undo.close()


async def test_a_kernel_that_can_do_none_of_it_is_said(kernel: Kernel, tmp_path: Path) -> None:
    kernel.missing = {"htb"}
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900}))
    await ours.apply([ETH0])
    assert codes(ours) == ["no-queues"]
    assert kernel.root == kernel.default
    assert not undo.changes
    kernel.missing = set()
    await ours.apply([ETH0])
    assert not codes(ours)
    kernel.missing = {"htb"}
    await ours.apply([replace(ETH0, mtu=1280)])
    assert codes(ours) == ["no-queues"]
    await ours.apply([])
    assert not codes(ours)
    undo.close()


async def test_a_link_that_goes_meanwhile_is_no_problem(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900}))
    kernel.missing = {"tbf"}
    del kernel.indices["eth0"]
    await ours.apply([ETH0])
    assert not codes(ours)
    assert not undo.changes
    undo.close()


@pytest.mark.parametrize("used", [True, False])
async def test_an_interface_that_took_another_name_does_not_keep_them(
    kernel: Kernel, tmp_path: Path, used: bool
) -> None:
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900}))
    await ours.apply([ETH0])
    kernel.root["old"], kernel.default["old"] = kernel.root["eth0"], kernel.default["eth0"]
    kernel.root["eth0"] = kernel.default["eth0"]
    kernel.indices |= {"old": 2, "eth0": 9}
    await ours.apply([replace(ETH0, index=9), replace(ETH0, name="old", used=used)])
    assert kernel.root["old"] == kernel.default["old"]
    assert kernel.root["eth0"] == ("tbf", "4a06:")
    assert [change.facts["index"] for change in undo.changes] == [9]
    assert not codes(ours)
    undo.close()


async def test_queues_that_stand_are_no_problem_where_they_cannot_be_looked_at(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: str, **__: object) -> str:
        raise TcError("tc does not end")

    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900}))
    await ours.apply([ETH0])
    with monkeypatch.context() as busy:
        busy.setattr(queues, "_tc", hangs)
        await ours.apply([ETH0, ETH1])
    assert [problem.text.split()[1] for problem in ours.problems] == ["eth1"]
    await ours.apply([ETH0, ETH1])
    assert not codes(ours)
    undo.close()


async def test_without_tc_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "SEARCH", str(tmp_path))
    undo = journal(tmp_path)
    ours = Queues(undo, NetConfig(rate_kbit={"eth0": 1900}))
    await ours.apply([ETH0])
    assert codes(ours) == ["no-queues"]
    undo.close()
