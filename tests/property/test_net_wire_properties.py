"""Commands and events of the network helper: what is written is read back, garbage is refused."""

from __future__ import annotations

import contextlib
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.model.net import LinkKind, NetCommand, NetEvent
from appliance.protocol.net_wire import NetWireError, decode_command, decode_event, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(1 << 53), 1 << 53),
    float: st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15),
    bool: st.booleans(),
    bytes: st.binary(min_size=32, max_size=32),
    LinkKind: st.sampled_from(LinkKind),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    if hint in SIMPLE:
        return SIMPLE[hint]
    if get_origin(hint) in (Union, types.UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not type(None))
        return st.none() | values(inner)
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is ...:
            return st.lists(values(kinds[0]), max_size=3).map(tuple)
        return st.tuples(*map(values, kinds))
    return messages(hint)


def messages(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: values(hint) for name, hint in hints.items()})


COMMANDS = st.one_of([messages(kind) for kind in get_args(NetCommand)])
EVENTS = st.one_of([messages(kind) for kind in get_args(NetEvent)])


@given(COMMANDS)
def test_commands_come_back(command: NetCommand) -> None:
    assert decode_command(encode(command)) == command


@given(EVENTS)
@settings(max_examples=50)
def test_events_come_back(event: NetEvent) -> None:
    assert decode_event(encode(event)) == event


@given(st.one_of(COMMANDS, EVENTS), st.data())
@settings(max_examples=50)
def test_damage_is_refused_or_harmless(message: Any, data: st.DataObject) -> None:
    damaged = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for decode in (decode_command, decode_event):
        with contextlib.suppress(NetWireError):
            decode(bytes(damaged))


@given(st.binary(max_size=64))
def test_garbage_is_refused(data: bytes) -> None:
    for decode in (decode_command, decode_event):
        with pytest.raises(NetWireError):
            decode(data)
