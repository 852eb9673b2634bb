"""The jitter buffer, whatever comes: it never fails, holds little, and plays no sample twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol.jitter import Copy, JitterBuffer
from appliance.protocol.opus_packet import CLOCK_HZ, MAX_SAMPLES, has_fec
from appliance.protocol.playing import FRAME, FRAME_S, Play, Wait
from appliance.protocol.playout import MAX_TARGET_S
from appliance.protocol.rtp import RtpPacket
from appliance.protocol.shelf import MAX_HELD

U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
LENGTHS = st.sampled_from([120, 480, 960, 1_920, 2_880, 5_760])
COPIES = st.lists(
    st.builds(Copy, offset=st.integers(-10, 16_383), payload=st.just(b"copy"), samples=LENGTHS),
    max_size=4,
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 1, 1, 2]), U16, U32, LENGTHS, st.floats(0, 3), st.booleans(), COPIES
        ),
        max_size=80,
    )
)
def test_no_packets_break_it(
    steps: list[tuple[int, int, int, int, float, bool, list[Copy]]],
) -> None:
    buffer, now = JitterBuffer(), 0.0
    for ssrc, sequence, timestamp, samples, wait_s, near, copies in steps:
        now += wait_s
        if near:
            sequence, timestamp = sequence % 40, timestamp % 40 * 480
        packet = RtpPacket(96, sequence, timestamp, ssrc, b"voice", marker=near)
        buffer.push(packet, samples=samples, now=now, copies=copies)
        action = buffer.pull(now, ahead=sequence % FRAME, quiet=near)
        assert 0 < action.samples <= MAX_SAMPLES
        assert buffer.buffered_s <= MAX_HELD * MAX_SAMPLES / CLOCK_HZ
        assert 0 < buffer.target_s <= MAX_TARGET_S
    for _ in range(MAX_HELD * 12 + 30 * 50):
        now += FRAME_S
        if isinstance(buffer.pull(now), Wait) and not buffer.buffered_s:
            break
    assert buffer.buffered_s == 0, "what is in it comes out"


@given(st.data())
def test_whatever_the_order_each_sound_is_played_once_and_in_time(draw: st.DataObject) -> None:
    """Packets of one source, delayed, doubled, lost and copied at will."""
    length = draw.draw(LENGTHS)
    offset = draw.draw(U32)
    fates = draw.draw(
        st.lists(st.tuples(st.floats(0, 0.4), st.integers(0, 2), st.integers(0, 4)), max_size=60)
    )
    arrivals = sorted(
        (number * length / CLOCK_HZ + late_s + 0.1 * again, number, back)
        for number, (late_s, times, back) in enumerate(fates)
        for again in range(times)
    )
    buffer, ahead, played = JitterBuffer(), 0, []
    for tick in range(len(fates) * length // FRAME + 60):
        now = tick * FRAME_S
        while arrivals and arrivals[0][0] <= now:
            at, number, back = arrivals.pop(0)
            copy = Copy(back * length, (number - back).to_bytes(4, "big", signed=True), length)
            packet = RtpPacket(
                96,
                (65_530 + number) & 0xFFFF,
                (offset + number * length) & 0xFFFF_FFFF,
                5,
                number.to_bytes(4, "big"),
            )
            buffer.push(packet, samples=length, now=at, copies=[copy])
        while ahead < FRAME:
            action = buffer.pull(now, ahead=ahead, quiet=tick % 3 == 0)
            ahead += action.samples
            if isinstance(action, Play):
                played.append(int.from_bytes(action.payload, "big", signed=True))
        ahead -= FRAME
    assert played == sorted(set(played)), "in order and once"


@given(st.binary(max_size=60))
def test_any_bytes_can_be_asked_for_fec(data: bytes) -> None:
    assert has_fec(data) in (True, False)
