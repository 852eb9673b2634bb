"""A call changes its packets, its rate or its delay while somebody speaks: no gap and no click.

Both halves of a voice process with the real codec, in virtual time.  Prints what was measured:
`pytest -s tests/sound/test_call_changes.py`.
"""

from __future__ import annotations

import heapq
import wave
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from speech import LONG, at_48_khz, needs_speech, quality

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.effort import COMPLEXITY
from appliance.media.receiver import Receiver
from appliance.media.sender import Sender
from appliance.protocol.adaptation import Decision, Reason
from appliance.protocol.opus_packet import CLOCK_HZ, Bandwidth
from appliance.protocol.playing import FRAME, FRAME_S

Sound = NDArray[np.float64]
Plan = dict[int, Decision]
"""From which frame on it is sent how."""

SECOND = round(1 / FRAME_S)
PATH_S = 0.005
BEAT_S = 0.013
"""The listener's beats against the speaker's."""

BEGIN_S = 2.0
"""Of a tone, until codec and buffer have settled."""


def sent(
    frame_ms: int, bitrate: int = 32_000, bandwidth: Bandwidth = Bandwidth.FULLBAND
) -> Decision:
    return Decision(bitrate, frame_ms, (), 0, bandwidth, dtx=False, reason=Reason.CLEAN)


class _Told(Sender):
    """Sends as it is told."""

    told = sent(20)

    @property
    def decision(self) -> Decision:
        return self.told


def heard(
    said: Sound, plan: Plan, delay_s: Callable[[float], float] = lambda at: PATH_S
) -> tuple[Sound, Receiver]:
    """What becomes of sound, with a path whose delay is given by when a packet leaves."""
    key = new_key(AES_GCM)
    sender, receiver = _Told(AES_GCM, key, 96), Receiver(AES_GCM, key, 96)
    sender.set_complexity(COMPLEXITY)
    way: list[tuple[float, bytes]] = []
    frames = []
    for number in range(len(said) // FRAME):
        now = (number + 1) * FRAME_S
        sender.told = plan.get(number, sender.told)
        pcm = said[number * FRAME : (number + 1) * FRAME].astype("<i2").tobytes()
        packet = sender.frame(pcm, now)
        if packet is not None:
            heapq.heappush(way, (now + delay_s(now), packet))
        while way and way[0][0] <= now + BEAT_S:
            came, packet = heapq.heappop(way)
            receiver.datagram(packet, came)
        frames.append(receiver.frame(now + BEAT_S))
    assert receiver.rejected == 0
    return np.frombuffer(b"".join(frames), dtype="<i2").astype(float), receiver


def vowel(pitch_hz: float, seconds: float) -> Sound:
    """Harmonics like those of a voice, without a pause."""
    at = 2 * np.pi * pitch_hz * np.arange(round(seconds * CLOCK_HZ)) / CLOCK_HZ
    return np.trunc(sum(9_000 / part * np.sin(part * at + part) for part in range(1, 12)))


def largest_step(sound: Sound) -> float:
    return float(np.abs(np.diff(sound)).max())


def softest(sound: Sound) -> float:
    """The level of the softest 20 ms against the one in the middle."""
    size = CLOCK_HZ // 50
    whole = sound[: len(sound) // size * size].reshape(-1, size)
    levels = np.sqrt((whole**2).mean(axis=1))
    return float(levels.min() / np.median(levels))


LENGTHS: Plan = {
    3 * SECOND: sent(60),
    6 * SECOND: sent(120),
    9 * SECOND: sent(20),
}
RATES: Plan = {
    0: sent(20, 64_000),
    3 * SECOND: sent(20, 11_000, Bandwidth.WIDEBAND),
    6 * SECOND: sent(20, 40_000),
    9 * SECOND: sent(20, 12_000, Bandwidth.NARROWBAND),
    11 * SECOND: sent(20),
}


def _slower_for_a_while(at: float) -> float:
    return 0.085 if 3.0 < at < 5.0 else PATH_S


@pytest.mark.parametrize("pitch_hz", [95, 120, 210])
@pytest.mark.parametrize("change", ["length", "rate", "delay"])
def test_a_voice_that_goes_on_has_no_gap_and_no_click(change: str, pitch_hz: int) -> None:
    # Where there is no pause, delay that is needed no more goes after 12 s.
    said = vowel(pitch_hz, 13.0 if change == "rate" else 26.0)
    if change == "delay":
        sound, receiver = heard(said, {}, _slower_for_a_while)
    else:
        sound, receiver = heard(said, LENGTHS if change == "length" else RATES)
    if change != "rate":
        assert receiver.figures.concealed >= 3, "the delay grew"
        assert receiver.stretched > 2 * CLOCK_HZ // pitch_hz, "and shrank, by periods of the voice"
    settled = sound[round(BEGIN_S * CLOCK_HZ) :]
    step = largest_step(settled) / largest_step(said)
    level = softest(settled)
    print(f"{change} {pitch_hz} Hz: largest step {step:.2f}, softest 20 ms {level:.2f}")
    assert step < 1.2
    assert level > 0.1, "nothing is as good as silent"


def test_nothing_is_heard_beside_a_voice_of_which_periods_are_left_out() -> None:
    """What is not at its harmonics is as little as in the seconds before."""
    sound, receiver = heard(vowel(120, 26.0), {}, _slower_for_a_while)
    assert receiver.stretched > CLOCK_HZ // 120
    before = _beside(sound[10 * CLOCK_HZ : 15 * CLOCK_HZ], 120)
    worst = _beside(sound[16 * CLOCK_HZ : 25 * CLOCK_HZ], 120)
    print(f"beside the harmonics: {before:.1f} dB before, {worst:.1f} dB at worst")
    assert worst < before + 3.0


def _beside(sound: Sound, pitch_hz: int) -> float:
    """The most in any 0.1 s that is not within 50 Hz of a harmonic, against what is; dB."""
    size = CLOCK_HZ // 10
    hz = np.fft.rfftfreq(size, 1 / CLOCK_HZ)
    off = np.abs((hz + pitch_hz / 2) % pitch_hz - pitch_hz / 2) > 50
    spectra = [
        np.abs(np.fft.rfft(sound[begin : begin + size] * np.blackman(size))) ** 2
        for begin in range(0, len(sound) - size, size // 2)
    ]
    return float(max(10 * np.log10(one[off].sum() / one[~off].sum()) for one in spectra))


def _slower_at_once(at: float) -> float:
    return 0.085 if at > 3.0 else PATH_S


SPOKEN: dict[str, tuple[Plan, Callable[[float], float], float]] = {
    "as it is": ({}, lambda at: PATH_S, 4.3),
    "length": (
        {100: sent(60), 190: sent(120), 280: sent(20)},
        lambda at: PATH_S,
        3.5,
    ),
    "rate": (
        {0: sent(20, 64_000), 130: sent(20, 11_000, Bandwidth.WIDEBAND), 240: sent(20, 40_000)},
        lambda at: PATH_S,
        3.6,
    ),
    "bandwidth": (
        {130: sent(20, 12_000, Bandwidth.NARROWBAND), 240: sent(20)},
        lambda at: PATH_S,
        3.6,
    ),
    "delay": ({}, _slower_at_once, 3.4),
}
"""What changes in the clip of 7 s, and the PESQ that it has at least."""


@needs_speech
@pytest.mark.parametrize("change", SPOKEN)
def test_speech_stays_good_over_a_change(change: str, tmp_path: Path) -> None:
    plan, delay_s, least = SPOKEN[change]
    with wave.open(str(at_48_khz(LONG, tmp_path / "said.wav"))) as file:
        said = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)
    sound, _ = heard(np.concatenate([said, np.zeros(CLOCK_HZ)]), plan, delay_s)
    with wave.open(str(tmp_path / "heard.wav"), "wb") as file:
        file.setparams((1, 2, CLOCK_HZ, 0, "NONE", ""))
        file.writeframes(array("h", sound.astype(int).tolist()).tobytes())
    found = quality(LONG, tmp_path / "heard.wav")
    print(f"{change}: PESQ-WB {found:.2f}")
    assert found >= least
