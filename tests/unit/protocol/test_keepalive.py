"""Pings of a session in virtual time."""

from __future__ import annotations

from contextlib import suppress

import pytest

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.protocol import keepalive
from appliance.protocol.keepalive import (
    ANSWER_S,
    DEAD_AFTER_PINGS,
    MESH_PING_EVERY_S,
    PING_EVERY_S,
    TIME_KEY,
    TURN,
    Control,
    ControlKind,
    KeepAlive,
)
from appliance.protocol.time_claim import SourceTime, TimeClaim


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
        now += TURN * PING_EVERY_S
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
    for every_s in (PING_EVERY_S, MESH_PING_EVERY_S):
        alive = KeepAlive(0.0, every_s=every_s)
        assert alive.dead_at == DEAD_AFTER_PINGS * every_s > 2 * TURN * every_s
        alive.heard(10.0)
        assert alive.dead_at == 10.0 + DEAD_AFTER_PINGS * every_s


def test_the_two_sides_take_turns() -> None:
    """An idle session has one question and one answer in each interval, not two."""
    sides = [KeepAlive(0.0), KeepAlive(0.1)]
    asked: list[tuple[float, int]] = []
    now = 0.0
    while now < 120.0:
        turn = min((0, 1), key=lambda side: sides[side].next_ping)
        now = sides[turn].next_ping
        assert sides[turn].ping(now) is not None
        asked.append((now, turn))
        sides[1 - turn].heard(now)
        sides[1 - turn].pinged(now)
        sides[turn].heard(now)
    settled = [turn for at, turn in asked if at > 2.0]
    assert abs(len(settled) - 118.0 / PING_EVERY_S) <= 1
    assert settled[::2] == settled[:1] * len(settled[::2])
    assert settled[1::2] == [1 - settled[0]] * len(settled[1::2])


def test_an_answer_says_what_time_it_is_and_older_stations_pass_over_it() -> None:
    claim = TimeClaim(1_800_000_000_000, SourceTime(1_800_000_000_123, 50, 3, True))
    for time in (None, TimeClaim(5), claim):
        pong = Control(ControlKind.PONG, 7, time=time)
        data = pong.encode()
        assert Control.decode(data) == pong
        fields = Fields(decode(data, limit=4096), "as v0.2.0 reads it")
        assert (fields.uint(0), fields.uint(1), fields.text(2, limit=64)) == (1, 7, "")
        fields.end()
    for wrong in ({}, [1], {0: 1, 1: 1}, "noon"):
        with pytest.raises(FormatError):
            Control.decode(encode({0: 1, 1: 7, 2: "", TIME_KEY: wrong}))


def test_a_spoilt_answer_raises_nothing_but_a_format_error() -> None:
    claim = TimeClaim(1_800_000_000_000, SourceTime(1_800_000_000_123, 50, 3, True))
    data = Control(ControlKind.PONG, 7, time=claim).encode()
    for place in range(len(data)):
        for flip in (1, 2, 16, 64, 128, 255):
            spoilt = data[:place] + bytes((data[place] ^ flip,)) + data[place + 1 :]
            with suppress(FormatError):
                Control.decode(spoilt)
        with pytest.raises(FormatError):
            Control.decode(data[:place])


def test_who_is_asked_in_doubt_is_pinged_at_once_and_has_little_time() -> None:
    alive = KeepAlive(0.0, every_s=MESH_PING_EVERY_S)
    assert alive.ping(10.0)
    alive.ask(12.0)
    alive.ask(13.0)  # does not put it off
    assert alive.dead_at == 12.0 + ANSWER_S
    ping = alive.ping(12.0)
    assert ping is not None
    assert alive.ping(14.0) is None
    alive.heard(14.0)
    assert alive.heard_at == 14.0
    assert alive.dead_at == 14.0 + DEAD_AFTER_PINGS * MESH_PING_EVERY_S


def test_asking_does_not_make_a_dead_one_live_longer() -> None:
    alive = KeepAlive(0.0)
    dead_at = alive.dead_at
    alive.ask(dead_at - 1.0)
    assert alive.dead_at == dead_at
