"""Commands and events of the voice process: what is written is read back, garbage is refused."""

from __future__ import annotations

import contextlib
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.media import (
    DeviceList,
    MediaCommand,
    MediaEvent,
    SoundDevice,
    SoundProblem,
    StopStream,
)
from appliance.model.secret import Secret
from appliance.protocol.media_wire import (
    MAX_TEXT,
    MediaWireError,
    decode_command,
    decode_event,
    encode,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(1 << 53), 1 << 53),
    float: st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15),
    bool: st.booleans(),
    Secret: st.binary(min_size=1, max_size=64).map(Secret),
    SoundProblem: st.sampled_from(SoundProblem),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    if hint in SIMPLE:
        return SIMPLE[hint]
    if get_origin(hint) in (Union, types.UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not type(None))
        return st.none() | values(inner)
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=5).map(tuple)
    return messages(hint)


def messages(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hint) for name, hint in hints.items()})


COMMANDS = st.one_of([messages(kind) for kind in get_args(MediaCommand)])
EVENTS = st.one_of([messages(kind) for kind in get_args(MediaEvent)])


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
