"""The jitter buffer over networks of every kind, seeded and in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from appliance.protocol.jitter import (
    FRAME,
    FRAME_S,
    MAX_PACKETS,
    MAX_TARGET_S,
    Action,
    Conceal,
    Fec,
    JitterBuffer,
    Merge,
    Play,
    Pushed,
    Wait,
)
from appliance.protocol.rtp import RtpPacket


def packet(number: int, *, ssrc: int = 7, offset: int = 0) -> RtpPacket:
    """The frame ``number`` of a source whose counters start anywhere."""
    return RtpPacket(
        payload_type=96,
        sequence_number=(number + 65_530) & 0xFFFF,
        timestamp=(number * FRAME + 0xFFFF_F000 + offset) & 0xFFFF_FFFF,
        ssrc=ssrc,
        payload=number.to_bytes(4, "big"),
    )


def number_of(payload: bytes) -> int:
    return int.from_bytes(payload, "big")


@dataclass
class Run:
    """What was played, and how it went."""

    actions: list[Action] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)

    @property
    def kinds(self) -> Counter[type[Action]]:
        return Counter(type(action) for action in self.actions)

    @property
    def played(self) -> list[int]:
        numbers: list[int] = []
        for action in self.actions:
            if isinstance(action, Play):
                numbers.append(number_of(action.payload))
            elif isinstance(action, Merge):
                numbers += [number_of(action.first), number_of(action.second)]
        return numbers

    @property
    def lost(self) -> int:
        return sum(isinstance(action, Conceal) and action.lost for action in self.actions)


def simulate(
    frames: int,
    delay_s: Callable[[int], float | None],
    *,
    drift: float = 0.0,
    quiet: Callable[[int], bool] = lambda tick: tick % 50 > 40,
) -> Run:
    """Frame n leaves at ``n * 20 ms * (1 + drift)`` and comes ``delay_s(n)`` later, or never."""
    arrivals: list[tuple[float, int]] = []
    for number in range(frames):
        delay = delay_s(number)
        if delay is not None:
            arrivals.append((number * FRAME_S * (1 + drift) + delay, number))
    arrivals.sort()
    buffer, run, index = JitterBuffer(), Run(), 0
    for tick in range(frames):
        now = 0.007 + tick * FRAME_S
        while index < len(arrivals) and arrivals[index][0] <= now:
            at, number = arrivals[index]
            buffer.push(packet(number), samples=FRAME, now=at)
            index += 1
        action = buffer.pull(now, quiet=quiet(tick))
        run.actions.append(action)
        if isinstance(action, Play):
            number = number_of(action.payload)
            run.delays_s.append(now - number * FRAME_S * (1 + drift))
        assert buffer.buffered_s <= MAX_PACKETS * FRAME_S
        assert buffer.target_s <= MAX_TARGET_S
    assert run.played == sorted(set(run.played)), "frames are played once and in order"
    return run


def test_a_clean_link_starts_at_25_to_45_ms_and_plays_everything() -> None:
    run = simulate(1_000, lambda number: 0.003)
    assert run.kinds[Conceal] == run.kinds[Fec] == run.kinds[Merge] == 0
    assert run.kinds[Wait] <= 3
    assert 0.025 <= min(run.delays_s) == pytest.approx(max(run.delays_s))
    assert max(run.delays_s) < 0.003 + 0.045


def test_a_single_loss_is_recovered_from_the_packet_behind_it() -> None:
    run = simulate(1_000, lambda number: None if number % 20 == 5 else 0.003)
    assert run.kinds[Fec] == 50
    assert run.lost == 0


@pytest.mark.parametrize("seed", range(4))
def test_jitter_is_learned_and_then_played_without_gaps(seed: int) -> None:
    rng = random.Random(seed)
    run = simulate(4_000, lambda number: 0.02 + rng.uniform(0, 0.06))
    settled = run.actions[500:]
    made_up = sum(isinstance(action, Conceal | Fec) for action in settled)
    assert made_up < len(settled) * 0.02, f"seed {seed}"
    assert max(run.delays_s[500:]) < 0.02 + 0.06 + 0.065, f"seed {seed}"


@pytest.mark.parametrize("seed", range(4))
def test_the_delay_follows_a_path_that_becomes_slower_and_faster_again(seed: int) -> None:
    rng = random.Random(seed)

    def delay(number: int) -> float:
        return (0.15 if 1_000 <= number < 3_000 else 0.01) + rng.uniform(0, 0.01)

    run = simulate(5_000, delay)
    assert max(run.delays_s[2_500:2_700]) < 0.15 + 0.01 + 0.06
    assert max(run.delays_s[-500:]) < 0.01 + 0.01 + 0.06, "it shrinks again"
    lost_frames = 5_000 - len(run.played)
    assert lost_frames < 20, f"seed {seed}: {lost_frames} frames were thrown away"


@pytest.mark.parametrize("drift", [-500e-6, -50e-6, 50e-6, 500e-6])
def test_clocks_that_drift_apart_cost_nothing_but_merged_or_repeated_frames(drift: float) -> None:
    run = simulate(15_000, lambda number: 0.01, drift=drift)
    assert len(run.played) > 15_000 - 30
    assert run.lost <= 15_000 * abs(drift) + 2
    assert max(run.delays_s) < 0.09


@pytest.mark.parametrize("seed", range(4))
def test_loss_is_concealed_frame_by_frame(seed: int) -> None:
    rng = random.Random(seed)
    run = simulate(3_000, lambda number: None if rng.random() < 0.1 else 0.01 + rng.random() / 100)
    made_up = run.kinds[Fec] + run.lost
    assert 3_000 * 0.1 * 0.8 < made_up < 3_000 * 0.1 * 1.3, f"seed {seed}"


def test_an_outage_is_silence_and_the_delay_is_as_before_behind_it() -> None:
    run = simulate(
        3_000, lambda number: max(0.01, 40 - number * FRAME_S) if 1_000 <= number < 2_000 else 0.01
    )
    assert run.kinds[Wait] > 900
    assert run.lost <= 20
    assert max(run.delays_s[-500:]) < 0.08


def test_a_silence_of_the_sender_is_no_loss() -> None:
    buffer, lost, waits = JitterBuffer(), 0, 0
    sequence = 0
    for tick in range(1_000):
        if tick % 100 < 40 or tick % 20 == 0:
            voice = RtpPacket(96, sequence & 0xFFFF, tick * FRAME, 7, b"voice")
            buffer.push(voice, samples=FRAME, now=tick * FRAME_S)
            sequence += 1
        action = buffer.pull(tick * FRAME_S + 0.005)
        lost += isinstance(action, Fec)
        waits += isinstance(action, Wait)
    assert lost == 0
    assert buffer.reception.expected == buffer.reception.received


def test_another_source_or_numbering_begins_anew() -> None:
    buffer = JitterBuffer()
    assert buffer.push(packet(0), samples=FRAME, now=0.0) is Pushed.RESTARTED
    assert buffer.push(packet(1), samples=FRAME, now=0.02) is Pushed.BUFFERED
    assert buffer.push(packet(1), samples=FRAME, now=0.02) is Pushed.DUPLICATE
    assert buffer.push(packet(2, ssrc=8), samples=FRAME, now=0.04) is Pushed.RESTARTED
    assert buffer.push(packet(3), samples=FRAME, now=0.04) is Pushed.REFUSED
    far = 20_000
    assert buffer.push(packet(far, ssrc=8), samples=FRAME, now=0.06) is Pushed.REFUSED
    assert buffer.push(packet(far + 1, ssrc=8), samples=FRAME, now=0.08) is Pushed.RESTARTED
    assert buffer.pull(0.2) == Play(packet(far + 1).payload, FRAME)


def test_packets_of_60_and_10_ms_are_taken_as_they_are() -> None:
    for samples in (480, 2_880):
        buffer, heard = JitterBuffer(), 0
        for number in range(100):
            at = number * samples / 48_000
            voice = RtpPacket(96, number, number * samples, 7, b"voice")
            buffer.push(voice, samples=samples, now=at)
            action = buffer.pull(at + 0.03)
            heard += action.samples if isinstance(action, Play) else 0
        assert heard > 97 * samples
