"""Which commands are obeyed, in virtual time."""

from __future__ import annotations

from appliance.model.identity import StationId
from appliance.model.net import NET_VERSION, Avoid, Join, Joined, NetRefused
from appliance.net.admission import AVOIDS, STATION_S, STATIONS, Admission


def key(number: int) -> bytes:
    return bytes([number]) * 32


def join(number: int) -> Join:
    return Join(NET_VERSION, key(number))


def joined(number: int) -> Joined:
    return Joined(NET_VERSION, str(StationId(key(number)).address))


def test_a_join_is_answered_with_the_address_that_follows_from_the_key() -> None:
    admission = Admission()
    assert admission.answer(join(1), 0) == joined(1)
    assert admission.address == StationId(key(1)).address


def test_another_version_is_refused() -> None:
    admission = Admission()
    assert isinstance(admission.answer(Join(NET_VERSION + 1, key(1)), 0), NetRefused)
    assert admission.address is None


def test_the_same_station_may_join_at_any_time_and_others_now_and_then() -> None:
    admission = Admission()
    for number in range(STATIONS):
        assert admission.answer(join(number), 0) == joined(number)
    for _ in range(100):
        assert admission.answer(join(STATIONS - 1), 1) == joined(STATIONS - 1)
        assert isinstance(admission.answer(join(99), 1), NetRefused)
    assert admission.address == StationId(key(STATIONS - 1)).address
    assert admission.answer(join(99), STATION_S) == joined(99)
    assert isinstance(admission.answer(join(98), STATION_S), NetRefused)


def test_ways_to_avoid_are_not_many() -> None:
    admission = Admission()
    avoid = Avoid(key(2), "eth0", "fe80::1")
    answers = [admission.answer(avoid, 0) for _ in range(AVOIDS + 1)]
    assert answers[:-1] == [None] * AVOIDS
    assert isinstance(answers[-1], NetRefused)
