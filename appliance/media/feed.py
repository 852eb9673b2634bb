"""A process of its own that reads and resamples a WAV file for the voice process.

Its standard input is the file.  It writes ``+`` and then frames to its standard output as fast as
they are taken, or ``-`` and a sentence.  So neither a strange file nor slow arithmetic can delay a
frame of a call.
"""

from __future__ import annotations

import os
import sys

from appliance.adapters.realtime import be_ordinary
from appliance.adapters.wavfile import WavError, read_frames


def main() -> int:
    """Feed the file at standard input to standard output."""
    be_ordinary()
    out = sys.stdout.buffer
    try:
        try:
            frames = read_frames(os.dup(0))
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
