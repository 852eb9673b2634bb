"""Whatever stands on babeld's control socket, the table stays one that can be told."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.net import FULL_REACH
from appliance.protocol.babel import INFINITY, MAX_NAME, BabelTable
from appliance.protocol.net_wire import encode

verbs = st.sampled_from(["add", "change", "flush"])
handles = st.sampled_from(["1", "2", "3", "ffff"])
numbers = st.one_of(
    st.sampled_from(["0", "96", "256", "65535", "65536", "-1", "1e9", "x", "ffff", "8000", ""]),
    st.integers(-10, 70_000).map(str),
)
addresses = st.sampled_from(["fe80::1", "fe80::2", "fe80::1%eth0", "::", "10.0.0.1", "fd00::1"])
names = st.one_of(st.sampled_from(["eth0", "wlan0"]), st.text(max_size=20))
prefixes = st.sampled_from(
    ["fd00::1/128", "fd00::/64", "fd00::1/64", "::/0", "8.8.8.8/32", "fd00::1"]
)
ids = st.sampled_from(["00:11:22:33:44:55:66:77", "00:11", "zz:11:22:33:44:55:66:77", ""])


@st.composite
def lines(draw: st.DrawFn) -> str:
    verb, handle = draw(verbs), draw(handles)
    if draw(st.booleans()):
        return (
            f"{verb} neighbour {handle} address {draw(addresses)} if {draw(names)}"
            f" reach {draw(numbers)} ureach 0000 rxcost {draw(numbers)} txcost {draw(numbers)}"
            f" rtt {draw(numbers)} rttcost 0 cost {draw(numbers)}"
        )
    return (
        f"{verb} route {handle} prefix {draw(prefixes)} from ::/0"
        f" installed {draw(st.sampled_from(['yes', 'no', 'maybe']))} id {draw(ids)}"
        f" metric {draw(numbers)} refmetric {draw(numbers)} via {draw(addresses)} if {draw(names)}"
    )


steps = st.one_of(lines(), lines(), st.text(max_size=200), st.sampled_from(["\0begin", "\0settle"]))


@given(st.lists(steps, max_size=25))
def test_what_is_told_can_be_told(said: list[str]) -> None:
    table = BabelTable()
    table.set_perfect({"eth0": 256, "wlan0": 320})
    neighbours, routes = {}, {}
    for now, line in enumerate(said):
        if line == "\0begin":
            table.begin()
        elif line == "\0settle":
            table.settle()
        else:
            table.read(line)
        news = table.news(float(2 * now))
        encode(news)
        for one in news.neighbours:
            assert 0 <= one.loss_in_pct <= 100
            assert 0 <= one.loss_out_pct <= 100
            assert 0 <= one.reach <= FULL_REACH
            assert IPv6Address(one.address).is_link_local
            assert len(one.interface) <= MAX_NAME
            neighbours[one.interface, one.address] = one
        for way in news.routes:
            assert 0 <= way.metric <= INFINITY
            assert str(IPv6Network(way.prefix)) == way.prefix
            routes[way.prefix, way.interface, way.via] = way
        for gone in news.neighbours_gone:
            del neighbours[gone]
        for left in news.routes_gone:
            del routes[left]
    assert set(routes.values()) == set(table.routes())
    assert table.installed() <= {way.prefix for way in routes.values()}
