"""Pings of a session in virtual time."""

from __future__ import annotations

from appliance.protocol import keepalive
from appliance.protocol.keepalive import DEAD_AFTER_S, PING_EVERY_S, KeepAlive


def test_pings_are_regular_and_an_answer_gives_the_round_trip() -> None:
    alive = KeepAlive(100.0)
    assert alive.next_ping == 100.0 + keepalive.FIRST_PING_S
    now = alive.next_ping
    numbers = []
    for _ in range(50):
        assert alive.ping(now - 0.01) is None
        ping = alive.ping(now)
        assert ping is not None
        numbers.append(ping.number)
        alive.pong(ping.number, now + 0.02)
        alive.pong(ping.number, now + 3.0)  # a second answer to one question says nothing
        now += PING_EVERY_S
        assert alive.next_ping == now
    assert numbers == list(range(1, 51))
    assert alive.rtt_s is not None
    assert abs(alive.rtt_s - 0.02) < 1e-9


def test_an_answer_to_another_ping_says_nothing() -> None:
    alive = KeepAlive(0.0)
    for number in (0, 1, 2, 1 << 62):
        alive.pong(number, 1.0)
    assert alive.rtt_s is None
    assert alive.ping(10.0)
    alive.pong(2, 11.0)
    assert alive.rtt_s is None
    alive.pong(1, 9.0)
    assert alive.rtt_s == 0.0


def test_whatever_is_heard_keeps_it_alive() -> None:
    alive = KeepAlive(0.0)
    assert alive.dead_at == DEAD_AFTER_S
    alive.heard(10.0)
    assert alive.dead_at == 10.0 + DEAD_AFTER_S
    assert DEAD_AFTER_S > 3 * PING_EVERY_S
