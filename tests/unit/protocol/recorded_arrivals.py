"""Recordings of `tests/vectors/arrivals` as a source of packets; their form is told there."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jitter_world import FEC_PACKET, Arrival

from appliance.protocol.jitter import Copy
from appliance.protocol.playing import FRAME, FRAME_S
from appliance.protocol.rtp import RtpPacket

DIRECTORY = Path(__file__).parents[2] / "vectors" / "arrivals"

STEP_MS = 20
SAMPLES_A_MS = 48


@dataclass(frozen=True)
class Line:
    """One packet."""

    number: int
    begins_ms: int
    length_ms: int
    came_ms: float
    copies_ms: tuple[int, ...]
    marker: bool


def _parsed(text: str) -> Line:
    number, begins, length, came, copies, *marker = text.split()
    distances = () if copies == "-" else tuple(map(int, copies.split(",")))
    return Line(int(number), int(begins), int(length), float(came), distances, bool(marker))


@dataclass
class Recorded:
    """All packets of a call; the numbers in their payloads count 20 ms."""

    name: str
    drift: float = 0.0
    size: int = FRAME
    lines: list[Line] = field(init=False)

    def __post_init__(self) -> None:
        text = (DIRECTORY / f"{self.name}.txt").read_text(encoding="ascii")
        self.lines = [_parsed(line) for line in text.splitlines()]

    @property
    def beats(self) -> int:
        """Of 20 ms, until the last one has come."""
        return int(self.lines[-1].came_ms / 1000 / FRAME_S)

    @cached_property
    def needs_s(self) -> dict[int, float]:
        """By the number of each 20 ms, the delay after which it is there at last, as a packet or a
        copy, above the fastest of all."""
        there: dict[int, float] = {}
        for line in self.lines:
            for back_ms in (0, *line.copies_ms):
                begins_ms = line.begins_ms - back_ms
                need_s = (line.came_ms - begins_ms - line.length_ms) / 1000
                for step_ms in range(begins_ms, begins_ms + line.length_ms, STEP_MS):
                    number = step_ms // STEP_MS
                    there[number] = min(need_s, there.get(number, need_s))
        fastest = min(there.values())
        return {number: need_s - fastest for number, need_s in there.items() if number >= 0}

    def packets(self, frames: int) -> list[Arrival]:
        """All of them, and then as many more as are missing, each as fast as the fastest."""
        last = self.lines[-1]
        calm = min(line.came_ms - line.begins_ms - line.length_ms for line in self.lines)
        more: list[Line] = []
        begins_ms = last.begins_ms + last.length_ms
        while begins_ms < frames * STEP_MS:
            number = last.number + 1 + len(more)
            came_ms = max(last.came_ms, begins_ms + STEP_MS + calm)
            more.append(Line(number, begins_ms, STEP_MS, came_ms, (), False))
            begins_ms += STEP_MS
        return [self._arrival(line) for line in (*self.lines, *more)]

    def _arrival(self, line: Line) -> Arrival:
        samples = line.length_ms * SAMPLES_A_MS
        voice = RtpPacket(
            payload_type=96,
            sequence_number=(line.number + 65_530) & 0xFFFF,
            timestamp=(line.begins_ms * SAMPLES_A_MS + 0xFFFF_F000) & 0xFFFF_FFFF,
            ssrc=7,
            payload=_payload(line.begins_ms),
            marker=line.marker,
        )
        copies = [
            Copy(back_ms * SAMPLES_A_MS, _payload(line.begins_ms - back_ms), samples)
            for back_ms in line.copies_ms
            if back_ms <= line.begins_ms
        ]
        return FRAME_S + line.came_ms / 1000, voice, samples, copies


def _payload(begins_ms: int) -> bytes:
    return FEC_PACKET + (begins_ms // STEP_MS).to_bytes(4, "big")
