"""Commands and events of the voice process: what is written is read back, garbage is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typed_samples import any_of

from appliance.model.media import MediaCommand, MediaEvent, SoundProblem, StopStream
from appliance.model.note import NoteEnd
from appliance.model.secret import Secret
from appliance.model.sound_device import DeviceList, SoundDevice
from appliance.protocol.media_wire import (
    MAX_TEXT,
    MediaWireError,
    decode_command,
    decode_event,
    encode,
)

OWN = {
    Secret: st.binary(min_size=1, max_size=64).map(Secret),
    SoundProblem: st.sampled_from(SoundProblem),
    NoteEnd: st.sampled_from(NoteEnd),
}
COMMANDS = any_of(MediaCommand, OWN)
EVENTS = any_of(MediaEvent, OWN)


@given(COMMANDS)
def test_commands_come_back(command: MediaCommand) -> None:
    assert decode_command(encode(command)) == command


@given(EVENTS)
def test_events_come_back(event: MediaEvent) -> None:
    assert decode_event(encode(event)) == event


@given(COMMANDS, st.data())
def test_damage_is_refused_or_harmless(command: MediaCommand, data: st.DataObject) -> None:
    damaged = bytearray(encode(command))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MediaWireError):
        decode_command(bytes(damaged))


@given(st.binary(max_size=64))
def test_garbage_is_refused(data: bytes) -> None:
    for decode in (decode_command, decode_event):
        with pytest.raises(MediaWireError):
            decode(data)


def test_an_event_is_no_command() -> None:
    with pytest.raises(MediaWireError):
        decode_command(encode(DeviceList((SoundDevice("card", 1, 2),), None, "card")))


def test_a_text_too_long_is_refused() -> None:
    with pytest.raises(MediaWireError):
        decode_command(encode(StopStream("x" * (MAX_TEXT + 1))))
