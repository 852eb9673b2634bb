"""What babeld says is read right, told once, and does no harm where it makes no sense."""

from __future__ import annotations

import pytest

from appliance.model.net import NetNews
from appliance.protocol import babel
from appliance.protocol.babel import INFINITY, MAX_NEIGHBOURS, MAX_ROUTES, SETTLE_S, BabelTable

NEIGHBOUR = (
    "{verb} neighbour {handle} address fe80::2 if {link} reach {reach} ureach 0000"
    " rxcost {rxcost} txcost {txcost} cost {cost}"
)
ROUTE = (
    "{verb} route {handle} prefix fd12::{host}/128 from ::/0 installed {installed}"
    " id 00:00:00:00:00:00:00:0{host} metric {metric} refmetric {refmetric} via {via} if eth0"
)


def neighbour(
    verb: str = "change",
    *,
    handle: str = "5618",
    link: str = "eth0",
    reach: str = "ffff",
    txcost: int = 256,
    cost: int = 256,
) -> str:
    return NEIGHBOUR.format(
        verb=verb, handle=handle, link=link, reach=reach, rxcost=256, txcost=txcost, cost=cost
    )


def route(
    verb: str = "change",
    *,
    handle: str = "900",
    host: int = 1,
    installed: bool = True,
    metric: int = 256,
    refmetric: int = 0,
    via: str = "fe80::2",
) -> str:
    return ROUTE.format(
        verb=verb,
        handle=handle,
        host=host,
        installed="yes" if installed else "no",
        metric=metric,
        refmetric=refmetric,
        via=via,
    )


def table(*lines: str) -> BabelTable:
    made = BabelTable()
    made.set_perfect({"eth0": 256})
    for line in lines:
        made.read(line)
    return made


def test_a_neighbour_and_its_route() -> None:
    news = table(neighbour("add"), route("add")).news(0.0)
    (heard,), (way,) = news.neighbours, news.routes
    assert (heard.interface, heard.address, heard.reach, heard.cost) == (
        "eth0",
        "fe80::2",
        0xFFFF,
        256,
    )
    assert (heard.loss_in_pct, heard.loss_out_pct, heard.rtt_ms) == (0, 0, None)
    assert (way.prefix, way.interface, way.via) == ("fd12::1/128", "eth0", "fe80::2")
    assert (way.metric, way.refmetric, way.origin, way.installed) == (
        256,
        0,
        "0000000000000001",
        True,
    )


def test_lines_of_both_releases() -> None:
    """As babeld 1.12.1 and 1.13.1 write them, with a round trip and its cost."""
    made = table(
        "BABEL 1.0",
        "version babeld-1.13.1",
        "host a",
        "my-id aa:bb:cc:dd:ee:ff:00:11",
        "ok",
        "add interface tun0 up true ipv6 fe80::1 ipv4 10.0.0.1",
        "add neighbour 55d0c8a0 address fe80::3 if tun0 reach ff00 ureach 0000"
        " rxcost 384 txcost 384 rtt 12.345 rttcost 3 cost 387",
        "add xroute fd12::1/128-::/0 prefix fd12::1/128 from ::/0 metric 0",
        "no such interface",
        "bad",
    )
    (heard,) = made.news(0.0).neighbours
    assert heard.rtt_ms == pytest.approx(12.345)
    assert made.skipped == 0


@pytest.mark.parametrize(
    ("reach", "loss_pct"),
    [("8000", 0), ("c000", 0), ("4000", 50), ("7fff", 6), ("0000", 100), ("f000", 0), ("5555", 50)],
)
def test_what_a_neighbour_sends_is_lost_as_its_hellos_are(reach: str, loss_pct: int) -> None:
    (heard,) = table(neighbour("add", reach=reach)).news(0.0).neighbours
    assert heard.loss_in_pct == loss_pct


def test_hellos_from_before_we_met_are_not_missed() -> None:
    made = table(neighbour("add", reach="8000"), neighbour(reach="4000"), neighbour(reach="a000"))
    (heard,) = made.news(0.0).neighbours
    assert heard.loss_in_pct == 33
    made.read(neighbour(reach="ffff"))
    made.read(neighbour(reach="fff0"))
    (heard,) = made.news(SETTLE_S).neighbours
    assert heard.loss_in_pct == 25


def test_what_we_send_is_lost_as_the_neighbour_says() -> None:
    made = table(neighbour("add", txcost=512))
    assert made.news(0.0).neighbours[0].loss_out_pct == 50
    young = table(neighbour("add", reach="8000", txcost=1024))
    assert young.news(0.0).neighbours[0].loss_out_pct == 0
    deaf = table(neighbour("add", txcost=INFINITY, cost=INFINITY))
    assert deaf.news(0.0).neighbours[0].loss_out_pct == 100


def test_a_link_with_a_cost_of_its_own_is_no_lossy_link() -> None:
    made = table(neighbour("add", txcost=384))
    made.set_perfect({"eth0": 384})
    made.read(neighbour(txcost=384))
    assert made.news(0.0).neighbours[0].loss_out_pct == 0


def test_a_link_that_loses_now_and_then_is_told_from_one_that_was_cut() -> None:
    made = table(neighbour("add"), neighbour(reach="03ff"), neighbour(reach="f03f"))
    assert not made.lossy("eth0")
    young = table(neighbour("add", reach="8000"), neighbour(reach="a800"))
    assert not young.lossy("eth0")
    made.read(neighbour(reach="bf7f"))
    assert made.lossy("eth0")
    made.set_perfect({"eth1": 256})
    made.set_perfect({"eth0": 256})
    assert not made.lossy("eth0")


def test_costs_are_told_once_a_second_and_what_matters_at_once() -> None:
    made = table(route("add", metric=256))
    assert made.news(0.0).routes
    made.read(route(metric=300))
    assert (made.news(0.2), made.owes) == (NetNews(), True)
    made.read(route(metric=310))
    assert made.news(SETTLE_S).routes[0].metric == 310
    assert (made.news(SETTLE_S), made.owes) == (NetNews(), False)
    made.read(route(metric=INFINITY))
    assert made.news(SETTLE_S + 0.1).routes[0].metric == INFINITY
    made.read(route("flush"))
    assert made.news(SETTLE_S + 0.2).routes_gone == (("fd12::1/128", "eth0", "fe80::2"),)
    assert made.news(9.0) == NetNews()


def test_installed_routes_are_where_packets_go() -> None:
    made = table(
        route("add", host=1),
        route("add", handle="901", host=2, metric=INFINITY),
        route("add", handle="902", host=3, installed=False),
    )
    assert made.installed() == {"fd12::1/128"}


def test_who_else_announces_an_address() -> None:
    made = table(route("add", host=1, installed=False), route("add", handle="901", host=2))
    assert [claim.via for claim in made.claims("fd12::1/128")] == ["fe80::2"]
    made.read(route(host=1, installed=False, metric=INFINITY))
    assert made.claims("fd12::1/128") == ()


def test_a_new_babeld_takes_over_without_a_gap() -> None:
    made = table(neighbour("add"), route("add", host=1), route("add", handle="901", host=2))
    made.news(0.0)
    made.begin()
    assert made.news(1.0) == NetNews()
    assert made.installed() == {"fd12::1/128", "fd12::2/128"}
    made.read(route("add", handle="1", host=1, via="fe80::9"))
    assert {(r.via, r.installed) for r in made.routes() if r.prefix == "fd12::1/128"} == {
        ("fe80::2", False),
        ("fe80::9", True),
    }
    made.settle()
    news = made.news(2.0)
    assert len(news.routes_gone) == 2
    assert news.neighbours_gone == (("eth0", "fe80::2"),)
    assert made.installed() == {"fd12::1/128"}


def test_a_neighbour_of_a_link_that_was_taken_up_anew() -> None:
    """babeld keeps the old one until its hellos have been forgotten."""
    made = table(neighbour("add", handle="1"), neighbour("add", handle="2", reach="8000"))
    made.read(neighbour(handle="1", reach="0fff", cost=INFINITY))
    made.read(neighbour("flush", handle="1"))
    (heard,) = made.news(0.0).neighbours
    assert (heard.reach, heard.cost) == (0x8000, 256)
    assert made.neighbour_count("eth0") == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "add",
        "add neighbour",
        "add route 1 prefix fd12::1/128",
        route("add").replace("fd12::1/128", "fd12::1/129"),
        route("add").replace("metric 256", "metric 65536"),
        route("add").replace("metric 256", "metric -1"),
        route("add").replace("metric 256", "metric ٣"),
        route("add").replace("fe80::2", "2001:db8::1"),
        route("add").replace("fe80::2", "fe80::2%eth0"),
        route("add").replace("eth0", "an-interface-name-that-is-too-long"),
        route("add").replace("from ::/0", "from 2001:db8::/32"),
        neighbour("add").replace("ffff", "fffff"),
        neighbour("add") + " rtt nan rttcost 0",
        neighbour("add") + " x" * 2000,
    ],
)
def test_what_makes_no_sense_is_left_out(line: str) -> None:
    assert table(line).news(0.0) == NetNews()


def test_there_is_an_end_to_what_is_remembered() -> None:
    made = BabelTable()
    for number in range(MAX_NEIGHBOURS + 5):
        line = neighbour("add", handle=str(number)).replace("fe80::2", f"fe80::{number + 1:x}")
        made.read(line)
    assert made.neighbour_count("eth0") == MAX_NEIGHBOURS
    made = BabelTable()
    made.read(route("add", handle="first"))
    for number in range(1, MAX_ROUTES + 5):
        made.read(route("add", handle=str(number)))
    assert len(made._routes) == MAX_ROUTES
    made.read(route("flush", handle="first"))
    made.read(route("add", handle="again", host=2))
    assert "fd12::2/128" in made.installed()


def test_what_is_said_again_is_taken_again_only_where_it_was_lost() -> None:
    made = table(route("add"), route(), route())
    [one] = made.routes()
    made.read(route(metric=512))
    made.read(route())
    assert list(made.routes()) == [one]
    made.read(route("flush"))
    assert not list(made.routes())
    made.read(route())
    assert list(made.routes()) == [one]
    made.clear()
    made.read(route())
    assert list(made.routes()) == [one]


def test_what_is_said_again_of_routes_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said with each hello, so thousands of routes would keep a small machine busy."""
    made = table(route())

    def fails(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(made, "_route", fails)
    made.read(route())


def test_what_is_said_again_is_no_change() -> None:
    """It is said with each hello, so a still mesh would be looked through every second."""
    made = table(neighbour("add"), route("add"))
    assert made.take_change() == (True, True)
    for line in (neighbour(), route(), "change interface eth0 up true", "ok"):
        made.read(line)
    assert made.take_change() == (False, False)
    made.read(neighbour(handle="9", reach="000g"))
    assert made.take_change() == (False, False)


@pytest.mark.parametrize(
    ("line", "urgent"),
    [
        (neighbour(cost=300), False),
        (neighbour(reach="7fff"), False),
        (neighbour(txcost=512), False),
        (f"{neighbour()} rtt 12.345 rttcost 3", False),
        (neighbour(cost=INFINITY), True),
        (neighbour("flush"), True),
        (neighbour("add", handle="9"), True),
        (route(metric=300), False),
        (route(refmetric=7), True),
        (route(metric=INFINITY), True),
        (route(installed=False), True),
        (route("flush"), True),
        (route("add", handle="901", host=2), True),
    ],
)
def test_what_is_different_is_a_change(line: str, urgent: bool) -> None:
    made = table(neighbour("add"), route("add"))
    made.take_change()
    made.read(line)
    assert made.take_change() == (True, urgent)
    assert made.take_change() == (False, False)


def test_what_was_not_said_again_is_a_change() -> None:
    made = table(neighbour("add"), route("add"))
    made.begin()
    made.read(neighbour("add"))
    made.take_change()
    made.settle()
    assert made.take_change() == (True, False)
    made.settle()
    assert made.take_change() == (False, False)


def test_a_link_is_lossy_anew_when_it_was_taken_up_anew() -> None:
    made = table(neighbour("add"), neighbour(reach="bf7f"))
    made.set_perfect({})
    made.read(neighbour(reach="bf7f"))
    made.set_perfect({"eth0": 256})
    made.take_change()
    made.read(neighbour(reach="bf7f"))
    assert made.take_change() == (True, False)
    assert made.lossy("eth0")


def test_of_routes_that_are_too_many_no_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(babel, "MAX_ROUTES", 9)
    made = table(*(route(handle=f"{number:x}") for number in range(20)))
    assert len(made._lines) == 9
