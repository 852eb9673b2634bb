"""What was made up before it was known that it is lost: no second time, and no lasting delay."""

from __future__ import annotations

import pytest
from jitter_world import FEC_PACKET, Speaker, number_of, packet, simulate

from appliance.protocol.jitter import JitterBuffer
from appliance.protocol.playing import FRAME, FRAME_S, Conceal, Play
from appliance.protocol.rtp import RtpPacket


@pytest.mark.parametrize("before", [b"", bytes(20)])
def test_a_burst_that_begins_in_a_silence_or_in_speech_costs_its_own_time(before: bytes) -> None:
    """The packet before it is one that keeps a silence alive, or speech; nobody pauses after it."""
    buffer, heard, made_up = JitterBuffer(), list[int](), 0
    lost = range(50, 58)
    for tick in range(200):
        if tick not in lost:
            voice = packet(tick)
            if tick == lost.start - 1:
                voice = RtpPacket(96, voice.sequence_number, voice.timestamp, 7, before)
            buffer.push(voice, samples=FRAME, now=(tick + 1) * FRAME_S)
        action = buffer.pull((tick + 1) * FRAME_S + 0.01)
        if isinstance(action, Play) and action.payload != before:
            heard.append(number_of(action.payload))
        made_up += isinstance(action, Conceal)
    assert set(range(58, 197)) <= set(heard)
    assert made_up <= len(lost) + 1
    assert buffer.delay_s < 0.045


def test_what_was_late_is_spliced_to_what_was_made_up_for_it_and_what_follows_a_loss_is_not() -> (
    None
):
    late = simulate(200, Speaker(lambda number: 0.085 if number >= 100 else 0.005))
    spliced = [a for a in late.actions if isinstance(a, Play) and a.splice]
    assert [number_of(action.payload) for action in spliced] == [0, 100]
    gone = simulate(200, Speaker(lambda number: None if 100 <= number < 103 else 0.005))
    spliced = [a for a in gone.actions if isinstance(a, Play) and a.splice]
    assert [number_of(action.payload) for action in spliced] == [0]
    assert spliced[0].payload.startswith(FEC_PACKET)
