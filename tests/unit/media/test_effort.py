"""How much thought a frame gets: what the machine has time for, with a real encoder."""

from __future__ import annotations

import random

from appliance.adapters.opus import OpusEncoder
from appliance.media.effort import CALM, COMPLEXITY, FRAMES, Effort
from appliance.media.pcm import FRAME_BYTES

NOISE = random.Random(5).randbytes(FRAME_BYTES)


class Machine:
    """Processor time that goes by as fast as a test wants, at the encoder's full effort."""

    def __init__(self, frame_s: float) -> None:
        self.frame_s = frame_s
        self.effort: Effort | None = None
        self._used_s, self._asked = 0.0, 0

    def used_s(self) -> float:
        self._asked += 1
        if self._asked % 2 == 0 and self.effort is not None:  # behind the encoder
            self._used_s += self.frame_s * {9: 1.0, 5: 0.5, 1: 0.25}[self.effort.complexity]
        return self._used_s


def effort_on(frame_s: float) -> tuple[Machine, Effort]:
    machine = Machine(frame_s)
    encoder = OpusEncoder(bitrate=32_000, complexity=COMPLEXITY, expected_loss_pct=0)
    machine.effort = Effort(encoder, used_s=machine.used_s)
    return machine, machine.effort


def encode(effort: Effort, judgements: int) -> set[int]:
    seen = set()
    for _ in range(judgements * FRAMES):
        assert effort.encode(NOISE)
        seen.add(effort.complexity)
    return seen


def test_a_quick_machine_takes_all_care() -> None:
    _, effort = effort_on(0.0003)
    assert encode(effort, 4) == {COMPLEXITY}


def test_a_slow_one_takes_less_and_does_not_swing() -> None:
    _, effort = effort_on(0.0032)
    encode(effort, 2)
    assert encode(effort, CALM + 2) == {5}


def test_one_that_is_far_too_slow_takes_the_least() -> None:
    _, effort = effort_on(0.02)
    encode(effort, 3)
    assert encode(effort, CALM + 2) == {1}


def test_one_that_was_busy_comes_back() -> None:
    machine, effort = effort_on(0.02)
    encode(effort, 3)
    machine.frame_s = 0.0003
    encode(effort, 2 * CALM)
    assert effort.complexity == COMPLEXITY


def test_what_others_need_is_never_exceeded() -> None:
    _, effort = effort_on(0.0003)
    effort.allow(5)
    assert encode(effort, CALM + 2) == {5}
    effort.allow(COMPLEXITY)
    assert effort.complexity == COMPLEXITY


def test_a_real_processor_is_measured() -> None:
    encoder = OpusEncoder(bitrate=32_000, complexity=COMPLEXITY, expected_loss_pct=0)
    packets = [Effort(encoder).encode(3 * NOISE) for _ in range(FRAMES)]
    assert all(packets)
