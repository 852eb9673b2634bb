"""A process of its own that reads a WAV file or a voice message for the voice process.

Its standard input is the file.  It writes ``+`` and then frames to its standard output as fast as
they are taken, or ``-`` and a sentence.  So neither a strange file nor slow arithmetic can delay a
frame of a call, and what breaks the decoder breaks nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from appliance.adapters.realtime import be_ordinary
from appliance.adapters.wavfile import WavError, read_frames

OGG = b"OggS"
"""Begins what is no WAV file."""


def main(from_ms: int) -> int:
    """Feed the file at standard input to standard output; a voice message from a moment on."""
    be_ordinary()
    out = sys.stdout.buffer
    try:
        try:
            frames = _frames(from_ms)
        except WavError as error:
            out.write(b"-" + str(error).encode())
            return 1
        out.write(b"+")
        out.flush()
        for frame in frames:
            out.write(frame)
        out.flush()
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError:
        return 1  # The disk failed in the middle: the rest is silence.
    return 0


def _frames(from_ms: int) -> Iterator[bytes]:
    """Raises `WavError`, also for a voice message that can't be played."""
    if os.pread(0, len(OGG), 0) != OGG:
        return read_frames(os.dup(0))
    # Imported late: the file of a call is a WAV file and has to begin at once.
    from appliance.adapters import oggopus

    try:
        return oggopus.read_frames(os.dup(0), from_ms=from_ms)
    except oggopus.OggOpusError as error:
        raise WavError(str(error)) from error
