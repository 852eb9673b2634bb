"""What is known of a way that takes little, and who learns of it."""

from __future__ import annotations

from dataclasses import replace

from call_world import World
from core_node import Node

from appliance.model.identity import StationKey
from appliance.model.net import LinkKind, NetLink, NetNews, NetRoute
from appliance.node.mesh import origin_of

PEER = StationKey.from_bytes(b"p" * 32).id
RADIO = NetLink("wlan1", 2, LinkKind.RADIO, True, "", True, 1500, 1000, 16, "")


def test_a_station_knows_what_its_own_link_on_the_way_takes() -> None:
    node = Node(StationKey.from_bytes(b"a" * 32))
    mesh = node.station.mesh
    host = PEER.host
    way = NetRoute(f"{host}/128", "wlan1", "fe80::1", 96, 0, origin_of(host), True)
    mesh.learn((PEER,))
    assert mesh.rate_kbit(PEER) is None
    mesh.feed(NetNews(links=(RADIO,), routes=(way,)))
    assert mesh.rate_kbit(PEER) == 16
    assert node.station.calls._book.way_kbit(PEER) == 16
    mesh.feed(NetNews(links=(replace(RADIO, rate_kbit=None),)))
    assert mesh.rate_kbit(PEER) is None


def test_what_one_end_knows_of_the_way_both_know_once_they_talk() -> None:
    world = World()
    a, b = world.nodes
    b.calls._book.way_kbit = lambda peer: 16 if peer == a.id else None
    world.talk()
    assert (a.call.limit_kbit, b.call.limit_kbit) == (16, 16)
    world.run(30)
    assert (a.call.limit_kbit, b.call.limit_kbit) == (16, 16)
    a.hangup()
    world.run()
    world.check_quiet()
