"""Comparisons with a neighbour over a way that is slow."""

from __future__ import annotations

import random

import pytest

from appliance.model.identity import StationId
from appliance.node import comparing as module
from appliance.node.comparing import STUCK_S, Comparing
from appliance.node.effects import Effect, Send
from appliance.protocol.carrying import Compare, Part, Wanted, decode_sync
from appliance.protocol.id_set import IdSet
from appliance.protocol.reconciliation import SALT_SIZE, VERSION

ANN, BOB, CAT = (StationId(letter * 32) for letter in (b"a", b"b", b"c"))


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


def test_small_questions_that_cost_much_are_answered_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_SAID", 50_000)
    rng = random.Random(2)
    bob = comparing(IdSet(rng.randbytes(32) for _ in range(3000)), rng)
    now = 0.0
    bob.session_up(ANN, now, begin=False)
    # Sixteen parts of all there is, whose fingerprints can't be right.
    wrong = b"".join(bytes((0, 4, part << 4)) + bytes(8) for part in range(16))
    told = 0
    for number in range(150):
        now += 0.01
        part = Part.GO_ON if number % 100 else Part.BEGIN
        flags = 1 if part is Part.BEGIN else 2
        message = Compare(part, bytes((VERSION, flags)) + bytes(SALT_SIZE) + wrong)
        answers = said(bob.received(ANN, message, now))
        told += sum(len(one.data) for one in answers if isinstance(one, Compare))
    assert 50_000 < told <= 50_000 + now * module.SAID_PER_S + 3_000
    # It is one neighbour's own allowance, and comes back.
    calm = IdSet(rng.randbytes(32) for _ in range(10))
    for peer, wait_s in ((CAT, 0.0), (ANN, 60.0)):
        now += wait_s
        other = comparing(calm, rng)
        (begin,) = said(other.session_up(BOB, now, begin=True))
        assert isinstance(begin, Compare)
        bob.session_up(peer, now, begin=False)
        assert bob.received(peer, begin, now)
