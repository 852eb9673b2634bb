"""Voice messages as files: what is written is heard, by others too; what others wrote is read."""

from __future__ import annotations

import io
import math
import os
import shutil
import subprocess
import wave
from array import array
from pathlib import Path

import pytest
from speech import LONG, at_48_khz, needs_speech, quality

from appliance.adapters.ogg import MAX_PAGE_BYTES, Page, lacing_of, parse_page, read_pages
from appliance.adapters.oggopus import (
    BITRATE,
    MAX_SECONDS,
    OggOpusError,
    OggOpusWriter,
    OpusHead,
    Summary,
    examine,
    read_frames,
)
from appliance.adapters.opus import OpusEncoder
from appliance.media.pcm import FRAME_BYTES, level_db

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def tone(number: int, frequency: int = 300) -> bytes:
    """The 20 ms with that number of a lasting tone."""
    values = (
        round(9_000 * math.sin(2 * math.pi * frequency * index / 48_000))
        for index in range(number * 960, number * 960 + 960)
    )
    return array("h", values).tobytes()


def write(path: Path, frames: list[bytes]) -> bytes:
    writer = OggOpusWriter(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for frame in frames:
        writer.write(frame)
    writer.close()
    return path.read_bytes()


def read(path: Path, from_ms: int = 0) -> bytes:
    return b"".join(read_frames(os.open(path, os.O_RDONLY), from_ms=from_ms))


def as_wav(pcm: bytes, path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(pcm)
    return path


@needs_speech
def test_speech_is_heard_again(tmp_path: Path) -> None:
    with wave.open(str(at_48_khz(LONG, tmp_path / "said.wav"))) as file:
        said = file.readframes(file.getnframes())
    frames = [said[at : at + FRAME_BYTES] for at in range(0, len(said), FRAME_BYTES)]
    note = tmp_path / "note.opus"
    data = write(note, frames)
    assert len(data) * 8 / (len(said) / 96_000) < 1.06 * BITRATE
    heard = read(note)
    assert len(heard) == len(said)
    assert quality(LONG, as_wav(heard, tmp_path / "heard.wav")) > 4.1


@needs_ffmpeg
def test_other_programs_play_ours_and_we_play_theirs(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.opus", tmp_path / "theirs.opus"
    write(ours, [tone(number) for number in range(60)])
    again = ["-c:a", "libopus", "-ac", "2", "-frame_duration", "60", str(theirs)]
    wav = ["-ac", "1", "-ar", "48000", "-f", "s16le", str(tmp_path / "heard.pcm")]
    subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", ours, *again, *wav], check=True)
    heard = (tmp_path / "heard.pcm").read_bytes()
    assert len(heard) == pytest.approx(60 * FRAME_BYTES, abs=700), "ffmpeg cuts whole milliseconds"
    for sound in (heard, read(theirs)):
        assert level_db(sound[FRAME_BYTES * 30 : FRAME_BYTES * 31]) == pytest.approx(-12.5, abs=3)
    assert len(read(theirs)) == pytest.approx(60 * FRAME_BYTES, abs=2 * FRAME_BYTES)
    with theirs.open("rb") as file:
        assert examine(file).duration_ms == pytest.approx(1_200, abs=10)


def test_whatever_a_crash_leaves_is_a_voice_message(tmp_path: Path) -> None:
    note = tmp_path / "note.opus"
    data = write(note, [tone(number) for number in range(170)])
    with note.open("rb") as file:
        assert examine(file) == Summary(3_400, len(data))
    pages = list(read_pages(io.BytesIO(data), limit_bytes=len(data)))
    ends = [sum(page.size for page in pages[: count + 1]) for count in range(len(pages))]
    assert len(pages) == 6, "two headers and a page each second"
    for cut in (*range(ends[1], len(data), 997), *ends[1:], *(end - 1 for end in ends[2:])):
        note.write_bytes(data[:cut])
        with note.open("rb") as file:
            found = examine(file)
        whole = max(end for end in ends if end <= cut)
        seconds = ends.index(whole) - 1
        assert found.whole_bytes == whole
        if cut < len(data):
            assert found.duration_ms == max(0, 1_000 * seconds - (7 if seconds else 0))
            assert len(read(note)) // FRAME_BYTES == 50 * seconds


def test_playing_can_begin_anywhere(tmp_path: Path) -> None:
    note = tmp_path / "note.opus"
    write(note, [tone(number, 300 if number < 75 else 900) for number in range(150)])
    whole = read(note)
    for from_ms in (0, 20, 1_400, 1_500, 2_900):
        part = read(note, from_ms)
        assert len(part) == 3_000 * 96 - from_ms * 96
        if from_ms:
            later = part[FRAME_BYTES : 2 * FRAME_BYTES]
            same = whole[from_ms * 96 + FRAME_BYTES : from_ms * 96 + 2 * FRAME_BYTES]
            assert level_db(later) == pytest.approx(level_db(same), abs=3)
    assert read(note, 3_000) == b""
    assert read(note, 10**9) == b""


def stream(head: bytes, packets: list[bytes], granule: int) -> bytes:
    """A file with one page of sound."""
    parts = [([head], 0), ([b"OpusTags" + bytes(8)], 0), (packets, granule)]
    return b"".join(
        bytes(
            Page(
                serial=7,
                sequence=number,
                granule=position,
                lacing=b"".join(map(lacing_of, part)),
                body=b"".join(part),
                first=number == 0,
                last=number == 2,
            )
        )
        for number, (part, position) in enumerate(parts)
    )


def test_what_others_may_claim_is_bounded(tmp_path: Path) -> None:
    coder = OpusEncoder(bitrate=20_000, complexity=5, expected_loss_pct=0)
    packets = [coder.encode(tone(number)) for number in range(20)]
    note = tmp_path / "note.opus"

    def heard(head: bytes, granule: int, sound: list[bytes] = packets) -> bytes:
        note.write_bytes(stream(head, sound, granule))
        with note.open("rb") as file:
            assert examine(file).duration_ms <= 1_000 * MAX_SECONDS
        return read(note)

    plain = bytes(OpusHead(1, 0))
    assert len(heard(plain, 2**62)) == 20 * FRAME_BYTES
    assert len(heard(plain, 960)) == FRAME_BYTES
    assert heard(plain, 0) == b""
    assert heard(bytes(OpusHead(1, 0xFFFF)), 2**62) == b""
    loud = heard(bytes(OpusHead(2, 0, gain_db=127.0)), 2**62)
    assert len(loud) == 20 * FRAME_BYTES
    quiet = heard(bytes(OpusHead(1, 0, gain_db=-127.0)), 2**62)
    assert level_db(quiet[-FRAME_BYTES:]) == pytest.approx(-31, abs=2), "at most 20 dB less"
    broken = [packets[0], b"", b"\xff", b"\x03\xff", bytes(1_200), *packets[1:]]
    assert len(heard(plain, 2**62, broken)) >= 20 * FRAME_BYTES
    for head in (b"OpusHead" + bytes(11), plain[:9] + b"\x06" + plain[10:], b"OpusHead\x01\x02"):
        with pytest.raises(OggOpusError, match=r"channels|another kind"):
            heard(head, 2**62)


def test_a_damaged_page_costs_only_itself(tmp_path: Path) -> None:
    note = tmp_path / "note.opus"
    data = bytearray(write(note, [tone(number) for number in range(200)]))
    pages = list(read_pages(io.BytesIO(data), limit_bytes=len(data)))
    data[sum(page.size for page in pages[:3]) + 200] ^= 1
    note.write_bytes(data)
    assert len(read(note)) // FRAME_BYTES in (150, 151)
    assert parse_page(bytes(MAX_PAGE_BYTES)) is None
