"""The queues as text for tc: order, shares, bounds; and what tc says about those that are there.

That a kernel does with them what is meant is tested in villages.
"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from appliance.protocol.queue_plan import (
    BULK,
    CONTROL,
    LEAST_KBIT,
    MOST_KBIT,
    REST,
    SESSIONS,
    TRAFFIC_CLASSES,
    VOICE,
    QueuePlan,
    Root,
    TrafficClass,
    roots,
    steps,
)

SLOW = QueuePlan("eth0", 1500, 1900)
FAST = QueuePlan("eth0", 1500, None)


def class_of(dscp: int) -> TrafficClass:
    """As the filters decide, in their order."""
    fitting = [c for c in TRAFFIC_CLASSES if any(dscp << 2 & m == v for v, m in c.dscp)]
    return fitting[0] if fitting else REST


@pytest.mark.parametrize(
    ("dscp", "expected"),
    [
        (46, VOICE),
        (44, VOICE),
        (48, CONTROL),
        (56, CONTROL),
        (24, SESSIONS),
        (26, SESSIONS),
        (40, SESSIONS),
        (16, SESSIONS),
        (0, REST),
        (10, REST),
        (63, CONTROL),
        (2, REST),
        (8, BULK),
        (1, BULK),
    ],
)
def test_the_class_of_a_dscp(dscp: int, expected: TrafficClass) -> None:
    assert class_of(dscp) is expected


def test_filters_come_in_the_order_of_ranks() -> None:
    lines = [line for line in SLOW.build(fair=False) if " ipv6 " in line and "priority" in line]
    flows = [line.rpartition(":")[2] for line in lines]
    assert flows == sorted(flows, key=[c.minor for c in TRAFFIC_CLASSES].index)


def test_shares_are_the_whole_and_ranks_are_all_different() -> None:
    assert sum(each.share_pct for each in TRAFFIC_CLASSES) == 100
    assert all(a.rank < b.rank for a, b in pairwise(TRAFFIC_CLASSES))


@pytest.mark.parametrize("rate_kbit", [LEAST_KBIT, 64, 1900, 100_000, MOST_KBIT])
@pytest.mark.parametrize("mtu", [1280, 1500, 9000])
@pytest.mark.parametrize("fair", [True, False])
def test_a_plan_for_any_link(rate_kbit: int, mtu: int, fair: bool) -> None:
    lines = list(QueuePlan("eth0", mtu, rate_kbit).build(fair=fair))
    assert all("dev eth0" in line and "\n" not in line for line in lines)
    words = lines[0].split()
    assert words[words.index("rate") + 1] == f"{rate_kbit}kbit"
    burst = int(words[words.index("burst") + 1])
    assert burst > mtu + 14
    assert burst <= max(mtu + 40, rate_kbit * 125 / 1000)


def test_without_a_rate_there_is_no_bucket() -> None:
    lines = list(FAST.build(fair=False))
    assert "root handle 4a07: htb" in lines[0]
    assert not any("tbf" in line for line in lines)
    with pytest.raises(ValueError, match="bucket"):
        list(FAST.adjust(fair=False))


def test_a_changed_rate_takes_nothing_away() -> None:
    lines = steps(SLOW, QueuePlan("eth0", 1500, 500), fair=False)
    assert lines[0].startswith("qdisc change dev eth0 root handle 4a06: tbf rate 500kbit")
    assert not any("del" in line or "filter" in line for line in lines)


@pytest.mark.parametrize(("before", "after"), [(SLOW, FAST), (FAST, SLOW)])
def test_another_kind_of_queue_is_made_anew(before: QueuePlan, after: QueuePlan) -> None:
    assert steps(before, after, fair=False) == (
        "qdisc del dev eth0 root",
        *after.build(fair=False),
    )


@pytest.mark.parametrize(
    "name", ["", "-force", "eth0 root", "eth0\n", 'a"b', "a#b", "a\\b", "é", "a" * 16]
)
def test_names_that_tc_would_misread_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="tc"):
        QueuePlan(name, 1500, None)


@pytest.mark.parametrize(("mtu", "rate"), [(0, 100), (70_000, 100), (1500, 0), (1500, 10**9)])
def test_numbers_that_no_link_has_are_refused(mtu: int, rate: int) -> None:
    with pytest.raises(ValueError, match="is no"):
        QueuePlan("eth0", mtu, rate)


def show(*queues: tuple[str, str, str, bool]) -> str:
    return json.dumps(
        [
            {"dev": dev, "kind": kind, "handle": handle, **({"root": True} if root else {})}
            for dev, kind, handle, root in queues
        ]
    )


def test_whose_the_queues_are() -> None:
    text = show(
        ("lo", "noqueue", "0:", True),
        ("eth0", "mq", "0:", True),
        ("eth0", "fq_codel", "0:", False),
        ("eth1", "mq", "0:", True),
        ("eth1", "pfifo_fast", "0:", False),
        ("eth1", "clsact", "ffff:", False),
        ("eth2", "tbf", "4a06:", True),
        ("eth3", "htb", "4a07:", True),
        ("eth4", "cake", "8001:", True),
    )
    assert roots(text) == {
        "lo": Root.FAIR,
        "eth0": Root.FAIR,
        "eth1": Root.KERNEL,
        "eth2": Root.OURS,
        "eth3": Root.OURS,
        "eth4": Root.OPERATOR,
    }


@pytest.mark.parametrize(
    ("plan", "root", "serves"),
    [
        (SLOW, Root.KERNEL, True),
        (SLOW, Root.FAIR, True),
        (SLOW, Root.OPERATOR, False),
        (FAST, Root.KERNEL, True),
        (FAST, Root.FAIR, False),
        (FAST, Root.OPERATOR, False),
    ],
)
def test_where_queues_of_ours_serve(plan: QueuePlan, root: Root, serves: bool) -> None:
    assert plan.serves(root) is serves


@pytest.mark.parametrize("text", ["", "{", "{}x", "3", "[3]", '[{"dev": "a"}]', '{"a": 1}', "null"])
def test_text_that_is_not_of_tc(text: str) -> None:
    with pytest.raises(ValueError):
        roots(text)
