"""Opus through libopus (RFC 6716): 48 kHz, mono, 16 bit, with FEC, concealment and gain.

The library comes with the package `opuslib-next-bundled`, since distributions carry old ones;
without it the system's is used.  That package's own Python binding is not: it copies each frame
through a list and cannot ask for concealment.  RTP stays out.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
from functools import cache
from pathlib import Path

from appliance.protocol.opus_packet import Bandwidth

SAMPLE_RATE = 48_000
"""Of all sound in here."""

MAX_PACKET_BYTES = 1_200
"""What an encoded frame may take, so that it fits any path's MTU."""

MAX_FRAME_SAMPLES = 5_760
"""120 ms, the longest packet (RFC 6716 section 3.2.5)."""

_APPLICATION_VOIP = 2048
_SET_BITRATE, _SET_DTX, _SET_COMPLEXITY = 4002, 4016, 4010
_SET_INBAND_FEC, _SET_LOSS_PCT, _SET_SIGNAL = 4012, 4014, 4024
_SET_GAIN, _GET_LOOKAHEAD, _SET_MAX_BANDWIDTH = 4034, 4027, 4004
_SIGNAL_VOICE = 3001
_BANDWIDTHS = {Bandwidth.NARROWBAND: 1101, Bandwidth.WIDEBAND: 1103, Bandwidth.FULLBAND: 1105}


class OpusError(Exception):
    """libopus refused: the packet is broken, or the library is missing."""


def _bundled_path() -> Path | None:
    spec = importlib.util.find_spec("opuslib_next")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_native" / "libopus.so"
    return path if path.exists() else None


def library_folder() -> Path | None:
    """Where Python finds the package that the library came with; None: the system's is used."""
    bundled = _bundled_path()
    return bundled.parents[2] if bundled is not None else None


@cache
def _library() -> ctypes.CDLL:
    """Load libopus and tell ctypes its signatures."""
    bundled = _bundled_path()
    try:
        lib = ctypes.CDLL(str(bundled) if bundled else "libopus.so.0")
    except OSError as error:
        raise OpusError(f"The Opus library can't be loaded ({error}); install libopus0.") from error
    state, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_int32
    lib.opus_get_version_string.restype = ctypes.c_char_p
    lib.opus_strerror.restype = ctypes.c_char_p
    lib.opus_encoder_create.argtypes = [size, number, number, ctypes.c_void_p]
    lib.opus_encoder_create.restype = state
    lib.opus_encoder_destroy.argtypes = [state]
    lib.opus_encoder_destroy.restype = None
    lib.opus_encode.argtypes = [state, ctypes.c_char_p, number, ctypes.c_void_p, size]
    lib.opus_encode.restype = size
    lib.opus_decoder_create.argtypes = [size, number, ctypes.c_void_p]
    lib.opus_decoder_create.restype = state
    lib.opus_decoder_destroy.argtypes = [state]
    lib.opus_decoder_destroy.restype = None
    lib.opus_decode.argtypes = [state, ctypes.c_char_p, size, ctypes.c_void_p, number, number]
    lib.opus_decode.restype = number
    return lib


def version() -> str:
    """Version of libopus, for the log and `doctor`; bundled builds may not know their own."""
    text = _library().opus_get_version_string().decode(errors="replace")
    if "unknown" in text:
        # Functions tell the age: this one came with 1.6.
        text = f"libopus {'1.6' if hasattr(_library(), 'opus_decode24') else '1.5 or older'}"
    where = "bundled" if _bundled_path() else "system"
    return f"{text} ({where})"


def _checked(result: int) -> int:
    if result < 0:
        text: bytes = _library().opus_strerror(result)
        raise OpusError(text.decode(errors="replace"))
    return result


class OpusEncoder:
    """One direction's encoder; all of it can change between two frames."""

    def __init__(
        self, *, bitrate: int, complexity: int, expected_loss_pct: int, dtx: bool = False
    ) -> None:
        """``bitrate`` in bit/s; ``complexity`` 0 to 10; ``dtx``: hardly any bytes for silence."""
        self._lib = _library()
        error = ctypes.c_int()
        self._state = self._lib.opus_encoder_create(
            SAMPLE_RATE, 1, _APPLICATION_VOIP, ctypes.byref(error)
        )
        _checked(error.value)
        self._out = ctypes.create_string_buffer(MAX_PACKET_BYTES)
        self._view = memoryview(self._out)
        self._set(_SET_BITRATE, bitrate)
        self._set(_SET_COMPLEXITY, complexity)
        self._set(_SET_SIGNAL, _SIGNAL_VOICE)
        self._set(_SET_DTX, int(dtx))
        self.expect_loss(expected_loss_pct)

    def set_complexity(self, complexity: int) -> None:
        """How much thought a frame gets, 0 to 10: 0 takes a quarter of the time of 9."""
        self._set(_SET_COMPLEXITY, complexity)

    def _set(self, request: int, value: int) -> None:
        _checked(
            self._lib.opus_encoder_ctl(
                ctypes.c_void_p(self._state), ctypes.c_int(request), ctypes.c_int32(value)
            )
        )

    def expect_loss(self, percent: int) -> None:
        """Loss that the other side meets; decides how much goes into FEC, 0: there is none."""
        self._set(_SET_LOSS_PCT, max(0, min(100, percent)))
        self._set(_SET_INBAND_FEC, int(percent > 0))

    def tune(self, *, bitrate: int, fec_pct: int, bandwidth: Bandwidth, dtx: bool) -> None:
        """Go on in another way from the next frame on, without a gap.

        ``bitrate`` in bit/s; ``fec_pct`` as in `expect_loss`; ``bandwidth``: the highest;
        ``dtx``: hardly any bytes for silence.
        """
        self._set(_SET_BITRATE, bitrate)
        self._set(_SET_MAX_BANDWIDTH, _BANDWIDTHS[bandwidth])
        self._set(_SET_DTX, int(dtx))
        self.expect_loss(fec_pct)

    def encode(self, pcm: bytes) -> bytes:
        """Encode 2.5 to 120 ms; raises `OpusError` when there is no packet of such a length."""
        size = _checked(
            self._lib.opus_encode(self._state, pcm, len(pcm) // 2, self._out, MAX_PACKET_BYTES)
        )
        return bytes(self._view[:size])

    @property
    def lookahead(self) -> int:
        """Samples by which the sound is late in what a decoder makes of it."""
        samples = ctypes.c_int32()
        _checked(
            self._lib.opus_encoder_ctl(
                ctypes.c_void_p(self._state), ctypes.c_int(_GET_LOOKAHEAD), ctypes.byref(samples)
            )
        )
        return samples.value

    def __del__(self) -> None:
        if state := getattr(self, "_state", None):
            self._lib.opus_encoder_destroy(state)


class OpusDecoder:
    """One source's decoder."""

    def __init__(self) -> None:
        self._lib = _library()
        error = ctypes.c_int()
        self._state = self._lib.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        _checked(error.value)
        self._out = ctypes.create_string_buffer(2 * MAX_FRAME_SAMPLES)
        self._view = memoryview(self._out)

    def set_gain_pct(self, percent: int) -> None:
        """Loudness: 100 as it comes, 200 twice the amplitude; 0 is the caller's own silence."""
        self.set_gain_db(20 * math.log10(max(1, percent) / 100))

    def set_gain_db(self, gain_db: float) -> None:
        """Loudness in decibels, -128 to 127."""
        _checked(
            self._lib.opus_decoder_ctl(
                ctypes.c_void_p(self._state),
                ctypes.c_int(_SET_GAIN),
                ctypes.c_int32(round(256 * gain_db)),
            )
        )

    def decode(self, packet: bytes) -> bytes:
        """Decode a whole packet; raises `OpusError` on broken bytes."""
        return self._run(packet, MAX_FRAME_SAMPLES, fec=False)

    def recover(self, following: bytes, samples: int) -> bytes:
        """The frame before ``following``, from its FEC or else made up."""
        return self._run(following, samples, fec=True)

    def conceal(self, samples: int) -> bytes:
        """Make up ``samples`` from what came before; they fade out after a while."""
        return self._run(None, samples, fec=False)

    def _run(self, packet: bytes | None, samples: int, *, fec: bool) -> bytes:
        made = _checked(
            self._lib.opus_decode(
                self._state, packet, len(packet) if packet else 0, self._out, samples, int(fec)
            )
        )
        return bytes(self._view[: 2 * made])

    def __del__(self) -> None:
        if state := getattr(self, "_state", None):
            self._lib.opus_decoder_destroy(state)
