"""Commands and events of the network helper: what is written is read back, garbage is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typed_samples import any_of

from appliance.model.net import LinkKind, NetCommand, NetEvent
from appliance.protocol.net_wire import NetWireError, decode_command, decode_event, encode

OWN = {
    bytes: st.binary(min_size=32, max_size=32),
    LinkKind: st.sampled_from(LinkKind),
}
COMMANDS = any_of(NetCommand, OWN)
EVENTS = any_of(NetEvent, OWN)


@given(COMMANDS)
def test_commands_come_back(command: NetCommand) -> None:
    assert decode_command(encode(command)) == command


@given(EVENTS)
@settings(max_examples=50)
def test_events_come_back(event: NetEvent) -> None:
    assert decode_event(encode(event)) == event


@given(st.one_of(COMMANDS, EVENTS), st.data())
@settings(max_examples=50)
def test_damage_is_refused_or_harmless(message: NetCommand | NetEvent, data: st.DataObject) -> None:
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
