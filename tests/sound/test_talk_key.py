"""Push to talk at a real voice process: who is heard, and when."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sound_server import tone_file
from voice_ends import Station, started, station, swapped

from appliance.model.media import FirstSound, SetStream, StreamStats


async def heard(at: Station, wanted: bool) -> None:
    """Wait until the other side is heard, or is not."""
    marked = len(at.events.all)
    await at.events.first(
        StreamStats,
        lambda stats: (stats.level_out_db > -30) is wanted and stats in at.events.all[marked:],
    )


async def test_only_who_holds_the_key_is_heard(tmp_path: Path) -> None:
    tone = str(tone_file(tmp_path / "tone.wav", 60))
    async with station() as a, station() as b:
        port_a, port_b = await a.open("call"), await b.open("call")
        ours = replace(started("call", port_b), play=tone, record=str(tmp_path / "a.wav"))
        await a.client.send(SetStream("call", push_to_talk=True))
        await a.client.send(ours)
        theirs = replace(swapped(ours, port_a), play=tone, record=str(tmp_path / "b.wav"))
        await b.client.send(theirs)
        await b.events.first(FirstSound)
        await heard(b, False)
        assert (await a.events.first(StreamStats)).talk_left_s == 0
        await a.client.send(SetStream("call", talking=True))
        await heard(b, True)
        left = [e.talk_left_s for e in a.events.all if isinstance(e, StreamStats)][-1]
        assert left is not None
        assert 50 < left <= 60
        await a.client.send(SetStream("call", talking=False))
        await heard(b, False)
        await heard(a, True)
        await a.client.send(SetStream("call", push_to_talk=False))
        await heard(b, True)
