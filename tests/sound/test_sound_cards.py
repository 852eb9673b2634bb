"""Calls through sound cards: a PipeWire of the test's own, whose null sinks PortAudio plays to."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from sound_server import MICROPHONE, SPEAKER, SoundServer, needs_pipewire, tone_file
from speech import LONG, RATE, at_48_khz, long_speech, needs_speech, quality, samples
from voice_ends import Station, started, station, swapped

from appliance.model import sound_device
from appliance.model.media import FirstSound, SoundProblem, StartStream, StreamStats
from appliance.model.sound_device import ChooseDevices, Levels

pytestmark = needs_pipewire

HEARD_WITHIN_S = 2.0
"""The operator is told of a card that is gone."""

BACK_WITHIN_S = 3.0
"""Sound is there again after plugging in."""


@contextlib.asynccontextmanager
async def call(
    left: tuple[ChooseDevices, StartStream], right: tuple[ChooseDevices, StartStream]
) -> AsyncIterator[tuple[Station, Station]]:
    """Two voice processes that talk, each with its cards and perhaps files."""
    async with station() as a, station() as b:
        await a.client.send(left[0])
        await b.client.send(right[0])
        port_a, port_b = await a.open("call"), await b.open("call")
        ours = replace(left[1], remote_port=port_b)
        theirs = replace(swapped(ours, port_a), play=right[1].play, record=right[1].record)
        await a.client.send(ours)
        await b.client.send(theirs)
        await a.events.first(FirstSound)
        await b.events.first(FirstSound)
        yield a, b


def card(name: str, *, handset: bool = True) -> tuple[ChooseDevices, StartStream]:
    return ChooseDevices(name, name, handset), started("call", 1)


def files(play: str, record: Path) -> tuple[ChooseDevices, StartStream]:
    return ChooseDevices(None, None), replace(started("call", 1), play=play, record=str(record))


def loudest(path: Path) -> float:
    return float(np.abs(samples(path)).max())


async def spoken_through(server: SoundServer, directory: Path, names: tuple[str, str]) -> float:
    """PESQ of a clip that is spoken into the first card's microphone and heard at the second's
    speaker; nothing of it may come out of the first one's own."""
    for name in names:
        server.plug_in(f"{name}-in", MICROPHONE)
        server.plug_in(f"{name}-out", SPEAKER)
    clip = at_48_khz(LONG, directory / "clip.wav")
    heard, own = directory / "heard.wav", directory / "own.wav"
    async with call(card(names[0]), card(names[1])):
        with server.recorded(heard, f"{names[1]}-out"), server.recorded(own, f"{names[0]}-out"):
            await asyncio.sleep(0.5)
            with server.spoken(clip, f"{names[0]}-in") as speaking:
                await asyncio.to_thread(speaking.wait, 15)
            await asyncio.sleep(0.5)
    assert loudest(heard) > 1000
    assert loudest(own) < 10, "we hear our own microphone"
    return quality(clip, heard)


@needs_speech
async def test_speech_goes_from_card_to_card_and_not_back_to_its_own(
    server: SoundServer, tmp_path: Path
) -> None:
    assert await spoken_through(server, tmp_path, ("left", "right")) >= 4.0


@needs_speech
async def test_a_card_of_another_rate_that_has_two_channels_is_used(
    server: SoundServer, tmp_path: Path
) -> None:
    assert await spoken_through(server, tmp_path, ("disc", "right")) >= 4.0


async def pulled_out(server: SoundServer, at: Station, name: str, problem: SoundProblem) -> None:
    """Pull a card out and hear of it in time."""
    before = time.monotonic()
    server.pull_out(name)
    await at.warned("call", problem)
    assert time.monotonic() - before <= HEARD_WITHIN_S


async def test_a_microphone_that_is_pulled_out_in_a_call_is_told_of_and_comes_back(
    server: SoundServer, tmp_path: Path
) -> None:
    """Pulled out, PipeWire puts the loudspeaker's own sound in its place: that must not go out."""
    server.plug_in("left-in", MICROPHONE)
    server.plug_in("left-out", SPEAKER)
    tone = tone_file(tmp_path / "tone.wav", 60)
    heard = tmp_path / "heard.wav"
    async with call(card("left"), files(str(tone), heard)) as (left, right):
        with server.spoken(tone, "left-in"):
            await right.events.first(StreamStats, lambda stats: stats.level_out_db > -20)
        await pulled_out(server, left, "left-in", SoundProblem.NO_MICROPHONE)
        marked = len(right.events.all)
        await right.events.first(
            StreamStats,
            lambda stats: stats.level_out_db < -60 and stats in right.events.all[marked:],
        )
        server.plug_in("left-in", MICROPHONE)
        with server.spoken(tone, "left-in"):
            plugged = time.monotonic()
            await left.warned("call", SoundProblem.NO_MICROPHONE, over=True)
            marked = len(right.events.all)
            await right.events.first(
                StreamStats,
                lambda stats: stats.level_out_db > -20 and stats in right.events.all[marked:],
            )
            assert time.monotonic() - plugged <= BACK_WITHIN_S


async def test_a_speaker_that_is_pulled_out_in_a_call_is_told_of_and_comes_back(
    server: SoundServer, tmp_path: Path
) -> None:
    server.plug_in("left-in", MICROPHONE)
    server.plug_in("left-out", SPEAKER)
    tone = tone_file(tmp_path / "tone.wav", 60)
    again = tmp_path / "again.wav"
    theirs = files(str(tone), tmp_path / "heard.wav")
    async with call(card("left"), theirs) as (left, right):
        with server.spoken(tone_file(tmp_path / "a.wav", 60), "left-in"):
            await pulled_out(server, left, "left-out", SoundProblem.NO_SPEAKER)
            marked = len(right.events.all)
            await right.events.first(  # the other direction goes on meanwhile
                StreamStats,
                lambda stats: stats.level_out_db > -20 and stats in right.events.all[marked:],
            )
            server.plug_in("left-out", SPEAKER)
            plugged = time.monotonic()
            await left.warned("call", SoundProblem.NO_SPEAKER, over=True)
            assert time.monotonic() - plugged <= BACK_WITHIN_S
            with server.recorded(again, "left-out"):
                await asyncio.sleep(1.0)
    assert loudest(again) > 4000


@needs_speech
async def test_the_echo_of_our_loudspeaker_does_not_go_back(
    server: SoundServer, tmp_path: Path
) -> None:
    server.plug_in("left-in", MICROPHONE)
    server.plug_in("left-out", SPEAKER)
    server.put_beside("left-out", "left-in", loudness=0.3)
    spoken = long_speech(tmp_path / "speech.wav", times=3)
    heard = tmp_path / "heard.wav"
    async with call(card("left", handset=False), files(str(spoken), heard)) as (left, _):
        await asyncio.sleep(11)
        echo_db = [e.voice_in_db for e in left.events.all if isinstance(e, StreamStats)][-1]
    assert echo_db > -30, "the microphone did not hear the loudspeaker"
    back = samples(heard)[-4 * RATE :]
    back_db = 20 * np.log10(np.abs(back).max() / 32_768 + 1e-9)
    print(f"\nechoes of {echo_db:.0f} dB went back with {back_db:.0f} dB")
    assert back_db < echo_db - 20


async def test_the_device_test_says_how_loud_it_is_also_when_nobody_talks(
    server: SoundServer, tmp_path: Path
) -> None:
    server.plug_in("left-in", MICROPHONE)
    server.plug_in("left-out", SPEAKER)
    heard, tone = tmp_path / "heard.wav", tone_file(tmp_path / "tone.wav", 60)
    async with station() as here:
        await here.client.send(ChooseDevices("left", "left"))
        with server.recorded(heard, "left-out"):
            await here.client.send(sound_device.TestLevels(1.0))
            quiet = await here.events.first(Levels)
        assert (quiet.input_db, quiet.output_ok) == (-100.0, True)
        assert "no sound" in quiet.detail
        with server.spoken(tone, "left-in"):
            await here.client.send(sound_device.TestLevels(1.0))
            loud = await here.events.first(Levels, lambda levels: levels is not quiet)
        assert loud.input_db is not None
        assert -15 < loud.input_db < -9
        assert loud.detail == "Microphone and loudspeaker work."
    assert loudest(heard) > 4000


async def test_cards_are_listed_and_not_all_the_ways_to_them(server: SoundServer) -> None:
    server.describe_cards({"usb": "", "surround51": "", "front": ""})
    server.plug_in("usb-out", SPEAKER)
    async with station() as here:
        await here.client.send(sound_device.ListDevices())
        listed = await here.events.first(sound_device.DeviceList)
    assert [card.name for card in listed.devices] == ["usb", "default"]
