"""Talk groups among real stations, as tests and benches look at them."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from _talkgroup import EVERYONE, channel
from seats import Seat, eventually

from appliance.api.talking import TalkInfo

_LOSS = "table netdev talkloss"

LOUD = 200
"""Samples above it are no silence."""


async def sounds(seat: Seat, speaker: str, name: str = EVERYONE) -> TalkInfo | None:
    """The channel, if this station's sound is heard or spoken there."""
    found = await channel(seat.client, name)
    there = found.speaker == speaker and found.sounded_at_s is not None
    return found if there else None


async def all_sound(
    seats: Iterable[Seat], speaker: Seat, name: str = EVERYONE, *, within_s: float = 10.0
) -> dict[str, float]:
    """When the first of what is said sounded at each station, on the monotonic clock."""
    at: dict[str, float] = {}
    for seat in seats:
        found = await eventually(partial(sounds, seat, speaker.id, name), within_s=within_s)
        assert found is not None
        assert found.sounded_at_s is not None
        at[seat.name] = found.sounded_at_s
    return at


def what_was_said(recorded: Path, path: Path) -> Path:
    """A recording without the silence before and behind what is in it."""
    with wave.open(str(recorded)) as file:
        form, sound = file.getparams(), np.frombuffer(file.readframes(file.getnframes()), np.int16)
    loud = np.flatnonzero(np.abs(sound) > LOUD)
    assert loud.size, f"nothing is heard in {recorded.name}"
    margin = form.framerate // 2
    with wave.open(str(path), "wb") as file:
        file.setparams(form)
        file.writeframes(sound[max(0, loud[0] - margin) : loud[-1] + margin].tobytes())
    return path


async def nobody_talks(seat: Seat, name: str = EVERYONE) -> bool:
    return (await channel(seat.client, name)).speaker is None


def lose_sound(seat: Seat, percent: int) -> None:
    """Let so much of the sound that comes to a station be lost, at random, on all of its cables."""
    rule = f"udp length > 100 numgen random mod 100 < {percent} counter drop"
    chains = "".join(
        f'chain {plug.interface} {{ type filter hook ingress device "{plug.interface}" '
        f"priority 0; {rule}; }}\n"
        for plug in seat.village.topology.plugs(seat.name)
    )
    seat.village.exec(seat.name, ["nft", "-f", "-"], stdin=f"{_LOSS} {{\n{chains}}}\n", check=True)


def lost_sound(seat: Seat) -> int:
    """Packets that were lost by `lose_sound`; 0 where nothing is."""
    listed = seat.village.exec(seat.name, ["nft", "list", *_LOSS.split()]).stdout.split()
    return sum(int(listed[at + 1]) for at, word in enumerate(listed) if word == "packets")
