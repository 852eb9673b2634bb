"""What is noted of a call, and when: once as it begins, once when it is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model.call import Call, CallState, EndReason
from appliance.model.identity import Address, StationId
from appliance.node.call_record import CallRecord
from appliance.node.effects import Effect, Transact
from appliance.node.ports import Moment
from appliance.node.ports.calling import CutCalls, RecordedCall, SaveCall

ANN = StationId(b"a" * 32)
IN = Call("c1", Address(ANN), False, CallState.RINGING_HERE, created_at=100.0)
OUT = replace(IN, outgoing=True, state=CallState.DIALLING)
NOW = Moment(wall_ms=1_700_000_000_000, sure=True, awake_s=0.0)


class Recorder:
    """A record, and what it wants stored."""

    def __init__(self, *, known: bool = False) -> None:
        self.record = CallRecord(is_known=lambda _: known)
        self.done = 0

    def takes(self, call: Call, now: float = 100.0) -> tuple[RecordedCall, bool] | None:
        moment = replace(NOW, wall_ms=NOW.wall_ms + int((now - 100.0) * 1000))
        effects = self.record.changed(call, now, moment, quality="fair", done=self._count)
        if not effects:
            return None
        return self._only(effects)

    def _count(self) -> None:
        self.done += 1

    def _only(self, effects: list[Effect]) -> tuple[RecordedCall, bool]:
        (effect,) = effects
        assert isinstance(effect, Transact)
        assert isinstance(effect.operation, SaveCall)
        assert not effect.then(None)
        return effect.operation.call, effect.lazy


def test_one_commit_as_it_begins_and_one_when_it_is_over() -> None:
    recorder = Recorder(known=True)
    begun = recorder.takes(IN, now=101.5)
    assert begun is not None
    assert begun == (replace(begun[0], reason=None, begun_ms=NOW.wall_ms, known=True), False)
    assert recorder.takes(replace(IN, detail="x")) is None
    answered = replace(IN, state=CallState.CONNECTING, answered_at=103.0)
    taken = recorder.takes(answered)
    assert taken is not None
    assert (taken[0].answered, taken[1]) == (True, True), "with whatever is committed next"
    assert recorder.takes(replace(answered, state=CallState.TALKING)) is None
    over = replace(
        answered, state=CallState.ENDED, ended_at=110.0, end_reason=EndReason.THEY_HUNG_UP
    )
    assert recorder.done == 0
    ended = recorder.takes(over, now=110.0)
    assert ended is not None
    note, lazy = ended
    assert not lazy
    assert (note.reason, note.talked_s, note.quality) == ("they-hung-up", 7.0, "fair")
    assert (note.begun_ms, note.missed, note.seen) == (NOW.wall_ms, False, True)
    assert recorder.done == 1


@pytest.mark.parametrize(
    ("reason", "is_missed"),
    [
        (EndReason.CANCELLED, True),
        (EndReason.NO_ANSWER, True),
        (EndReason.BUSY, True),
        (EndReason.UNREACHABLE, True),
        (EndReason.NO_COMMON_CODEC, True),
        (EndReason.DECLINED, False),
    ],
)
def test_which_calls_were_missed(reason: EndReason, is_missed: bool) -> None:
    over = {"state": CallState.ENDED, "ended_at": 105.0, "end_reason": reason}
    noted = Recorder().takes(replace(IN, **over))  # type: ignore[arg-type]
    assert noted is not None
    assert (noted[0].missed, noted[0].seen) == (is_missed, not is_missed)
    ours = Recorder().takes(replace(OUT, **over))  # type: ignore[arg-type]
    assert ours is not None
    assert not ours[0].missed


def test_whom_we_call_we_know() -> None:
    for call, known, expected in ((OUT, False, True), (IN, False, False), (IN, True, True)):
        noted = Recorder(known=known).takes(call)
        assert noted is not None
        assert noted[0].known is expected
        assert noted[1] is not expected, "strangers' calls wait for somebody else's commit"


def test_after_a_start_the_others_are_over() -> None:
    (effect,) = CallRecord(is_known=lambda _: False).cut(("c1",), lambda: None)
    assert isinstance(effect, Transact)
    assert effect.operation == CutCalls("cut-off", ("c1",))
