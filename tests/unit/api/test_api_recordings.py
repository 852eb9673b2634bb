"""Voice messages over the local API: what clients ask is what the daemon hears, and back."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

import pytest
from memory_backend import MemoryBackend

from appliance.api.client import Client, RequestError, event_data
from appliance.api.recordings import NewRecording, StartPlayback


async def test_a_voice_message_is_recorded_and_played(
    client: Client, backend: MemoryBackend
) -> None:
    memory = backend.memory_recordings
    begun = await client.start_recording(max_s=60.0, play="/tmp/said.wav")
    assert memory.asked == [NewRecording(60.0, "/tmp/said.wav")]
    assert await client.recordings() == (begun,)
    ready = await client.stop_recording(begun.id)
    assert (ready.state, ready.duration_ms) == ("ready", 1_500)
    assert await client.recording(begun.id) == ready
    assert await client.recording_sound(begun.id) == b"OggS\xff\x00"
    start = StartPlayback(recording=begun.id, from_ms=20)
    played = await client.play(start)
    assert memory.asked[-1] == start
    assert (await client.pause_playback(paused=True)).state == "paused"
    assert await client.playback() == replace(played, state="paused")
    assert (await client.stop_playback()).ended == "done"
    await client.cancel_recording(begun.id)
    with pytest.raises(RequestError) as caught:
        await client.recording_sound(begun.id)
    assert (caught.value.status, caught.value.code) == (404, "unknown-recording")


async def test_levels_and_positions_are_events(client: Client, backend: MemoryBackend) -> None:
    async with aclosing(client.events()) as events:
        assert (await anext(events)).type == "reset"
        begun = await client.start_recording()
        assert event_data(await anext(events)) == begun
        louder = backend.memory_recordings.push_recording(replace(begun, level_db=-12.5))
        assert event_data(await anext(events)) == louder
        played = await client.play(StartPlayback(message="0" * 64, attachment=1))
        assert event_data(await anext(events)) == played


async def test_what_makes_no_sense_is_refused(client: Client) -> None:
    for start in (
        StartPlayback(),
        StartPlayback(recording="a", message="b"),
        StartPlayback(recording="a", from_ms=-1),
        StartPlayback(recording="a", record="heard.wav"),
    ):
        with pytest.raises(RequestError) as caught:
            await client.play(start)
        assert caught.value.code == "bad-request"
    with pytest.raises(RequestError, match="at most 300"):
        await client.start_recording(max_s=301)
    with pytest.raises(RequestError, match="whole path"):
        await client.start_recording(play="said.wav")
    with pytest.raises(RequestError, match="Nothing was played"):
        await client.playback()
