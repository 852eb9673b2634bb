"""Ways around a neighbour: chosen where there is need, and never in a circle."""

from __future__ import annotations

from appliance.model.net import NetRoute
from appliance.protocol.detours import HOLDS_S, MAX_AVOIDED, MAX_DETOURS, Detours, Hop

PREFIX = "fd12::1/128"
LIAR = Hop("eth0", "fe80::bad")
HONEST = Hop("eth1", "fe80::1")
FARTHER = Hop("eth2", "fe80::2")
THEIRS = "00" * 7 + "01"
OTHER = "ff" * 8


def offer(
    hop: Hop,
    *,
    metric: int,
    refmetric: int,
    origin: str = THEIRS,
    installed: bool = False,
    prefix: str = PREFIX,
) -> NetRoute:
    return NetRoute(prefix, hop.interface, hop.via, metric, refmetric, origin, installed)


LIE = offer(LIAR, metric=256, refmetric=0, installed=True)


def avoiding(*hops: Hop, now: float = 0.0) -> Detours:
    detours = Detours()
    for hop in hops:
        detours.avoid(PREFIX, hop, now)
    return detours


def test_the_least_of_the_others_is_taken() -> None:
    routes = [
        LIE,
        offer(FARTHER, metric=512, refmetric=256),
        offer(HONEST, metric=300, refmetric=0),
    ]
    assert avoiding(LIAR).choose(routes, 1.0) == {PREFIX: HONEST}
    assert avoiding(LIAR, HONEST).choose(routes, 1.0) == {PREFIX: FARTHER}


def test_nothing_is_done_where_nobody_is_avoided_or_needs_to_be() -> None:
    others = offer(HONEST, metric=256, refmetric=0, installed=True)
    assert Detours().choose([LIE, others], 0.0) == {}
    assert avoiding(LIAR).choose([offer(LIAR, metric=300, refmetric=0), others], 0.0) == {}


def test_a_detour_ends_with_its_offer_and_with_its_time() -> None:
    detours = avoiding(LIAR)
    routes = [LIE, offer(HONEST, metric=300, refmetric=0)]
    assert detours.choose(routes, 1.0) == {PREFIX: HONEST}
    assert detours.choose([LIE], 2.0) == {}
    assert detours.choose([LIE, offer(HONEST, metric=0xFFFF, refmetric=0)], 3.0) == {}
    assert detours.next_wakeup() == HOLDS_S
    assert detours.choose(routes, HOLDS_S) == {}
    assert detours.next_wakeup() is None


def test_an_offer_that_may_lead_back_through_us_is_not_taken() -> None:
    """Our neighbour heard of the liar from us: 256 for us, and 256 more."""
    back = offer(HONEST, metric=768, refmetric=512)
    assert avoiding(LIAR).choose([LIE, back], 1.0) == {}


def test_an_offer_under_another_router_id_does_not_come_from_us() -> None:
    lie = offer(LIAR, metric=256, refmetric=0, origin=OTHER, installed=True)
    longer = offer(HONEST, metric=1280, refmetric=1024)
    assert avoiding(LIAR).choose([lie, longer], 1.0) == {PREFIX: HONEST}


def test_a_metric_that_we_announced_a_while_ago_counts_still() -> None:
    """Whoever routes back through us may not have heard yet that it got worse."""
    detours = avoiding(LIAR)
    assert detours.choose([LIE], 1.0) == {}
    worse = offer(LIAR, metric=900, refmetric=0, installed=True)
    assert detours.choose([worse, offer(HONEST, metric=768, refmetric=512)], 2.0) == {}


def test_there_is_an_end_to_what_is_remembered() -> None:
    detours = Detours()
    for number in range(MAX_DETOURS + 1):
        detours.avoid(f"fd12::{number:x}/128", LIAR, 0.0)
    lies = [
        offer(LIAR, metric=256, refmetric=0, installed=True, prefix=f"fd12::{number:x}/128")
        for number in range(MAX_DETOURS + 1)
    ]
    others = [offer(HONEST, metric=256, refmetric=0, prefix=lie.prefix) for lie in lies]
    chosen = detours.choose([*lies, *others], 1.0)
    assert len(chosen) == MAX_DETOURS
    assert "fd12::0/128" not in chosen
    many = avoiding(*(Hop("eth0", f"fe80::{number:x}") for number in range(MAX_AVOIDED + 1)))
    first = offer(Hop("eth0", "fe80::0"), metric=9, refmetric=0, installed=True)
    assert many.choose([first, offer(HONEST, metric=9, refmetric=0)], 1.0) == {}
