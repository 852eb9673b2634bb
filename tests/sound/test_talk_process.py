"""Real voice processes talk in a group over loopback, with files as microphone and speaker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
import wave
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from speech import RATE, SHORT, at_48_khz, needs_speech, quality, samples
from talk_ends import HOST, Key, Talker, sender_of
from voice_ends import silence_file, started, station, swapped

from appliance.adapters.srtp import AES_GCM
from appliance.adapters.udp import MAX_LEFT
from appliance.media.pcm import SILENCE
from appliance.media.talk_receiver import SpurtReceiver
from appliance.media.tones import Tone
from appliance.model.media import MediaReady, StreamStats
from appliance.model.talk_media import (
    CloseTalk,
    ReplayTalk,
    SetTalk,
    TalkFailed,
    TalkHop,
    TalkReplayState,
    TalkStarted,
    TalkStats,
    TalkTone,
)
from appliance.protocol.jitter import FRAME_S

SPEECH_PACKETS = 178
"""As long as the clip, and the end of it on its way; of the silence behind it little is sent."""


@contextlib.asynccontextmanager
async def talkers(count: int) -> AsyncIterator[list[Talker]]:
    async with contextlib.AsyncExitStack() as stack:
        stations = [await stack.enter_async_context(station()) for _ in range(count)]
        yield [await Talker.open(each) for each in stations]


async def passed(talker: Talker, packets: int) -> TalkStats:
    """Figures, once so many packets came in or went out."""
    return await talker.station.events.first(
        TalkStats, lambda e: max(e.packets_in, e.packets_out) >= packets
    )


def tone_file(path: Path, frequency: int, seconds: float = 30.0) -> str:
    at_s = np.arange(int(48_000 * seconds)) / 48_000
    sound = (8_000 * np.sin(2 * np.pi * frequency * at_s)).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    return str(path)


def strength(path: Path, frequency: int) -> NDArray[np.float64]:
    """How strong a tone is in each 20 ms of a recording, against one at full scale."""
    sound = samples(path)
    frames = sound[: len(sound) // 320 * 320].reshape(-1, 320)
    wave_ = np.exp(-2j * np.pi * frequency * np.arange(320) / RATE)
    found: NDArray[np.float64] = 2 * np.abs(frames @ wave_) / 320 / 32_768
    return found


@needs_speech
async def test_speech_goes_down_a_tree_through_one_who_can_not_hear_it(tmp_path: Path) -> None:
    async with talkers(4) as (speaker, relay, near, far):
        key = Key()
        for name, talker in (("relay", relay), ("near", near), ("far", far)):
            await talker.set(listening=True, record=str(tmp_path / f"{name}.wav"))
        await speaker.set(play=str(at_48_khz(SHORT, tmp_path / "said.wav")))
        await speaker.speak(key, relay)
        await relay.relay(key, speaker, near)
        await near.hear(key, relay, far)
        spoken = await speaker.began(key, speaking=True)
        await asyncio.sleep(0.25)
        await far.hear(key, near)  # Late, and hears the first word.
        heard = await near.began(key, speaking=False)
        assert heard - spoken < 0.5, "42 ms on a machine with nothing else to do"
        for talker in (relay, near, far):
            figures = await passed(talker, SPEECH_PACKETS)
            assert figures.rejected == 0
        assert figures.forwarded == 0
        assert relay.stats().forwarded >= SPEECH_PACKETS - 60
        assert not any(isinstance(e, TalkStarted) for e in relay.station.events.all)
        for talker in (speaker, near):
            await talker.rest()
        await far.rest()
        await far.set(record=str(tmp_path / "again.wav"))
        # Enough for words before the silence that came until the figures were told.
        await far.station.client.send(ReplayTalk("all", 3.0))
        begun = await far.station.events.first(TalkReplayState)
        assert begun.playing
        assert 0.5 < begun.length_s < 3.1
        over = await far.station.events.first(TalkReplayState, lambda e: not e.playing)
        assert over.position_s == over.length_s
        await far.station.client.send(CloseTalk("all"))
    for name in ("near", "far"):
        assert quality(SHORT, tmp_path / f"{name}.wav") >= 4.0
    assert not samples(tmp_path / "relay.wav").any()
    assert np.abs(samples(tmp_path / "again.wav")).max() > 300


@needs_speech
@pytest.mark.parametrize(("burst", "loss", "least"), [(1, 0.1, 4.0), (1, 0.2, 3.5), (3, 0.2, 2.8)])
def test_what_links_lose_is_hardly_heard(
    tmp_path: Path, burst: int, loss: float, least: float
) -> None:
    """A mean of three seeds: packets are lost at random, or in bursts (Gilbert-Elliott)."""
    clip, heard = at_48_khz(SHORT, tmp_path / "said.wav"), tmp_path / "heard.wav"
    with wave.open(str(clip)) as file:
        pcm = file.readframes(file.getnframes())
    frames = [pcm[at : at + 1_920] for at in range(0, len(pcm) - 1_919, 1_920)] + [SILENCE] * 20
    scores = []
    for seed in range(3):
        random, lost, key = Random(seed), False, Key().key
        sender = sender_of(key, 0.0, ssrc=1)
        receiver = SpurtReceiver(AES_GCM, key, lambda *_: None)
        with wave.open(str(heard), "wb") as file:
            file.setparams((1, 2, 48_000, 0, "NONE", ""))
            for index, frame in enumerate(frames):
                made = sender.frame(frame, index * FRAME_S)
                begins = loss / (1 - loss) / burst if burst > 1 else loss
                goes_on = 1 - 1 / burst if burst > 1 else loss
                lost = random.random() < (goes_on if lost else begins)
                if made is not None and not lost:
                    receiver.datagram(made.packet, index * FRAME_S + 0.001)
                file.writeframes(receiver.frame(index * FRAME_S + 0.01))
        scores.append(quality(SHORT, heard))
    assert np.mean(scores) >= least, scores


async def test_the_key_goes_from_one_to_the_other_and_the_microphone_back_to_the_call(
    tmp_path: Path,
) -> None:
    async with talkers(3) as (one, two, three):
        ports = [await side.station.open("call") for side in (one, two)]
        call = replace(
            started("call", ports[1]), play=tone_file(tmp_path / "call.wav", 700),
            record=str(tmp_path / "call-one.wav"),
        )  # fmt: skip
        answer = replace(
            swapped(call, ports[0]), play=silence_file(tmp_path / "silence.wav", 60.0),
            record=str(tmp_path / "call-two.wav"),
        )  # fmt: skip
        await one.station.client.send(call)
        await two.station.client.send(answer)
        # A second of the call's own sound, of which silence can be told.
        await two.station.events.first(StreamStats, lambda e: e.packets_received >= 50)
        for talker, frequency in ((one, 1_000), (two, 1_500)):
            await talker.set(play=tone_file(tmp_path / f"{frequency}.wav", frequency))
        await three.set(listening=True, record=str(tmp_path / "three.wav"))
        first, second = Key(), Key()
        await one.speak(first, three)
        await three.hear(first, one)
        await three.began(first, speaking=False)
        await passed(one, 50)
        # Two has something more important to say.
        await two.speak(second, three)
        await three.hear(second, two)
        await one.hear(second, two)
        await three.began(second, speaking=False)
        await two.station.events.first(TalkStats, lambda e: e.packets_out >= 50)
        # Figures come once a second: those of before may not count its last packets yet.
        since = await one.station.events.first(TalkStats, lambda e: e.spurt == second.spurt)
        said = since.packets_out
        calls = [event for event in one.station.events.all if isinstance(event, StreamStats)]
        again = calls[-1].packets_sent + 50
        await one.station.events.first(StreamStats, lambda e: e.packets_sent > again)
        assert one.stats().packets_out == said, "nothing more was sent to the group"
        assert one.stats().spurt == second.spurt
    parts = {hertz: strength(tmp_path / "three.wav", hertz) for hertz in (1_000, 1_500)}
    heard = {hertz: np.flatnonzero(part > 0.1) for hertz, part in parts.items()}
    assert len(heard[1_000]) > 40
    assert len(heard[1_500]) > 40
    assert 0 < heard[1_500][0] - heard[1_000][-1] < 10
    on_call = strength(tmp_path / "call-two.wav", 700) > 0.1
    changes = np.flatnonzero(np.diff(on_call.astype(int)))
    assert len(changes) == 3, "sound, silence for as long as One talked to the group, sound"
    assert 40 < changes[2] - changes[1] < 300


async def test_forged_repeated_and_many_packets_keep_nobody_from_hearing(tmp_path: Path) -> None:
    async with talkers(1) as (talker,):
        await talker.set(listening=True, record=str(tmp_path / "heard.wav"))
        key, tone = Key(), Tone("ringback")
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as child,
        ):
            upstream.bind((HOST, 0))
            child.bind((HOST, 0))
            child.setblocking(False)
            sender = sender_of(key.key, 1.0, ssrc=key.ssrc)
            forger = sender_of(Key().key, 1.0, ssrc=key.ssrc)
            await talker.set(
                spurt=key.spurt, suite=AES_GCM, key=key.key, ssrc=key.ssrc,
                upstream=TalkHop(HOST, HOST, upstream.getsockname()[1]),
                children=(TalkHop(HOST, HOST, child.getsockname()[1]),),
            )  # fmt: skip
            to, began = (HOST, talker.port), time.monotonic()
            for index in range(45):
                frame = tone.frame()
                made = sender.frame(frame, 1.0 + index * FRAME_S)
                forged = forger.frame(frame, 1.0 + index * FRAME_S)
                assert made is not None
                assert forged is not None
                for _ in range(2):
                    upstream.sendto(made.packet, to)
                upstream.sendto(forged.packet, to)
                for _ in range(300):
                    stranger.sendto(made.packet, to)
                # By the clock: what sending takes must not make the voice slower.
                await asyncio.sleep(began + (index + 1) * FRAME_S - time.monotonic())
            figures = await passed(talker, 135)
            # The last ones may wait to be played still when these figures are told.
            events = talker.station.events
            told = [*events.all]
            await events.first(TalkStats, lambda e: all(e is not old for old in told))
        assert figures.packets_in == 135, "the kernel keeps strangers out"
        assert 90 <= figures.rejected <= 90 + MAX_LEFT
        assert figures.forwarded == 45
        assert figures.loss_pct == 0.0
        await talker.began(key, speaking=False)
    assert (strength(tmp_path / "heard.wav", 450) > 0.1).sum() >= 40


async def test_a_process_that_dies_while_we_speak_goes_on_under_the_same_key(
    tmp_path: Path,
) -> None:
    async with talkers(2) as (one, two):
        await two.set(listening=True, record=str(tmp_path / "heard.wav"))
        await one.set(play=tone_file(tmp_path / "said.wav", 1_000))
        key = Key()
        await one.speak(key, two)
        await two.hear(key, one)
        await two.began(key, speaking=False)
        await passed(two, 20)
        assert one.station.client.pid is not None
        os.kill(one.station.client.pid, signal.SIGKILL)
        await one.station.events.first(MediaReady)
        again = await Talker.open(one.station, after=one.port)
        again.wanted = one.wanted
        await again.speak(key, two)
        before = (await passed(two, 20)).packets_in
        await two.hear(key, again)
        figures = await passed(two, before + 50)
        assert figures.rejected == 0
    assert (strength(tmp_path / "heard.wav", 1_000) > 0.1).sum() > 60


async def test_what_can_not_be_is_said_and_nothing_breaks() -> None:
    async with talkers(1) as (talker,):
        client, key = talker.station.client, Key()
        await client.send(SetTalk("another", key.spurt))
        await client.send(ReplayTalk("another"))
        await talker.failed("not open")
        await client.send(ReplayTalk("all"))
        state = await talker.station.events.first(TalkReplayState, lambda e: e.talk == "all")
        assert "2 minutes" in state.detail
        await client.send(TalkTone("talk-busy"))
        await client.send(TalkTone("no such tone"))
        await talker.set(spurt=key.spurt, suite="ROT13", key=key.key, listening=True)
        await talker.failed("encrypted")
        for hop, word in (
            (TalkHop(HOST, HOST, 0), "port"), (TalkHop("127.0.0.9", HOST, 9), "no socket"),
            (TalkHop(HOST, "example.org", 9), "example.org"), (TalkHop(HOST, "::1", 9), "kind"),
        ):  # fmt: skip
            await talker.set(spurt=Key().spurt, key=None, children=(hop,) * 40)
            await talker.failed(word)
        await talker.set(spurt=Key().spurt, children=())
        await talker.set(play="/no/where.wav", record="/no/where.wav")
        await talker.failed("opened")
        await talker.failed("written")
        told = [e for e in talker.station.events.all if isinstance(e, TalkFailed)]
        assert len(told) == 8, "each thing is said once"
        await talker.set(spurt=None, play=None, record=None)
        await client.send(CloseTalk("all"))
        await Talker.open(talker.station, after=talker.port)
