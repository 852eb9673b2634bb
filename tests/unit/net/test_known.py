"""What the helper has yet to tell: the latest of each thing, in messages that fit, and bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model.net import (
    LinkKind,
    NetLink,
    NetNeighbour,
    NetNews,
    NetProblem,
    NetRoute,
    NetState,
)
from appliance.net.budget import Budget
from appliance.net.known import (
    MAX_LINKS_TOLD,
    MAX_PROBLEMS,
    MAX_ROUTES,
    MAX_UNTOLD,
    Known,
)
from appliance.protocol.net_wire import MAX_ITEMS, MAX_TEXT, decode_event, encode

LINK = NetLink("eth0", 2, LinkKind.ETHERNET, True, "", True, 1500, 1000, None, "")
NEIGHBOUR = NetNeighbour("eth0", "fe80::1", 0xFFFF, 96, 0, 0, None)
ROUTE = NetRoute("fd00::1/128", "eth0", "fe80::1", 96, 0, "0000000000000001", True)
PROBLEM = NetProblem("no-babeld", "It is missing.", "Install it.")
IDLE = NetState(routing=False, synced=False, problems=())


def route(number: int) -> NetRoute:
    return replace(ROUTE, prefix=f"fd00::{number:x}/128")


def told(known: Known) -> list[NetNews | NetState]:
    events = []
    while (event := known.take()) is not None:
        events.append(event)
    return events


@pytest.fixture
def known() -> Known:
    """It has a daemon that knows everything."""
    known = Known()
    known.begin()
    assert told(known) == [IDLE, replace(IDLE, synced=True)]
    return known


def test_who_comes_is_told_everything_and_then_that_it_is() -> None:
    known = Known()
    known.learn(NetNews(links=(LINK,), neighbours=(NEIGHBOUR,), routes=(ROUTE,)))
    known.be(routing=True, problems=(PROBLEM,))
    for _ in range(2):
        known.begin()
        state = NetState(routing=True, synced=False, problems=(PROBLEM,))
        assert told(known) == [
            state,
            NetNews(links=(LINK,), neighbours=(NEIGHBOUR,), routes=(ROUTE,)),
            replace(state, synced=True),
        ]


def test_only_what_differs_is_told_and_only_the_latest(known: Known) -> None:
    known.learn(NetNews(routes=(ROUTE, route(2))))
    known.learn(NetNews(routes=(replace(ROUTE, metric=300),)))
    known.learn(NetNews(routes_gone=(("fd00::2/128", "eth0", "fe80::1"),)))
    assert told(known) == [
        NetNews(
            routes=(replace(ROUTE, metric=300),),
            routes_gone=(("fd00::2/128", "eth0", "fe80::1"),),
        )
    ]
    known.learn(NetNews(routes=(replace(ROUTE, metric=300),), links_gone=("eth9",)))
    known.be(routing=False, problems=())
    assert told(known) == []


def test_messages_fit(known: Known) -> None:
    long = "ü" * MAX_TEXT
    known.learn(
        NetNews(
            links=tuple(replace(LINK, name=f"e{i}", why_not=long, radio=long) for i in range(40)),
            routes=tuple(map(route, range(100))),
        )
    )
    events = told(known)
    assert all(decode_event(encode(event)) == event for event in events)
    news = [event for event in events if isinstance(event, NetNews)]
    assert [len(one.links) for one in news] == [MAX_LINKS_TOLD, MAX_LINKS_TOLD, 8]
    assert [len(one.links) + len(one.routes) for one in news] == [MAX_ITEMS, MAX_ITEMS, 12]


def test_there_is_a_bound(known: Known) -> None:
    known.be(routing=True, problems=(PROBLEM,) * 100)
    for start in range(0, 2 * MAX_ROUTES, 1000):
        known.learn(NetNews(routes=tuple(map(route, range(start, start + 1000)))))
    states = [event for event in told(known) if isinstance(event, NetState)]
    assert len(states[0].problems) == MAX_PROBLEMS
    known.begin()
    news = [event for event in told(known) if isinstance(event, NetNews)]
    assert sum(len(one.routes) for one in news) == MAX_ROUTES


def test_another_router_begins_with_nothing(known: Known) -> None:
    known.learn(NetNews(links=(LINK,), neighbours=(NEIGHBOUR,), routes=(ROUTE,)))
    told(known)
    known.forget_routes()
    known.learn(NetNews(routes=(route(2),)))
    assert told(known) == [
        NetNews(
            neighbours_gone=(("eth0", "fe80::1"),),
            routes=(route(2),),
            routes_gone=(("fd00::1/128", "eth0", "fe80::1"),),
        )
    ]


def churn(known: Known) -> bool:
    """Many stations come and go; whether somebody is to be told of them all."""
    for start in range(0, MAX_UNTOLD + 1, 1000):
        routes = tuple(map(route, range(start, start + 1000)))
        known.learn(NetNews(routes=routes))
        known.learn(NetNews(routes_gone=tuple((one.prefix, "eth0", "fe80::1") for one in routes)))
    return known.behind


def test_nothing_waits_for_a_daemon_that_is_not_there(known: Known) -> None:
    assert churn(known)
    known.end()
    assert not churn(known)


def test_a_budget_fills_with_time() -> None:
    budget = Budget(burst=2, every_s=10)
    assert [budget.take(0), budget.take(0), budget.take(0)] == [0, 0, 10]
    assert budget.take(4) == pytest.approx(6)
    assert budget.take(10) == 0
    assert budget.take(10) == pytest.approx(10)
    assert [budget.take(1000) for _ in range(3)] == [0, 0, 10]
