"""A way that may not be used for long is noticed, and neither liars nor news cause a storm."""

from __future__ import annotations

from itertools import pairwise

from appliance.model.net import NetRoute
from appliance.protocol.babel import INFINITY
from appliance.protocol.starved_routes import MAX_REST_S, REST_S, STARVED_S, StarvedRoutes

OWN = "fd00::1/128"
OTHER = "fd00::2/128"


def route(prefix: str = OTHER, *, installed: bool = False, metric: int = 512) -> NetRoute:
    return NetRoute(
        prefix=prefix,
        interface="eth0",
        via="fe80::2" if installed else "fe80::3",
        metric=metric,
        refmetric=256,
        origin="0000000000000002",
        installed=installed,
    )


def starts(starved: StarvedRoutes, until: int) -> list[int]:
    """Seconds at which it would be started anew, while one way is offered and never taken."""
    return [now for now in range(until) if starved.look([route()], now)]


def test_a_way_that_is_not_taken_for_long_is_noticed() -> None:
    starved = StarvedRoutes([OWN])
    assert not starved.look([route()], 10.0)
    assert not starved.look([route()], 10.0 + STARVED_S - 0.1)
    assert starved.look([route()], 10.0 + STARVED_S)


def test_it_must_have_been_so_all_the_time() -> None:
    starved = StarvedRoutes([OWN])
    assert not starved.look([route()], 10.0)
    assert not starved.look([route(), route(installed=True)], 12.0)
    assert not starved.look([route()], 14.0)
    assert not starved.look([route()], 14.0 + STARVED_S - 0.1)


def test_what_is_taken_gone_or_a_lie_does_not_count() -> None:
    starved = StarvedRoutes([OWN])
    fine = [route(), route(installed=True), route("fd00::3/128", metric=INFINITY), route(OWN)]
    assert not any(starved.look(fine, float(now)) for now in range(100))


def test_starts_become_rare_where_they_do_not_help() -> None:
    found = starts(StarvedRoutes([OWN]), 20_000)
    gaps = [after - before for before, after in pairwise(found)]
    assert gaps[:3] == [REST_S, 2 * REST_S, 4 * REST_S]
    assert max(gaps) == MAX_REST_S


def test_after_a_long_quiet_it_is_noticed_soon_again() -> None:
    starved = StarvedRoutes([OWN])
    assert len(starts(starved, 1000)) > 2
    assert not starved.look([], 9000.0)
    assert [now for now in range(9001, 9100) if starved.look([route()], now)] == [9004, 9069]
