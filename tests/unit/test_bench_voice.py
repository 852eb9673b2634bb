"""What the bench of speech stands on: traces that repeat and lose what they say, fair scores."""

from __future__ import annotations

import struct
from itertools import groupby

import numpy as np
import pytest
from _clips import Script, Sound
from _offline import World
from _scores import LOWEST_PESQ, find, intelligibility, quality
from _traces import ROWS, Trace, row
from _voice_relay import datagram, payload_bytes

LONG = 40_000


def kept(trace: Trace, count: int = LONG) -> list[float | None]:
    return [trace.sound(number * 0.02) for number in range(count)]


def test_a_trace_repeats_by_its_seed_whoever_reports_how_often() -> None:
    quiet, chatty = Trace(row("burst20"), 7), Trace(row("burst20"), 7)
    alone = kept(quiet, 500)
    beside = []
    for number in range(500):
        chatty.report(number * 0.02 - 0.001)
        beside.append(chatty.sound(number * 0.02))
    assert alone == beside
    assert alone != kept(Trace(row("burst20"), 8), 500)
    assert alone != kept(Trace(row("burst20"), 7, back=True), 500)


@pytest.mark.parametrize("name", [one.name for one in ROWS])
def test_a_trace_loses_as_much_and_in_such_bursts_as_its_row_says(name: str) -> None:
    kind = row(name)
    trace = Trace(kind, 1)
    fates = kept(trace)
    assert trace.lost / trace.packets == pytest.approx(kind.loss, abs=0.015)
    runs = [len(list(same)) for lost, same in groupby(f is None for f in fates) if lost]
    if kind.burst:
        assert np.mean(runs) == pytest.approx(kind.burst, rel=0.1)
    delays = [fate for fate in fates if fate is not None]
    assert max(delays) <= kind.jitter_s
    assert np.mean(delays) == pytest.approx(kind.jitter_s / 2, abs=0.001)


def test_a_link_does_not_stay_bad_for_as_long_as_somebody_is_silent() -> None:
    trace = Trace(row("burst20"), 3)
    fates = [trace.sound(number * 0.4) for number in range(LONG // 10)]
    runs = [len(list(same)) for lost, same in groupby(f is None for f in fates) if lost]
    assert trace.lost / trace.packets == pytest.approx(0.2, abs=0.03)
    assert np.mean(runs) < 1.5
    quiet = Trace(row("burst20"), 3)
    while quiet.sound(0.0) is not None:
        pass
    heard = [quiet.report(number * 1.0) is not None for number in range(1, 200)]
    assert 0.7 < np.mean(heard) < 0.9


def test_a_row_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"random5.*drift"):
        row("rain")


def speech() -> Sound:
    """Noise whose loudness goes up and down as that of syllables does."""
    noise = np.random.default_rng(1).normal(size=2 * 16_000)
    syllables = np.sin(np.arange(len(noise)) * 4 * np.pi / 16_000) ** 2
    return np.asarray(2_000 * noise * syllables)


def test_intelligibility_is_whole_for_the_same_and_little_for_something_else() -> None:
    said = speech()
    assert intelligibility(said, said / 3) == pytest.approx(1.0, abs=1e-6)
    other = np.random.default_rng(2).normal(size=len(said)) * 1_000
    worse = intelligibility(said, said + 2 * other)
    assert intelligibility(said, other) < worse < 1
    holes = said.copy()
    holes[8_000:12_000] = 0
    assert intelligibility(said, holes) < 0.98


def test_where_a_clip_was_heard_is_found_and_silence_is_the_worst_score() -> None:
    said = speech()
    heard = np.concatenate([np.zeros(777), said * 0.5, np.zeros(4_000)])
    assert find(said, heard) == 777
    assert quality(said, np.zeros(len(said))) == LOWEST_PESQ


def test_a_call_in_virtual_time_repeats_by_its_seed() -> None:
    said = Script(speech(), clips=())
    heard = []
    for seed in (1, 1, 2):
        world = World(row("jitter80"), seed, said)
        result = world.run()
        assert result.scores == []
        heard.append((result, world.log))
    assert heard[0] == heard[1]
    assert heard[0] != heard[2]
    assert max(event.level_out_db for _, event in world.stats(1)) > -30


VOICE = bytes.fromhex("80 60 0001 00000002 00000003") + b"sound"
WITH_EXTENSION = (
    bytes.fromhex("92 60 0001 00000002 00000003 0000000400000005 bede0001 01020304") + b"so"
)


def ethernet(kind: int, packet: bytes) -> memoryview:
    return memoryview(bytes(12) + struct.pack("!H", kind) + packet)


def udp(data: bytes) -> bytes:
    return struct.pack("!HHHH", 5004, 5006, 8 + len(data), 0) + data


def ipv4(data: bytes, options: bytes = b"") -> bytes:
    head = 0x40 | (5 + len(options) // 4)
    size = 20 + len(options) + len(data)
    return struct.pack("!BBHHHBBHII", head, 0, size, 0, 0, 64, 17, 0, 1, 2) + options + data


def ipv6(data: bytes, header: int = 17) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(data), header, 64) + bytes(32) + data


def test_the_relay_finds_what_datagrams_carry_and_nothing_in_other_frames() -> None:
    padding = bytes(9)  # short frames are filled up by some ports
    for frame in (
        ethernet(0x0800, ipv4(udp(VOICE)) + padding),
        ethernet(0x0800, ipv4(udp(VOICE), bytes(8)) + padding),
        ethernet(0x86DD, ipv6(udp(VOICE)) + padding),
    ):
        found = datagram(frame)
        assert found is not None
        assert bytes(found) == VOICE
        for size in range(len(frame)):
            cut = datagram(frame[:size])
            assert cut is None or VOICE.startswith(bytes(cut))
    for other in (
        ethernet(0x0806, ipv4(udp(VOICE))),
        ethernet(0x86DD, ipv6(udp(VOICE), header=6)),
    ):
        assert datagram(other) is None


def test_the_relay_counts_sound_without_headers() -> None:
    assert payload_bytes(memoryview(VOICE)) == 5
    assert payload_bytes(memoryview(WITH_EXTENSION)) == 2
    assert payload_bytes(memoryview(WITH_EXTENSION[:20])) == 0
