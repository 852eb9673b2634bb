"""WAV files of all kinds come out as 48 kHz; what is recorded can always be read."""

from __future__ import annotations

import math
import random
import struct
import wave
from array import array
from pathlib import Path

import pytest

from appliance.adapters import speex
from appliance.adapters.wavfile import (
    FRAME_BYTES,
    WavError,
    WavWriter,
    open_to_play,
    open_to_record,
    read_frames,
)


def sine(rate: int, frequency: int, seconds: float) -> list[float]:
    return [
        0.3 * math.sin(2 * math.pi * frequency * index / rate)
        for index in range(int(rate * seconds))
    ]


def write(path: Path, values: list[float], *, rate: int, bits: int, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        data = bytearray()
        for value in values:
            number = round(value * (2 ** (bits - 1) - 1)) + (128 if bits == 8 else 0)
            sample = number.to_bytes(bits // 8, "little", signed=bits != 8)
            data += sample * channels
        file.writeframes(bytes(data))


def noise_db(heard: array[int], frequency: int) -> float:
    """Distance between what was heard and a perfect sine, against the sine, without the edges."""
    perfect = sine(48_000, frequency, len(heard) / 48_000)
    pairs = list(zip(heard, perfect, strict=False))[2_000:-2_000]
    error = sum((value / 32_767 - ideal) ** 2 for value, ideal in pairs)
    power = sum(ideal**2 for _, ideal in pairs)
    return 10 * math.log10(error / power)


@pytest.fixture(params=["with libspeexdsp", "without"])
def _by_both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without":
        monkeypatch.setattr(speex, "LIBRARY", "libmissing.so")
        speex._library.cache_clear()
    else:
        assert speex.is_there()


@pytest.mark.usefixtures("_by_both")
@pytest.mark.parametrize(
    ("rate", "bits", "channels", "noise"),
    [(8_000, 16, 1, -70), (16_000, 24, 1, -70), (44_100, 16, 2, -70), (11_025, 8, 1, -30),
     (96_000, 32, 1, -70), (48_000, 16, 2, -70)],
)  # fmt: skip
def test_any_sane_format_becomes_48_khz(
    tmp_path: Path, rate: int, bits: int, channels: int, noise: float
) -> None:
    path = tmp_path / "any.wav"
    write(path, sine(rate, 440, 0.5), rate=rate, bits=bits, channels=channels)
    frames = list(read_frames(open_to_play(path)))
    assert {len(frame) for frame in frames} == {FRAME_BYTES}
    assert len(frames) == 25
    assert noise_db(array("h", b"".join(frames)), 440) < noise


@pytest.mark.usefixtures("_by_both")
def test_what_48_khz_can_not_hold_is_filtered_out(tmp_path: Path) -> None:
    path = tmp_path / "high.wav"
    write(path, sine(96_000, 30_000, 0.2), rate=96_000, bits=16)
    heard = array("h", b"".join(read_frames(open_to_play(path))))
    assert max(map(abs, heard[1_000:-1_000])) < 30


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"OggS" * 20,
     b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd",
     b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 3, 1, 48_000, 0, 4, 32)
     + b"data\0\0\0\0",
     b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 6, 48_000, 0, 12, 16)
     + b"data\0\0\0\0",
     b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 1, 0, 2, 16)
     + b"data\0\0\0\0"],
)  # fmt: skip
def test_other_files_are_refused_with_a_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.wav"
    path.write_bytes(data)
    with pytest.raises(WavError, match=r"\.$"):
        list(read_frames(open_to_play(path)))


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.wav"):
        with pytest.raises(WavError):
            list(read_frames(open_to_play(path)))


def test_damaged_files_are_sound_or_refused(tmp_path: Path) -> None:
    path, rng = tmp_path / "damaged.wav", random.Random(5)
    write(path, sine(8_000, 440, 0.02), rate=8_000, bits=16)
    whole = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(whole[: rng.randint(0, len(whole))])
        for _ in range(min(len(damaged), 3)):
            damaged[rng.randrange(min(len(damaged), 60))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            assert all(len(frame) == FRAME_BYTES for frame in read_frames(open_to_play(path)))
        except WavError:
            continue


def test_a_recording_is_valid_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "recording.wav"
    writer = WavWriter(open_to_record(path))
    for count in (0, 1, 2):
        writer.sync()
        with wave.open(str(path)) as file:
            assert file.getnframes() == count * 960
        writer.write(bytes(FRAME_BYTES))
    writer.close()
    assert len(list(read_frames(open_to_play(path)))) == 3


def test_a_full_disk_is_an_error() -> None:
    with pytest.raises(OSError, match="space"):
        WavWriter(open_to_record(Path("/dev/full")))
