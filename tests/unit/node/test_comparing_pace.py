"""Neighbours that find no difference compare ever more rarely, and soon again when there is one."""

from __future__ import annotations

import random
from itertools import pairwise

from test_comparing import ANN, BOB, comparing, said

from appliance.node.comparing import COMPARE_S
from appliance.protocol.carrying import Compare
from appliance.protocol.id_set import IdSet

LEAST_S, MOST_S = COMPARE_S


def test_comparisons_are_as_frequent_as_they_are_useful() -> None:
    rng = random.Random(1)
    ids = [rng.randbytes(32) for _ in range(50)]
    anns, bobs = IdSet(ids), IdSet(ids)
    ann, bob = comparing(anns, rng), comparing(bobs, rng)
    bob.session_up(ANN, 0.0, begin=False)

    def answered(to_bob: list[Compare]) -> None:
        for one in to_bob:
            for reply in said(bob.received(ANN, one, now)):
                if isinstance(reply, Compare):
                    more = said(ann.received(BOB, reply, now))
                    answered([each for each in more if isinstance(each, Compare)])

    now = 0.0
    begun = [now]
    answered(
        [one for one in said(ann.session_up(BOB, now, begin=True)) if isinstance(one, Compare)]
    )
    while len(begun) < 14:
        if len(begun) == 10:
            bobs.add(missing := rng.randbytes(32))
        now = ann.next_wakeup()
        begins = [one for one in said(ann.wakeup(now)) if isinstance(one, Compare)]
        assert len(begins) == 1
        begun.append(now)
        answered(begins)
        if len(begun) == 11:
            anns.add(missing)  # it was asked for and has come
    waits = [after - before for before, after in pairwise(begun)]
    doubled = [min(LEAST_S * 2**times, MOST_S) for times in range(1, 11)]
    wanted = [*doubled, LEAST_S, 2 * LEAST_S, 4 * LEAST_S]
    for wait_s, about_s in zip(waits, wanted, strict=True):
        assert 0.75 * about_s <= wait_s <= 1.25 * about_s
