"""Whom each station on a crowded link gossips with: few, mutual, and connected whoever dies."""

from __future__ import annotations

import random

import pytest

from appliance.model.identity import StationId
from appliance.node.fanout import MAX_SESSIONS, choose


def crowd(number: int, seed: int = 1) -> list[StationId]:
    rng = random.Random(seed)
    return [StationId(rng.randbytes(32)) for _ in range(number)]


def steps_from(
    start: StationId, graph: dict[StationId, frozenset[StationId]]
) -> dict[StationId, int]:
    """Distances of all that can be reached."""
    found, edge = {start: 0}, [start]
    while edge:
        here = edge.pop(0)
        for there in graph[here]:
            if there in graph and there not in found:
                found[there] = found[here] + 1
                edge.append(there)
    return found


@pytest.mark.parametrize("number", [1, 2, 8, 9, 10, 17, 24, 25, 50, 200, 500])
def test_few_and_mutual_and_never_apart(number: int) -> None:
    stations = crowd(number)
    graph = {one: choose(one, stations) for one in stations}
    for one, chosen in graph.items():
        assert len(chosen) <= MAX_SESSIONS
        assert one not in chosen
        assert all(one in graph[other] for other in chosen)
    # The nearest two on each side make it 4-connected: any three may die.
    rng = random.Random(2)
    for _ in range(20):
        dead = set(rng.sample(stations, min(3, number - 1)))
        left = {one: chosen for one, chosen in graph.items() if one not in dead}
        reached = steps_from(next(iter(left)), left)
        assert len(reached) == len(left)
        if number <= 50:
            assert max(reached.values()) <= 6


def test_whoever_does_not_see_all_still_has_a_connected_graph() -> None:
    """Announcements are lost; the choices then differ between the two ends."""
    stations = crowd(50)
    rng = random.Random(3)
    for _ in range(20):
        graph: dict[StationId, set[StationId]] = {one: set() for one in stations}
        for one in stations:
            seen = [other for other in stations if rng.random() > 0.1]
            for other in choose(one, seen):
                graph[one].add(other)
                graph[other].add(one)
        reached = steps_from(stations[0], {one: frozenset(all_) for one, all_ in graph.items()})
        assert len(reached) == len(stations)
