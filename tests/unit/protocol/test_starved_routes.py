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
        refmetric=max(metric - 256, 0),
        origin="0000000000000002",
        installed=installed,
    )


def starved_routes() -> StarvedRoutes:
    """One that has had a way of cost 256."""
    made = StarvedRoutes([OWN])
    assert not made.look([route(installed=True, metric=256)], 0.0)
    return made


def flap(starved: StarvedRoutes, seconds: range) -> list[int]:
    """Seconds at which it would be started anew, while a way is taken and lost all the time."""
    taken, lost = [route(installed=True, metric=256)], [route()]
    return [now for now in seconds if starved.look(lost if now % 10 else taken, now)]


def test_a_way_that_is_not_taken_for_long_is_noticed() -> None:
    starved = starved_routes()
    assert not starved.look([route()], 10.0)
    assert not starved.look([route()], 10.0 + STARVED_S - 0.1)
    assert starved.look([route()], 10.0 + STARVED_S)


def test_it_must_have_been_so_all_the_time() -> None:
    starved = starved_routes()
    assert not starved.look([route()], 10.0)
    assert not starved.look([route(), route(installed=True)], 12.0)
    assert not starved.look([route()], 14.0)
    assert not starved.look([route()], 14.0 + STARVED_S - 0.1)


def test_what_is_taken_gone_or_a_lie_does_not_count() -> None:
    starved = starved_routes()
    fine = [route(), route(installed=True), route("fd00::3/128", metric=INFINITY), route(OWN)]
    assert not any(starved.look(fine, float(now)) for now in range(100))


def test_starts_become_rare_where_they_do_not_help() -> None:
    found = flap(starved_routes(), range(20_000))
    gaps = [after - before for before, after in pairwise(found)]
    assert [gap // REST_S for gap in gaps[:4]] == [1, 2, 4, 8]
    assert MAX_REST_S <= max(gaps) < MAX_REST_S + 20


def test_after_a_long_quiet_it_is_noticed_soon_again() -> None:
    starved = starved_routes()
    flap(starved, range(1000))
    found = flap(starved, range(9000, 9100))
    assert found[0] == 9004
    assert found[1] < 9004 + 3 * REST_S


def test_our_own_way_back_from_a_neighbour_is_none() -> None:
    starved = starved_routes()
    assert not any(starved.look([route(metric=256 + 2 * 256)], float(now)) for now in range(100))
    starved = starved_routes()
    assert any(starved.look([route(metric=256 + 2 * 256 - 1)], float(now)) for now in range(100))


def test_a_way_that_was_lost_long_ago_is_forgotten() -> None:
    starved = starved_routes()
    assert not starved.look([], REST_S)
    assert not any(starved.look([route()], now) for now in range(66, 200))
