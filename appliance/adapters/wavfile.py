"""WAV files as microphone and speaker: any sane PCM in, 48 kHz mono 16 bit PCM out and back.

Reading brings a file to 48 kHz by libspeexdsp; where that is missing by a windowed-sinc polyphase
filter in plain Python, which takes a tenth of a PC's core: the voice process has it done by a
process of its own (`appliance.media.feed`).  Compressed formats stay out.  Imports nothing beyond
the standard library unless it is needed, so that this process starts in a moment.
"""

from __future__ import annotations

import math
import os
import stat
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import BinaryIO

SAMPLE_RATE = 48_000
"""Of all sound in the voice process."""

FRAME_BYTES = 1_920
"""20 ms of 48 kHz mono 16 bit."""

RATES = range(8_000, 192_001)
"""Sample rates that are read."""

MAX_DATA_BYTES = 0xFFFFFFFF - 64
"""A RIFF file's sizes are 32 bits: 12 hours."""

FILE_QUALITY = 8
"""Of libspeexdsp's resampler: what it changes is below the noise of 16 bits."""

_PCM, _EXTENSIBLE = 1, 0xFFFE
_PCM_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_HEADER_BYTES = 44
_HALF_TAPS = 16
_MAX_PHASES = 1_920
_BLOCK = 4_096


class WavError(Exception):
    """The file is no WAV that can be used; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What a WAV file's header says."""

    rate: int
    """Samples per second and channel."""

    channels: int
    """1 or 2."""

    sample_bytes: int
    """1 to 4; one byte is unsigned, more are signed (RIFF)."""

    data_bytes: int
    """Length of the sound; what is there may be less."""


def read_header(file: BinaryIO) -> WavFormat:
    """Read up to the sound; raises `WavError`."""
    riff = file.read(12)
    if len(riff) < 12 or riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        raise WavError("It is not a WAV file; convert it to WAV first.")
    found: tuple[int, int, int] | None = None
    for _ in range(64):
        head = file.read(8)
        if len(head) < 8:
            break
        name, size = head[:4], struct.unpack("<I", head[4:])[0]
        if name == b"fmt ":
            found = _read_format(file.read(min(size, 64)))
            file.seek(max(0, size - 64) + size % 2, 1)
        elif name == b"data":
            if found is None:
                raise WavError("The WAV file does not say its format.")
            return WavFormat(*found, data_bytes=size)
        else:
            file.seek(size + size % 2, 1)
    raise WavError("There is no sound in the WAV file.")


def _read_format(body: bytes) -> tuple[int, int, int]:
    if len(body) < 16:
        raise WavError("The WAV file's header is cut off.")
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE and len(body) >= 40 and body[26:40] == _PCM_GUID_TAIL:
        tag = int.from_bytes(body[24:26], "little")
    if tag != _PCM:
        raise WavError("The WAV file is compressed or floating point; save it as 16-bit PCM.")
    if channels not in (1, 2) or bits not in (8, 16, 24, 32) or align != channels * bits // 8:
        raise WavError(
            f"The WAV file has {channels} channels of {bits} bits; save it as 16-bit mono."
        )
    if rate not in RATES:
        raise WavError(f"The WAV file has {rate} samples per second; save it with 48000.")
    return rate, channels, bits // 8


def _to_mono(raw: bytes, form: WavFormat) -> array[int]:
    """PCM of any width as 16 bit mono."""
    size = form.sample_bytes
    samples = array("h")
    if size == 1:
        samples.extend([(value - 128) << 8 for value in raw])
    else:
        top = bytearray(len(raw) // size * 2)
        top[0::2], top[1::2] = raw[size - 2 :: size], raw[size - 1 :: size]
        samples.frombytes(bytes(top))
        if sys.byteorder == "big":
            samples.byteswap()
    if form.channels == 1:
        return samples
    return array("h", [(a + b) >> 1 for a, b in zip(samples[0::2], samples[1::2], strict=True)])


def _blocks(file: BinaryIO, form: WavFormat) -> Iterator[array[int]]:
    frame = form.sample_bytes * form.channels
    left = form.data_bytes
    while left > 0:
        raw = file.read(min(left, _BLOCK * frame))
        left -= len(raw)
        if len(raw) < frame:
            return
        yield _to_mono(raw[: len(raw) // frame * frame], form)


class Resampler:
    """From any rate to 48 kHz, band-limited: `2 * 16` taps for each output sample."""

    def __init__(self, rate: int) -> None:
        shared = math.gcd(rate, SAMPLE_RATE)
        self._up, self._down = SAMPLE_RATE // shared, rate // shared
        # Odd rates have up to 48,000 phases; the nearest of 1,920 is off by 1/3840 sample.
        self._phases = min(self._up, _MAX_PHASES)
        scale = min(1.0, SAMPLE_RATE / rate)
        half = math.ceil(_HALF_TAPS / scale)
        self._taps = 2 * half
        self._kernels: list[array[float] | None] = [None] * (self._phases + 1)
        self._scale, self._half = scale, half
        self._held = array("h", bytes(2 * (half - 1)))
        self._position = 0

    def _kernel(self, phase: int) -> array[float]:
        """Filter for an output that lies ``phase / phases`` behind the middle input sample."""
        found = self._kernels[phase]
        if found is None:
            offset = phase / self._phases
            taps = [self._tap(index - (self._half - 1) - offset) for index in range(self._taps)]
            total = sum(taps)
            found = self._kernels[phase] = array("d", [tap / total for tap in taps])
        return found

    def _tap(self, x: float) -> float:
        window = 0.5 + 0.5 * math.cos(math.pi * max(-1.0, min(1.0, x / self._half)))
        angle = math.pi * x * self._scale * 0.95
        return window * (math.sin(angle) / angle if angle else 1.0)

    def feed(self, samples: array[int]) -> array[int]:
        """Take some samples, give those that are ready."""
        self._held += samples
        held, taps, up, down = self._held, self._taps, self._up, self._down
        out = array("h")
        position = self._position
        last = (len(held) - taps) * up
        while position <= last:
            start, rest = divmod(position, up)
            kernel = self._kernel(round(rest * self._phases / up))
            value = round(sum(map(mul, kernel, held[start : start + taps])))
            out.append(max(-32_768, min(32_767, value)))
            position += down
        used = min(position // up, len(held))
        self._held = held[used:]
        self._position = position - used * up
        return out

    def flush(self) -> array[int]:
        """What is left at the end."""
        return self.feed(array("h", bytes(2 * self._half)))


class LibraryResampler:
    """The same by libspeexdsp, in a fiftieth of the time."""

    def __init__(self, rate: int) -> None:
        """Raises `SpeexError` where the library is missing."""
        from appliance.adapters import speex

        self._resampler = speex.Resampler(source=rate, target=SAMPLE_RATE, quality=FILE_QUALITY)
        self._resampler.begin_at_once()

    def feed(self, samples: array[int]) -> array[int]:
        """Take some samples, give those that are ready."""
        return array("h", self._resampler.process(samples.tobytes()))

    def flush(self) -> array[int]:
        """What is left at the end."""
        return array("h", self._resampler.rest())


def _resampler(rate: int) -> Resampler | LibraryResampler:
    from appliance.adapters.speex import SpeexError

    try:
        return LibraryResampler(rate)
    except SpeexError:
        return Resampler(rate)


def open_to_play(path: Path) -> int:
    """A descriptor of a WAV file, for `read_frames`; raises `WavError`."""
    try:
        # Not to wait for a writer, if it is a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise WavError(f"The sound can't be opened: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise WavError("It is not a file; give the path of a WAV file.")
    return descriptor


def open_to_record(path: Path) -> int:
    """A descriptor of a file, made if need be, for `WavWriter`; raises `WavError`.

    What is in it stays until the writer begins, so that one in use can be opened once more.
    """
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(path, flags, 0o666)
    except OSError as error:
        raise WavError(f"The recording can't be written: {error.strerror}.") from error


def read_frames(descriptor: int) -> Iterator[bytes]:
    """A WAV file as 20 ms frames of 48 kHz mono 16 bit; raises `WavError`.  Closes it.

    The header is read before the first frame is asked for; the last frame is filled with silence.
    """
    file = os.fdopen(descriptor, "rb")
    try:
        form = read_header(file)
    except (WavError, OSError) as error:
        file.close()
        if isinstance(error, OSError):
            raise WavError(f"The WAV file can't be read: {error.strerror}.") from error
        raise
    return _frames(file, form)


def _frames(file: BinaryIO, form: WavFormat) -> Iterator[bytes]:
    with file:
        resampler = _resampler(form.rate) if form.rate != SAMPLE_RATE else None
        pending = bytearray()
        for block in _blocks(file, form):
            ready = resampler.feed(block) if resampler else block
            pending += ready.tobytes()
            whole = len(pending) // FRAME_BYTES * FRAME_BYTES
            for start in range(0, whole, FRAME_BYTES):
                yield bytes(pending[start : start + FRAME_BYTES])
            del pending[:whole]
        if resampler:
            pending += resampler.flush().tobytes()
        pending += bytes(-len(pending) % FRAME_BYTES)
        for start in range(0, len(pending), FRAME_BYTES):
            yield bytes(pending[start : start + FRAME_BYTES])


class WavWriter:
    """A 48 kHz mono 16 bit WAV file that is valid at every moment, also after a power cut."""

    def __init__(self, descriptor: int) -> None:
        """Overwrite what is there; raises OSError.  The descriptor is closed with it."""
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._data_bytes = 0
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                self._file.truncate(0)
            self._write_header()
        except OSError:
            self._file.close()
            raise

    def write(self, pcm: bytes) -> None:
        """Append sound; raises OSError, also when the file is full (12 hours)."""
        if self._data_bytes + len(pcm) > MAX_DATA_BYTES:
            raise OSError(27, "The recording has reached 12 hours")
        written = self._file.write(pcm)
        self._data_bytes += written or 0
        if written != len(pcm):
            raise OSError(28, "No space left on device")

    def sync(self) -> None:
        """Write the sizes; what came after the last time is lost to readers after a crash."""
        self._file.seek(0)
        self._write_header()
        self._file.seek(0, 2)

    def close(self) -> None:
        """Write the sizes and close."""
        try:
            self.sync()
        finally:
            self._file.close()

    def _write_header(self) -> None:
        size = self._data_bytes // 2 * 2
        self._file.write(
            struct.pack("<4sI4s", b"RIFF", _HEADER_BYTES - 8 + size, b"WAVE")
            + struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
            + struct.pack("<4sI", b"data", size)
        )
