"""Comparisons with a neighbour over a way that is slow."""

from __future__ import annotations

import random

from appliance.model.identity import StationId
from appliance.node.comparing import STUCK_S, Comparing
from appliance.node.effects import Effect, Send
from appliance.protocol.carrying import Compare, Part, Wanted, decode_sync
from appliance.protocol.id_set import IdSet

ANN, BOB = StationId(b"a" * 32), StationId(b"b" * 32)


def comparing(ids: IdSet, rng: random.Random) -> Comparing:
    return Comparing(
        ids,
        gossips=lambda _: True,
        knows=lambda record: record in ids,
        random=rng.random,
        random_bytes=rng.randbytes,
    )


def said(effects: list[Effect]) -> list[Compare | Wanted]:
    found = []
    for effect in effects:
        assert isinstance(effect, Send)
        message = decode_sync(effect.data)
        assert message is not None
        found.append(message)
    return found


def test_a_comparison_that_goes_on_is_not_begun_anew_however_slow_it_is() -> None:
    rng = random.Random(1)
    theirs = [rng.randbytes(32) for _ in range(2000)]
    ann, bob = comparing(IdSet(), rng), comparing(IdSet(theirs), rng)
    now = 0.0
    bob.session_up(ANN, now, begin=False)
    on_the_way = [(bob, ANN, one) for one in said(ann.session_up(BOB, now, begin=True))]
    begun, wanted = 1, 0
    while wanted < len(theirs):
        now += 0.9 * STUCK_S  # for each message, since bulk stands in its way
        to, came_from, message = on_the_way.pop(0)
        if isinstance(message, Wanted):
            wanted += len(message.records)
            continue
        back, peer = (ann, BOB) if to is bob else (bob, ANN)
        on_the_way += [(back, peer, one) for one in said(to.received(came_from, message, now))]
        anew = said(ann.wakeup(now))
        begun += sum(isinstance(one, Compare) and one.part is Part.BEGIN for one in anew)
        on_the_way += [(bob, ANN, one) for one in anew]
        assert begun == 1
