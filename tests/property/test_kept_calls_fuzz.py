"""The note of answered calls: what is written is read back, and nothing else raises."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from typed_samples import any_of

from appliance.model.kept_call import KeptCalls
from appliance.protocol.kept_calls import KeptCallsError, decode, encode

NOTES = any_of(KeptCalls | None, {}).filter(lambda one: isinstance(one, KeptCalls))


@settings(max_examples=15)
@given(NOTES)
def test_notes_come_back(note: KeptCalls) -> None:
    assert decode(encode(note)) == note


@settings(max_examples=15)
@given(NOTES, st.data())
def test_broken_notes_raise_their_error_alone(note: KeptCalls, data: st.DataObject) -> None:
    good = bytearray(encode(note))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(KeptCallsError):
        decode(bytes(good[: data.draw(st.integers(0, len(good)))]))


@given(st.binary(max_size=200))
def test_anything_raises_the_error_alone(data: bytes) -> None:
    with contextlib.suppress(KeptCallsError):
        decode(data)
