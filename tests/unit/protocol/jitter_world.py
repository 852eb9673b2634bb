"""A jitter buffer over a network of any kind, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from appliance.protocol.jitter import Copy, JitterBuffer
from appliance.protocol.opus_packet import CLOCK_HZ
from appliance.protocol.playing import (
    FRAME,
    FRAME_S,
    Action,
    Bend,
    Care,
    Conceal,
    Fec,
    Play,
    Wait,
)
from appliance.protocol.playout import MAX_TARGET_S
from appliance.protocol.rtp import RtpPacket
from appliance.protocol.shelf import MAX_HELD
from appliance.protocol.stretch import FADE, LONGEST

FEC_PACKET = b"\x48\x40"
"""A SILK packet of 20 ms whose first bits say that it has FEC."""

PITCH = 400
"""Samples of a period of the voice that is bent: 120 Hz."""

FIRST_BEAT_S = 0.007
"""The listener's beats against the speaker's."""


def packet(
    number: int, *, ssrc: int = 7, offset: int = 0, size: int = FRAME, skipped: int = 0
) -> RtpPacket:
    """The frame ``number`` of a source whose counters start anywhere, so that they wrap."""
    return RtpPacket(
        payload_type=96,
        sequence_number=(number - skipped + 65_530) & 0xFFFF,
        timestamp=(number * size + 0xFFFF_F000 + offset) & 0xFFFF_FFFF,
        ssrc=ssrc,
        payload=FEC_PACKET + number.to_bytes(4, "big"),
    )


def number_of(payload: bytes) -> int:
    return int.from_bytes(payload[len(FEC_PACKET) :], "big")


def bent_by(bend: Bend | None, samples: int) -> int:
    """What bending a frame of so many samples does to its length."""
    if bend is None:
        return 0
    size = abs(bend.samples)
    if bend.care is Care.EXACTLY:
        size = max(0, min(size, samples - FADE))
    else:
        size = PITCH if size >= PITCH <= min(LONGEST, samples - FADE) else 0
    return size if bend.samples > 0 else -size


@dataclass
class Run:
    """What was played, and how it went."""

    buffer: JitterBuffer = field(default_factory=JitterBuffer)
    actions: list[Action] = field(default_factory=list)
    played: list[int] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    """Of what was played from packets or copies, against when it was said."""
    told_s: float = 0.0
    """The longest delay that the buffer said it has."""
    bends: list[tuple[float, int, bool]] = field(default_factory=list)
    """When, by how many samples, whether in a pause."""

    @property
    def kinds(self) -> Counter[type[Action]]:
        return Counter(type(action) for action in self.actions)

    @property
    def lost(self) -> int:
        return sum(isinstance(action, Conceal) and action.lost for action in self.actions)


Arrival = tuple[float, RtpPacket, int, Sequence[Copy]]
"""When a packet comes, the packet, its samples, what comes with it."""


class Source(Protocol):
    """Where packets come from."""

    @property
    def drift(self) -> float:
        """By how much its clock is slow."""

    @property
    def size(self) -> int:
        """Samples that the numbers of its packets count."""

    def packets(self, frames: int) -> list[Arrival]:
        """Those of so many frames, as they come."""


@dataclass
class Speaker:
    """Who sends frame n at ``n`` frames, and what becomes of it on the way."""

    delay_s: Callable[[int], float | None]
    """Of the packet ``n``; None: it is lost."""
    distances: tuple[int, ...] = ()
    """By how many frames the copies in each packet are older."""
    drift: float = 0.0
    """By how much his clock is slow."""
    silent: Callable[[int], bool] = lambda number: False
    """He says nothing, and nothing is sent."""
    size: int = FRAME
    """Samples of a packet."""

    def packets(self, frames: int) -> list[Arrival]:
        """When they come, in order."""
        found: list[tuple[float, int, RtpPacket, Sequence[Copy]]] = []
        skipped, sent = 0, set[int]()
        for number in range(frames * FRAME // self.size):
            if self.silent(number):
                skipped += 1
                continue
            sent.add(number)
            delay_s = self.delay_s(number)
            if delay_s is None:
                continue
            copies = [
                Copy(back * self.size, packet(number - back).payload, self.size)
                for back in self.distances
                if number - back in sent
            ]
            said_s = (number + 1) * self.size / CLOCK_HZ * (1 + self.drift)
            voice = packet(number, size=self.size, skipped=skipped)
            found.append((said_s + delay_s, number, voice, copies))
        found.sort(key=lambda it: it[0])
        return [(at, voice, self.size, copies) for at, _, voice, copies in found]


def simulate(
    frames: int, speaker: Source, *, pause: Callable[[int], bool] = lambda tick: tick % 50 > 40
) -> Run:
    """Listen for so many beats; ``pause``: the speaker pauses for breath at that beat."""
    arrivals, run = speaker.packets(frames + 100), Run()
    arrivals.reverse()
    ahead = 0
    for tick in range(frames):
        now = FIRST_BEAT_S + tick * FRAME_S
        while arrivals and arrivals[-1][0] <= now:
            at, voice, samples, copies = arrivals.pop()
            run.buffer.push(voice, samples=samples, now=at, copies=copies)
        while ahead < FRAME:
            action = run.buffer.pull(now, ahead=ahead, quiet=pause(tick))
            _note(run, action, now + ahead / CLOCK_HZ, speaker, pause=pause(tick))
            bend = None if isinstance(action, Wait) else action.bend
            ahead += action.samples + bent_by(bend, action.samples)
        ahead -= FRAME
        assert run.buffer.buffered_s <= MAX_HELD * speaker.size / CLOCK_HZ
        assert run.buffer.target_s <= MAX_TARGET_S
    assert all(one < two for one, two in pairwise(run.played)), "played once and in order"
    return run


def _note(run: Run, action: Action, sounds_s: float, speaker: Source, *, pause: bool) -> None:
    run.actions.append(action)
    run.told_s = max(run.told_s, run.buffer.delay_s)
    if isinstance(action, Play):
        number = number_of(action.payload)
        run.played.append(number)
        said_s = number * speaker.size / CLOCK_HZ * (1 + speaker.drift)
        run.delays_s.append(sounds_s - said_s)
    if isinstance(action, Play | Fec | Conceal) and action.bend is not None:
        run.bends.append((sounds_s, bent_by(action.bend, action.samples), pause))
