"""Two verifiers joined by a fake link, and somebody in the middle."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import pytest

from appliance.model.codec import FormatError
from appliance.model.identity import StationId
from appliance.node.effects import Effect, Send
from appliance.node.verification import (
    COMPARE_S,
    EXCHANGE_S,
    KEPT,
    MAX_PER_HOUR,
    MIN_INTERVAL_S,
    Comparison,
    Stage,
    VerificationRefusedError,
    Verifier,
)
from appliance.protocol.sas import SasKind, SasMessage, commitment

LOW, HIGH, MIDDLE = (StationId(bytes([number]) * 32) for number in (1, 2, 3))


class Pair:
    """Two verifiers; what one sends the other gets in order, unless somebody changes it."""

    def __init__(self, seed: int = 1) -> None:
        rng = random.Random(seed)
        self.low, self.high = Verifier(LOW, rng.randbytes), Verifier(HIGH, rng.randbytes)
        self.queue: deque[tuple[Verifier, StationId, bytes]] = deque()
        self.change: Callable[[SasMessage], SasMessage] = lambda message: message
        self.now = 0.0

    def sent(self, sender: Verifier, effects: list[Effect]) -> None:
        other, name = (self.high, LOW) if sender is self.low else (self.low, HIGH)
        for effect in effects:
            if isinstance(effect, Send):
                self.queue.append((other, name, effect.data))

    def begin(self, who: Verifier) -> Comparison:
        comparison, effects = who.begin(HIGH if who is self.low else LOW, self.now)
        self.sent(who, effects)
        return comparison

    def run(self) -> None:
        while self.queue:
            receiver, sender, data = self.queue.popleft()
            changed = self.change(SasMessage.decode(data)).encode()
            self.sent(receiver, receiver.received(sender, changed, self.now))

    @property
    def latest(self) -> tuple[Comparison, Comparison]:
        return self.low.all()[0], self.high.all()[0]


@pytest.mark.parametrize("begins", ["low", "high"])
def test_both_operators_see_the_same_digits(begins: str) -> None:
    pair = Pair()
    mine = pair.begin(getattr(pair, begins))
    pair.run()
    low, high = pair.latest
    assert low.id == high.id == mine.id
    assert low.stage is high.stage is Stage.COMPARE
    assert low.digits == high.digits
    assert low.digits is not None
    assert len(low.digits) == 6
    assert low.digits.isdigit()
    assert pair.low.judge(mine.id, match=True)[0].stage is Stage.VERIFIED
    assert pair.high.judge(mine.id, match=False)[0].stage is Stage.MISMATCH
    for verifier in (pair.low, pair.high):
        with pytest.raises(VerificationRefusedError) as error:
            verifier.judge(mine.id, match=True)
        assert error.value.code == "not-open"
    with pytest.raises(VerificationRefusedError) as error:
        pair.low.judge("00" * 8, match=True)
    assert error.value.code == "unknown"


def test_digits_are_new_each_time() -> None:
    pair = Pair()
    seen = set()
    for _ in range(MAX_PER_HOUR):
        pair.begin(pair.low)
        pair.run()
        seen.add(pair.latest[0].digits)
        pair.low.judge(pair.latest[0].id, match=True)
        pair.high.judge(pair.latest[1].id, match=True)
        pair.now += MIN_INTERVAL_S
    assert len(seen) == MAX_PER_HOUR


def test_somebody_in_the_middle_shows_different_digits() -> None:
    """M has a session with each under its own key and relays the numbers as they come."""
    differ = 0
    for seed in range(20):
        rng = random.Random(seed)
        low, high = Verifier(LOW, rng.randbytes), Verifier(HIGH, rng.randbytes)
        mid_low, mid_high = Verifier(MIDDLE, rng.randbytes), Verifier(MIDDLE, rng.randbytes)

        def talk(a: Verifier, a_id: StationId, b: Verifier, b_id: StationId) -> None:
            _, effects = a.begin(b_id, 0.0)
            sides = ((b, a_id), (a, b_id))
            turn = 0
            while sends := [e for e in effects if isinstance(e, Send)]:
                receiver, sender = sides[turn % 2]
                effects = [x for e in sends for x in receiver.received(sender, e.data, 0.0)]
                turn += 1

        talk(low, LOW, mid_low, MIDDLE)
        talk(mid_high, MIDDLE, high, HIGH)
        assert low.all()[0].digits == mid_low.all()[0].digits
        differ += low.all()[0].digits != high.all()[0].digits
    assert differ == 20


def test_a_reveal_that_does_not_fit_is_a_mismatch() -> None:
    pair = Pair()

    def other_reveal(message: SasMessage) -> SasMessage:
        if message.kind is not SasKind.REVEAL:
            return message
        return SasMessage(message.kind, message.attempt, bytes(32))

    pair.change = other_reveal
    pair.begin(pair.low)
    pair.run()
    assert pair.latest[1].stage is Stage.MISMATCH
    assert pair.latest[1].digits is None


def test_an_answer_on_another_number_shows_other_digits() -> None:
    pair = Pair()

    def other_nonce(message: SasMessage) -> SasMessage:
        if message.kind is not SasKind.NONCE:
            return message
        return SasMessage(message.kind, message.attempt, bytes(32))

    pair.change = other_nonce
    pair.begin(pair.low)
    pair.run()
    low, high = pair.latest
    assert low.digits != high.digits


@pytest.mark.parametrize("first", ["low", "high"])
def test_both_begin_at_once(first: str) -> None:
    pair = Pair()
    order = (pair.low, pair.high) if first == "low" else (pair.high, pair.low)
    for verifier in order:
        pair.begin(verifier)
    begun = [one.id for one in pair.latest]
    pair.run()
    low, high = pair.latest
    assert low.attempt == high.attempt
    assert [low.id, high.id] == begun
    assert low.ours
    assert low.stage is high.stage is Stage.COMPARE
    assert low.digits == high.digits
    assert len(pair.low.all()) == len(pair.high.all()) == 1


def test_beginning_again_returns_the_open_one() -> None:
    pair = Pair()
    first = pair.begin(pair.low)
    pair.run()
    assert pair.begin(pair.low).id == first.id
    assert pair.begin(pair.high).id == first.id
    assert not pair.queue


def test_attempts_are_few() -> None:
    pair = Pair()
    pair.begin(pair.low)
    pair.sent(pair.low, pair.low.abandon(HIGH))
    pair.run()
    assert [c.stage for c in pair.latest] == [Stage.ABANDONED] * 2
    with pytest.raises(VerificationRefusedError) as error:
        pair.begin(pair.low)
    assert error.value.code == "too-often"
    begun = 1
    for _ in range(3 * MAX_PER_HOUR):
        pair.now += MIN_INTERVAL_S
        try:
            pair.begin(pair.low)
        except VerificationRefusedError:
            continue
        pair.sent(pair.low, pair.low.abandon(HIGH))
        begun += 1
    assert begun == MAX_PER_HOUR
    pair.now += 3600
    pair.begin(pair.low)


def test_a_guesser_is_refused_and_seen() -> None:
    """However often it begins: a dozen attempts an hour, and what else happened stays visible."""
    verifier = Verifier(LOW, random.Random(1).randbytes)
    other, _ = verifier.begin(MIDDLE, 0.0)
    verifier.abandon(MIDDLE)
    answered = 0
    for number in range(1000):
        attempt = number.to_bytes(8, "big")
        message = SasMessage(SasKind.COMMIT, attempt, commitment(HIGH, LOW, bytes(32)))
        effects = verifier.received(HIGH, message.encode(), number * 3.0)
        kinds = [SasMessage.decode(e.data).kind for e in effects if isinstance(e, Send)]
        answered += kinds == [SasKind.NONCE]
    assert answered == MAX_PER_HOUR
    stages = [c.stage for c in verifier.all() if c.station == HIGH]
    assert stages.count(Stage.REFUSED) == 1
    assert stages.count(Stage.ABANDONED) == MAX_PER_HOUR
    assert verifier.get(other.id) is not None
    assert len(verifier.all()) <= KEPT


def test_a_lost_session_ends_the_exchange_and_leaves_digits_that_are_shown() -> None:
    pair = Pair()
    pair.begin(pair.low)
    pair.queue.clear()
    pair.low.session_down(HIGH)
    assert pair.low.all()[0].stage is Stage.ABANDONED
    pair.now = MIN_INTERVAL_S
    pair.begin(pair.low)
    pair.run()
    for verifier, peer in ((pair.low, HIGH), (pair.high, LOW)):
        assert not verifier.session_down(peer)
        assert verifier.all()[0].stage is Stage.COMPARE


def test_nobody_waits_for_ever() -> None:
    pair = Pair()
    pair.begin(pair.low)
    assert pair.low.next_wakeup() == EXCHANGE_S
    pair.run()
    for verifier in (pair.low, pair.high):
        assert verifier.next_wakeup() == COMPARE_S
        assert not verifier.wakeup(COMPARE_S - 1)
        verifier.wakeup(COMPARE_S)
        assert verifier.all()[0].stage is Stage.ABANDONED
        assert verifier.next_wakeup() is None


def test_what_does_not_fit_is_an_error_or_nothing() -> None:
    pair = Pair()
    mine = pair.begin(pair.low)
    for kind in (SasKind.NONCE, SasKind.REVEAL):
        strange = SasMessage(kind, b"strange!", bytes(32)).encode()
        assert pair.low.received(HIGH, strange, 0.0) == []
    # Somebody else can't answer in its place, nor the peer with what is the initiator's to say.
    answer = SasMessage(SasKind.NONCE, mine.attempt, bytes(32)).encode()
    assert pair.low.received(MIDDLE, answer, 0.0) == []
    reveal = SasMessage(SasKind.REVEAL, mine.attempt, bytes(32)).encode()
    with pytest.raises(FormatError):
        pair.low.received(HIGH, reveal, 0.0)
    pair.run()
    with pytest.raises(FormatError):
        pair.low.received(HIGH, answer, 0.0)
    # An attempt that bears another's name does not touch it.
    commit = SasMessage(SasKind.COMMIT, mine.attempt, bytes(32)).encode()
    assert pair.low.received(MIDDLE, commit, 0.0) == []
    assert pair.low.all()[0].stage is Stage.COMPARE


def test_strangers_push_no_comparison_of_ours_out_of_sight() -> None:
    verifier = Verifier(LOW, random.Random(1).randbytes)
    mine, _ = verifier.begin(HIGH, 0.0)
    for number in range(3 * KEPT):
        stranger = StationId((1000 + number).to_bytes(32, "big"))
        attempt, nonce = number.to_bytes(8, "big"), bytes(32)
        commit = SasMessage(SasKind.COMMIT, attempt, commitment(stranger, LOW, nonce))
        verifier.received(stranger, commit.encode(), 1.0 + number)
        reveal = SasMessage(SasKind.REVEAL, attempt, nonce)
        verifier.received(stranger, reveal.encode(), 1.0 + number)
    assert len(verifier.all()) == KEPT
    assert verifier.running(HIGH) == mine
