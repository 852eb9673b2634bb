"""Routes and neighbours as the network helper tells them, and what speaks against them."""

from __future__ import annotations

from core_node import Node

from appliance.model.identity import StationId, StationKey
from appliance.model.net import Joined, NetNeighbour, NetNews, NetRoute, NetState
from appliance.node.dial_times import MEET_S
from appliance.node.directory import Directory
from appliance.node.effects import AlarmOver, AlarmRaised, AvoidRoute, Dial, StationChanged
from appliance.node.mesh import MAX_ROUTES, Mesh, ReachChange, origin_of
from appliance.node.suspects import CALM_S, KEPT_S, Suspects
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel

OWN, FRIEND, RELAY = (StationId(bytes([number]) * 32) for number in (1, 2, 3))


def route(
    station: StationId,
    via: str = "fe80::1",
    *,
    metric: int = 256,
    refmetric: int = 0,
    installed: bool = True,
    origin: str | None = None,
) -> NetRoute:
    address = str(station.address)
    origin = origin_of(address) if origin is None else origin
    return NetRoute(f"{address}/128", "eth0", via, metric, refmetric, origin, installed)


def gone(one: NetRoute) -> NetNews:
    return NetNews(routes_gone=((one.prefix, one.interface, one.via),))


def mesh_of(*stations: StationId) -> Mesh:
    mesh = Mesh(OWN)
    mesh.learn(stations)
    mesh.feed(Joined(1, str(OWN.address)))
    return mesh


def test_routes_say_who_is_reached_and_over_whom() -> None:
    mesh = mesh_of(FRIEND, RELAY)
    far = route(FRIEND, metric=512, refmetric=256)
    (first, second) = mesh.feed(NetNews(routes=(route(RELAY), far)))
    assert first == ReachChange(str(RELAY.address), RELAY, reachable=True, before=False)
    assert second.station == FRIEND
    assert mesh.next_hop(FRIEND) == RELAY == mesh.neighbour("eth0", "fe80::1")
    assert mesh.next_hop(RELAY) == RELAY
    assert set(mesh.reached()) == {str(FRIEND.address), str(RELAY.address)}
    assert mesh.feed(NetNews(routes=(far,))) == [], "nothing is new"
    # A second offer changes nothing; that the first is retracted does.
    other = route(FRIEND, "fe80::9", metric=768, refmetric=512, installed=False)
    assert mesh.feed(NetNews(routes=(other,))) == []
    assert [one.via for one in mesh.offers(FRIEND)] == ["fe80::1", "fe80::9"]
    (lost,) = mesh.feed(gone(far))
    assert (lost.reachable, lost.before) == (False, True)
    (back,) = mesh.feed(NetNews(routes=(route(FRIEND, "fe80::9", metric=768, refmetric=512),)))
    assert back.reachable
    assert {change.station for change in mesh.feed(None)} == {FRIEND, RELAY}
    assert not mesh.joined
    assert not mesh.reached()


def test_what_is_no_station_is_no_route() -> None:
    mesh = mesh_of(FRIEND)
    for prefix in ("::/0", "8.8.8.8/32", "fd00::/64", "nonsense/128", "fe80::1%eth0/128", ""):
        news = NetRoute(prefix, "eth0", "fe80::1", 1, 0, "", installed=True)
        found = mesh.feed(NetNews(routes=(news,)))
        assert not [change for change in found if change.station is not None], prefix
    # Retracted, or not the way that packets take.
    assert not mesh.feed(NetNews(routes=(route(FRIEND, metric=0xFFFF),)))
    assert not mesh.feed(NetNews(routes=(route(FRIEND, installed=False),)))


def test_a_flood_of_routes_is_bounded() -> None:
    mesh = mesh_of(FRIEND)
    for number in range(MAX_ROUTES + 100):
        prefix = f"fd00::{number >> 16:x}:{number & 0xFFFF:x}/128"
        made = NetRoute(prefix, "eth0", "fe80::1", 256, 0, "", installed=True)
        mesh.feed(NetNews(routes=(made,)))
        if number < 1024:
            mesh.feed(NetNews(neighbours=(NetNeighbour("eth0", prefix, 0, 0, 0, 0, None),)))
    mesh.feed(NetNews(neighbours=(NetNeighbour("eth0", "fe80::more", 0, 0, 0, 0, None),)))
    assert len(mesh.reached()) == MAX_ROUTES
    assert len(mesh.neighbours()) == 1024


def test_a_neighbour_that_claims_to_be_several_is_none() -> None:
    mesh = mesh_of(FRIEND, RELAY)
    mesh.feed(NetNews(routes=(route(RELAY), route(FRIEND))))
    assert mesh.neighbour("eth0", "fe80::1") is None
    mesh.feed(NetNews(routes=(route(FRIEND, origin="0" * 16),)))
    assert mesh.neighbour("eth0", "fe80::1") == RELAY


def test_whoever_answers_in_anothers_place_is_named_and_avoided() -> None:
    mesh = mesh_of(FRIEND, RELAY)
    directory = Directory(OWN)
    suspects = Suspects(mesh, directory)
    host = str(FRIEND.address)
    assert not suspects.refused("10.0.0.1", "impostor", 0.0)
    mesh.feed(NetNews(routes=(route(FRIEND, metric=256),)))
    (alarm,) = suspects.refused(host, "impostor", 0.0)
    assert isinstance(alarm, AlarmRaised)
    assert FRIEND.tag in alarm.text
    # With another way it is taken, but not again and again.
    other = route(FRIEND, "fe80::9", metric=512, refmetric=256, installed=False)
    mesh.feed(NetNews(routes=(other,)))
    assert suspects.refused(host, "impostor", 1.0) == [AvoidRoute(FRIEND, "eth0", "fe80::1")]
    assert suspects.refused(host, "impostor", 2.0) == []
    assert suspects.refused(host, "timeout", 3.0) == []
    assert suspects.unanswered(FRIEND, 60.0) == [AvoidRoute(FRIEND, "eth0", "fe80::1")]
    assert suspects.proved(FRIEND) == [AlarmOver(alarm.code)]
    assert suspects.proved(FRIEND) == []


def test_another_way_that_is_offered_later_is_taken_at_once() -> None:
    mesh = mesh_of(FRIEND, RELAY)
    suspects = Suspects(mesh, Directory(OWN))
    mesh.feed(NetNews(routes=(route(FRIEND, metric=256),)))
    (_,) = suspects.refused(str(FRIEND.address), "impostor", 0.0)
    assert suspects.looked(0.5) == []
    other = route(FRIEND, "fe80::9", metric=512, refmetric=256, installed=False)
    mesh.feed(NetNews(routes=(other,)))
    assert suspects.looked(1.0) == [AvoidRoute(FRIEND, "eth0", "fe80::1")]
    assert suspects.looked(1.1) == []


def test_an_impostor_that_has_gone_is_forgotten() -> None:
    mesh = mesh_of(FRIEND)
    suspects = Suspects(mesh, Directory(OWN))
    mesh.feed(NetNews(routes=(route(FRIEND),)))
    (alarm,) = suspects.refused(str(FRIEND.address), "impostor", 0.0)
    assert isinstance(alarm, AlarmRaised)
    assert suspects.looked(10.0) == []
    mesh.feed(gone(route(FRIEND)))
    assert suspects.looked(20.0) == []
    assert suspects.looked(20.0 + CALM_S) == [AlarmOver(alarm.code)]
    # One behind a neighbour that stays is forgotten when it was not met again for long.
    mesh.feed(NetNews(routes=(route(FRIEND),)))
    assert len(suspects.refused(str(FRIEND.address), "impostor", 100.0)) == 1
    assert suspects.looked(100.0 + KEPT_S) == [AlarmOver(alarm.code)]


def test_somebody_who_announces_our_own_address_is_an_alarm_until_it_stops() -> None:
    mesh = mesh_of()
    suspects = Suspects(mesh, Directory(OWN))
    claim = route(OWN, origin="aa" * 8, installed=False)
    mesh.feed(NetNews(routes=(claim,)))
    (alarm,) = suspects.looked(0.0)
    assert isinstance(alarm, AlarmRaised)
    assert suspects.looked(1.0) == []
    assert not mesh.reached()
    for second in range(10, 20, 2):  # who flaps gets one alarm by it
        mesh.feed(gone(claim))
        assert suspects.looked(second) == []
        mesh.feed(NetNews(routes=(claim,)))
        assert suspects.looked(second + 1.0) == []
    # It comes over several neighbours, and only the last of them ends it.
    other = route(OWN, "fe80::9", origin="aa" * 8, installed=False)
    mesh.feed(NetNews(routes=(other,)))
    mesh.feed(gone(claim))
    assert mesh.claim == other
    mesh.feed(gone(other))
    assert suspects.looked(20.0) == []
    assert suspects.next_wakeup() == 20.0 + CALM_S
    assert suspects.looked(20.0 + CALM_S) == [AlarmOver(alarm.code)]
    assert suspects.next_wakeup() is None


def test_a_reachable_station_without_a_card_is_looked_into_and_one_with_a_card_is_not() -> None:
    node, stranger = Node(), StationKey.generate().id
    node.do(node.station.whereabouts.net_said(Joined(1, str(node.id.address)), node.now))
    node.do(node.station.whereabouts.net_said(NetNews(routes=(route(stranger),)), node.now))
    node.do(node.station.whereabouts.net_said(NetState(True, True, ()), node.now))
    node.at += 2 * MEET_S
    node.do(node.station.wakeup(node.now))
    (dial,) = [effect for effect in node.changes if isinstance(effect, Dial)]
    assert dial.wanted is None
    assert dial.candidates[0][0] == str(stranger.address)
    friend = Node()
    node.open(friend.id)
    for raw in friend.take(Channel.CARD):
        node.hear(friend.id, Channel.CARD, raw)
    card = friend.station.card.raw
    assert card is not None
    node.hear(friend.id, Channel.CARD, card)
    node.close(friend.id)
    node.changes.clear()
    node.do(node.station.whereabouts.net_said(NetNews(routes=(route(friend.id),)), node.now))
    node.settle()
    assert StationChanged(friend.id) in node.changes
    node.at += 2 * MEET_S
    node.do(node.station.wakeup(node.now))
    assert friend.id not in {e.wanted for e in node.changes if isinstance(e, Dial)}
    assert node.station.peers.has_way(friend.id)


def test_a_failed_dial_speaks_against_no_other_way() -> None:
    """Nor does an old failure against somebody who has answered since."""
    node, a, b = Node(), Node().id, Node().id
    node.station.mesh.learn((a, b))
    for station in (a, b):
        ways = (route(station), route(station, "fe80::9", metric=512, installed=False))
        node.do(node.station.whereabouts.net_said(NetNews(routes=ways), node.now))
        node.do(node.station.peers.routed(station, reachable=True, now=node.at))
        node.do(node.station.peers.need(station, node.at, lasting=True))

    def fail(*wanted: StationId) -> set[StationId]:
        """Who is gone around after the next dials to these were in vain."""
        node.at += 100.0
        node.do(node.station.wakeup(node.now))
        dials = {one.wanted: one.attempt for one in node.changes if isinstance(one, Dial)}
        node.changes.clear()
        for station in wanted:
            node.do(node.station.whereabouts.dial_failed(dials[station], node.now))
        return {one.station for one in node.changes if isinstance(one, AvoidRoute)}

    assert fail(a, b) == set()
    assert fail(a, b) == {a, b}
    over_mesh = SessionInfo(1, a, b"p" * 8, True, node.id.host, a.host, node.at)
    node.do(node.station.session_opened(over_mesh, node.now))
    assert fail(b) == {b}


def test_whoever_was_forgotten_has_no_route_left() -> None:
    node, stranger = Node(), Node().id
    node.do(node.station.peers.routed(stranger, reachable=True, now=node.at))
    assert node.station.peers.is_routed(stranger)
    node.station._forgotten(stranger)
    assert not node.station.peers.is_routed(stranger)
