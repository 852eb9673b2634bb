"""Voice messages as files: Opus in Ogg (RFC 7845), which other programs play too.

Ours are mono; those of others may have two channels and frames of any length.  What is read may
have been made by anybody: whatever the bytes are, they become sound or an `OggOpusError`, with
bounded memory and time.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from appliance.adapters.ogg import (
    MAX_PAGE_BYTES,
    Page,
    find_last_page,
    lacing_of,
    parse_page,
    read_pages,
)
from appliance.adapters.opus import SAMPLE_RATE, OpusDecoder, OpusEncoder, OpusError
from appliance.protocol.opus_packet import MAX_BYTES, OpusPacketError, packet_samples

BITRATE = 20_000
"""bit/s, so that a minute is 150 kB; PESQ-WB 4.3 (natural speech)."""

COMPLEXITY = 9
"""Of the encoder."""

FRAME = 960
"""Samples of a packet of ours: 20 ms."""

PAGE_FRAMES = 50
"""Packets of a page of ours: what a crash can cost."""

SYNC_PAGES = 5
"""Pages between two waits for the disk: what a power cut can cost, and not more writing than
that for the card."""

MAX_FILE_BYTES = 16 * 1024 * 1024
"""What is read of a file; an hour at our bit rate is 9 MB."""

MAX_SECONDS = 3_600
"""What is played of a file."""

MAX_PACKETS = 1_440_000
"""An hour of the shortest packets; packets without sound are counted too."""

MAX_GAIN_DB = 20.0
"""What a file may ask for, either way: it is somebody's ear."""

PREROLL = 3_840
"""Samples decoded before the place that is jumped to (section 4.6: 80 ms)."""

_HEAD = struct.Struct("<8sBBHIhB")
_VENDOR = b"fencewire"


class OggOpusError(Exception):
    """The file can't be played; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class OpusHead:
    """The identification header (section 5.1)."""

    channels: int
    """1 or 2."""

    pre_skip: int
    """Samples at the beginning that are not meant to be heard."""

    gain_db: float = 0.0
    """Loudness to be added."""

    def __bytes__(self) -> bytes:
        gain = round(256 * self.gain_db)
        return _HEAD.pack(b"OpusHead", 1, self.channels, self.pre_skip, SAMPLE_RATE, gain, 0)

    @classmethod
    def parse(cls, data: bytes) -> OpusHead:
        """Raises `OggOpusError`."""
        if len(data) < _HEAD.size or data[:8] != b"OpusHead" or data[8] >> 4:
            raise OggOpusError("It is not a voice message; this sound is of another kind.")
        _, _, channels, pre_skip, _, gain, family = _HEAD.unpack_from(data)
        # Other families say how many Opus streams make up the sound; one can be decoded here.
        streams = data[_HEAD.size] if family and len(data) > _HEAD.size else 1
        if channels not in (1, 2) or streams != 1:
            raise OggOpusError(
                f"This sound has {channels} channels; only one or two can be played."
            )
        return cls(channels, pre_skip, gain / 256)


@dataclass(frozen=True)
class Summary:
    """What can be told of a file without decoding it."""

    duration_ms: int
    """As the last page claims, at most an hour; 0: nothing is in it."""

    whole_bytes: int
    """Up to the end of the last sound page: what is behind was cut off by a crash."""


def examine(file: BinaryIO) -> Summary:
    """Look at the beginning and the end of a file; raises `OggOpusError`, OSError."""
    file.seek(0)
    page = parse_page(file.read(MAX_PAGE_BYTES))
    if page is None:
        raise OggOpusError("It is not a voice message, or its beginning is damaged.")
    head = OpusHead.parse(page.body)
    start = max(0, file.seek(0, os.SEEK_END) - 2 * MAX_PAGE_BYTES)
    file.seek(start)
    found = find_last_page(file.read(2 * MAX_PAGE_BYTES), page.serial)
    if found is None:
        return Summary(0, page.size)
    at, last = found
    samples = min(max(0, last.granule - head.pre_skip), MAX_SECONDS * SAMPLE_RATE)
    return Summary(samples * 1000 // SAMPLE_RATE, start + at + last.size)


# Reading


def read_frames(descriptor: int, *, from_ms: int = 0) -> Iterator[bytes]:
    """A file from a moment on, as 20 ms frames of 48 kHz mono 16 bit.  Closes it.

    Raises `OggOpusError` before the first frame is asked for.  The last frame is filled with
    silence.
    """
    file = os.fdopen(descriptor, "rb")
    try:
        pages = read_pages(file, limit_bytes=MAX_FILE_BYTES)
        first = next((page for page in pages if page.first), None)
        if first is None:
            raise OggOpusError("It is not a voice message, or its beginning is damaged.")
        head = OpusHead.parse(first.body)
        decoder = OpusDecoder()
        decoder.set_gain_db(max(-MAX_GAIN_DB, min(MAX_GAIN_DB, head.gain_db)))
    except (OggOpusError, OpusError, OSError) as error:
        file.close()
        if isinstance(error, OggOpusError):
            raise
        raise OggOpusError(f"The sound can't be read: {error}.") from error
    skip = head.pre_skip + max(0, from_ms) * SAMPLE_RATE // 1000
    return _frames(file, _sound(_packets(pages, first.serial), decoder, skip))


def _frames(file: BinaryIO, sound: Iterator[bytes]) -> Iterator[bytes]:
    with file:
        pending = bytearray()
        for pcm in sound:
            pending += pcm
            while len(pending) >= 2 * FRAME:
                yield bytes(pending[: 2 * FRAME])
                del pending[: 2 * FRAME]
        if pending:
            yield bytes(pending) + bytes(2 * FRAME - len(pending))


def _packets(pages: Iterator[Page], serial: int) -> Iterator[tuple[Page, list[bytes]]]:
    """The pages of a stream with the whole packets that end on each, without the two headers.

    A packet longer than Opus can make is left out, as is one of which a page is missing.
    """
    pending: bytearray | None = bytearray()
    expected, tags = 1, False
    for page in pages:
        if page.serial != serial or page.first:
            continue
        if page.sequence != expected or page.continued != bool(pending):
            pending = None if page.continued else bytearray()
        expected = (page.sequence + 1) & 0xFFFFFFFF
        whole: list[bytes] = []
        at = 0
        for length in page.lacing:
            if pending is not None:
                pending += page.body[at : at + length]
                if len(pending) > MAX_BYTES:
                    pending = None
            at += length
            if length < 255:
                if not tags:
                    tags = True  # Section 5.2: names and pictures, of no use here.
                elif pending is not None:
                    whole.append(bytes(pending))
                pending = bytearray()
        if whole or page.last:
            yield page, whole
        if page.last:
            return


def _sound(
    pages: Iterator[tuple[Page, list[bytes]]], decoder: OpusDecoder, skip: int
) -> Iterator[bytes]:
    """Samples of all packets, without the first ``skip`` and what the last page cuts off."""
    at, count, start = 0, 0, None
    for page, packets in pages:
        lengths = [_samples(packet) for packet in packets]
        if start is None:
            # Section 4.3: a stream may have been cut out of a longer one.
            start = 0 if page.last else max(0, page.granule - sum(lengths))
        end = page.granule - start if page.last and page.granule >= 0 else None
        for packet, samples in zip(packets, lengths, strict=True):
            count += 1
            if at > MAX_SECONDS * SAMPLE_RATE or count > MAX_PACKETS:
                return
            if samples and at + samples > skip - PREROLL:
                pcm = _decoded(decoder, packet, samples)
                stop = samples if end is None else max(0, min(samples, end - at))
                yield pcm[2 * max(0, skip - at) : 2 * stop]
            at += samples


def _samples(packet: bytes) -> int:
    """Length of a packet; 0: it is none."""
    try:
        return packet_samples(packet)
    except OpusPacketError:
        return 0


def _decoded(decoder: OpusDecoder, packet: bytes, samples: int) -> bytes:
    try:
        return decoder.decode(packet)
    except OpusError:
        return bytes(2 * samples)


# Writing


class OggOpusWriter:
    """A voice message that can be played at every moment, also after a crash."""

    def __init__(self, descriptor: int) -> None:
        """Overwrite what is there; raises OSError, `OpusError`.  The descriptor closes with it."""
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._serial = int.from_bytes(os.urandom(4), "big")
        self._sequence = self._frames = 0
        self._packets: list[bytes] = []
        try:
            self._on_disk = stat.S_ISREG(os.fstat(descriptor).st_mode)
            if self._on_disk:
                self._file.truncate(0)
            self._encoder = OpusEncoder(bitrate=BITRATE, complexity=COMPLEXITY, expected_loss_pct=0)
            self._pre_skip = self._encoder.lookahead
            self._write_page([bytes(OpusHead(1, self._pre_skip))], 0, first=True)
            tags = struct.pack("<8sI", b"OpusTags", len(_VENDOR)) + _VENDOR + bytes(4)
            self._write_page([tags], 0)
        except (OSError, OpusError):
            self._file.close()
            raise

    def write(self, pcm: bytes) -> None:
        """Append 20 ms of 48 kHz mono 16 bit; raises OSError, `OpusError`."""
        self._packets.append(self._encoder.encode(pcm))
        self._frames += 1
        if len(self._packets) >= PAGE_FRAMES:
            self.sync()

    def sync(self) -> None:
        """Write what was taken so far; at times wait until it is on the disk."""
        if not self._packets:
            return
        self._write_page(self._packets, self._frames * FRAME)
        self._packets = []
        if self._on_disk and self._sequence % SYNC_PAGES == 0:
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Write the rest, wait for the disk and close; raises OSError, `OpusError`."""
        try:
            # One packet more, since the sound is late in the packets; the end is marked in it.
            self._packets.append(self._encoder.encode(bytes(2 * FRAME)))
            self._write_page(self._packets, self._frames * FRAME + self._pre_skip, last=True)
            if self._on_disk:
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _write_page(
        self, packets: list[bytes], granule: int, *, first: bool = False, last: bool = False
    ) -> None:
        page = bytes(
            Page(
                serial=self._serial,
                sequence=self._sequence,
                granule=granule,
                lacing=b"".join(map(lacing_of, packets)),
                body=b"".join(packets),
                first=first,
                last=last,
            )
        )
        self._sequence += 1
        if self._file.write(page) != len(page):
            raise OSError(28, "No space left on device")
