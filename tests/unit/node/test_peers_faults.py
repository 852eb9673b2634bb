"""Dialling where the network or somebody on it is not as it was."""

from __future__ import annotations

from appliance.model.identity import StationKey
from appliance.node.effects import Dial, Effect, EndSession
from appliance.node.peers import Peers
from appliance.node.targets import MAX_CANDIDATES
from appliance.node.usage import CROSSED_S, SessionInfo

OWN, FIRST, SECOND = sorted(StationKey.generate().id for _ in range(3))


def dials(effects: list[Effect]) -> list[Dial]:
    return [effect for effect in effects if isinstance(effect, Dial)]


def test_another_board_at_the_operators_address_is_met_once() -> None:
    peers = Peers(OWN, lambda: 0.5)
    (dial,) = dials(peers.add_address("10.0.0.2", 18950, 0.0))
    for handle, peer in enumerate((FIRST, SECOND)):
        now = 100.0 * handle
        peers.dial_succeeded(dial.attempt, peer, now)
        peers.opened(SessionInfo(handle, peer, b"p" * 8, True, "10.0.0.1", "10.0.0.2", now))
        assert not dials(peers.wakeup(now + 90))
        peers.closed(handle, peer, now + 95)
        (dial,) = dials(peers.wakeup(now + 99))
        assert dial.wanted is None


def test_a_flood_of_false_addresses_leaves_room_for_the_true_one() -> None:
    peers = Peers(OWN, lambda: 0.5)
    false = tuple((f"10.9.9.{host}", 1) for host in range(MAX_CANDIDATES))
    (dial,) = dials(peers.sighted("liar", FIRST, false, 0.0))
    peers.dial_failed(dial.attempt, 1.0)
    (dial,) = dials(peers.sighted("true", FIRST, (("10.0.0.2", 18950),), 1.0))
    assert ("10.0.0.2", 18950) in dial.candidates


def test_whoever_dials_long_after_has_lost_its_session() -> None:
    for own, other in ((FIRST, SECOND), (SECOND, FIRST)):
        for outgoing in (False, True):
            peers = Peers(own, lambda: 0.5)
            here, before, now = "10.0.0.1", "10.0.0.2", "10.0.0.77"
            peers.opened(SessionInfo(1, other, b"p" * 8, outgoing, here, before, 0.0))
            late = SessionInfo(2, other, b"p" * 8, not outgoing, here, now, CROSSED_S + 1)
            used, effects = peers.opened(late)
            assert used
            assert EndSession(1, "duplicate") in effects
