"""A talk group through sound cards: a microphone to speak into, a loudspeaker to hear."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
from sound_server import MICROPHONE, SPEAKER, SoundServer, needs_pipewire
from speech import LONG, at_48_khz, needs_speech, quality, samples
from talk_ends import Key, Talker
from voice_ends import station

from appliance.model.sound_device import ChooseDevices
from appliance.model.talk_media import TalkFailed, TalkTone

pytestmark = needs_pipewire


@needs_speech
async def test_speech_goes_from_card_to_card_in_a_talk_group(
    server: SoundServer, tmp_path: Path
) -> None:
    for name in ("left", "right"):
        server.plug_in(f"{name}-in", MICROPHONE)
        server.plug_in(f"{name}-out", SPEAKER)
    clip, heard = at_48_khz(LONG, tmp_path / "clip.wav"), tmp_path / "heard.wav"
    async with station() as a, station() as b:
        await a.client.send(ChooseDevices("left", "left", True))
        await b.client.send(ChooseDevices("right", "right", True))
        one, two = await Talker.open(a), await Talker.open(b)
        key = Key()
        await one.speak(key, two)
        await two.hear(key, one)
        await one.began(key, speaking=True)
        await two.began(key, speaking=False)
        with server.recorded(heard, "right-out"):
            await asyncio.sleep(0.5)
            with server.spoken(clip, "left-in") as speaking:
                await asyncio.to_thread(speaking.wait, 15)
            await one.rest()
            await two.rest()
            await asyncio.sleep(0.8)
            await b.client.send(TalkTone("talk-over"))
            await asyncio.sleep(1.0)
        failed = [e for e in a.events.all + b.events.all if isinstance(e, TalkFailed)]
        assert failed == []
    assert quality(clip, heard) >= 4.0
    assert np.abs(samples(heard)[-16_000:]).max() > 1_000, "the other's spurt has ended: a tone"
