"""A real voice process mixes a conference of others over loopback."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
from speech import DATA, SHORT, correlation, needs_speech, quality, samples, silence
from voice_ends import Station, started, station, swapped

from appliance.model.conference_media import Mix, MixTalking
from appliance.model.media import FirstSound, SetStream, StopStream, StreamStats

OTHER = DATA / "cards/001.wav"


class Focus:
    """Three voice processes, of which the first mixes the other two."""

    def __init__(self, focus: Station, folder: Path) -> None:
        self.focus, self.folder = focus, folder

    async def join(self, name: str, other: Station, play: Path, focus_play: Path) -> None:
        """Make a call between the focus and another, each with files."""
        here, there = await self.focus.open(name), await other.open(name)
        command = started(name, there)
        await other.client.send(
            replace(swapped(command, here), play=str(play), record=str(self.folder / f"{name}.wav"))
        )
        # Of its own microphone and speaker: the others hear each other as if it were not there.
        await self.focus.client.send(SetStream(name, muted=True, volume_pct=50))
        first = name == "a"
        await self.focus.client.send(
            replace(
                command,
                play=str(focus_play) if first else None,
                record=str(self.folder / "focus.wav") if first else None,
            )
        )


def likeness(heard: Path, said: Path) -> float:
    """How much of a clip is in a recording: the highest normalized correlation."""
    sound, clip = samples(heard), samples(said)
    if not np.any(sound) or len(sound) < len(clip):
        return 0.0
    peak = float(np.max(np.abs(correlation(sound, clip))))
    return peak / (float(np.linalg.norm(clip)) * float(np.linalg.norm(sound)))


async def sent(end: Station, name: str, seconds: float) -> None:
    def enough(stats: StreamStats) -> bool:
        return stats.stream == name and stats.packets_sent > 50 * seconds

    await end.events.first(StreamStats, enough)


ATTEMPTS = 3
"""Sound is made in real time: on a busy machine a run may come too late."""


async def meet(folder: Path) -> None:
    """A conference in which one speaks, whom the focus and a listener record."""
    await asyncio.to_thread(folder.mkdir)
    quiet = silence(folder / "silence.wav")
    async with station() as focus, station() as one, station() as two:
        conference = Focus(focus, folder)
        await conference.join("a", one, quiet, OTHER)
        await focus.events.first(FirstSound, lambda e: e.stream == "a")
        await focus.client.send(Mix("conference", ("a", "b")))
        await conference.join("b", two, SHORT, quiet)
        await focus.client.send(Mix("conference", ("a", "b")))
        await sent(two, "b", 4.5)
        talked = await focus.events.first(MixTalking, lambda e: "b" in e.talking)
        assert talked.mix == "conference"
        # Who leaves takes nothing with it: the files of our own go on with whom is left.
        await focus.client.send(StopStream("a"))
        await one.client.send(StopStream("a"))
        await one.closed("a")
        await focus.closed("a")
        await focus.client.send(StopStream("b"))
        await two.client.send(StopStream("b"))
        await focus.closed("b")
        await two.closed("b")


@needs_speech
async def test_all_hear_the_others_well_and_nobody_himself(tmp_path: Path) -> None:
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        await meet(folder)
        heard = [quality(SHORT, folder / f"{name}.wav") for name in ("a", "focus")]
        if min(heard) >= 4.0:
            break
    assert min(heard) >= 4.0
    loud, soft = (np.abs(samples(folder / f"{one}.wav")).max() for one in ("a", "focus"))
    assert 0.4 < soft / loud < 0.6, "how loud it is for us is no matter of theirs"
    assert likeness(folder / "a.wav", SHORT) > 0.5
    assert likeness(folder / "a.wav", OTHER) < 0.2, "our microphone is off"
    assert likeness(folder / "b.wav", SHORT) < 0.2
