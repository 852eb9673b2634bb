"""Sound made better by libspeexdsp: echo cancelled, noise lowered, level held, rates changed.

The library is Debian's `libspeexdsp1`, reached by ctypes; everything is 16 bit mono.  Without it
`SpeexError` says what to install.  Where the far sound comes from, and when it is used, stays out.
"""

from __future__ import annotations

import ctypes
from functools import cache

LIBRARY = "libspeexdsp.so.1"
"""By its soname, which has been the same since 2008."""

_ECHO_SET_SAMPLING_RATE = 24
_SET_DENOISE, _SET_AGC, _SET_NOISE_SUPPRESS = 0, 2, 18
_SET_ECHO_SUPPRESS, _SET_ECHO_SUPPRESS_ACTIVE, _SET_ECHO_STATE = 20, 22, 24
_SET_AGC_INCREMENT, _SET_AGC_DECREMENT, _SET_AGC_MAX_GAIN, _SET_AGC_TARGET = 26, 28, 30, 46
_GET_PROB = 45

RESAMPLE_QUALITY = 5
"""0 to 10; what the library calls good enough for a desktop."""

_STRETCH = 65_521
"""A prime, or the library shortens the fraction and loses its place between two samples."""

STRETCH_STEP = 1 / _STRETCH
"""15 ppm; the library can't do finer ones, since its sums have 32 bits."""


class SpeexError(Exception):
    """The library is missing or refuses; the text is one sentence for the operator."""


@cache
def _library() -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise SpeexError("Echo is not removed; install the package libspeexdsp1.") from error
    state, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32
    counter = ctypes.POINTER(size)
    for name, result, arguments in (
        ("echo_state_init", state, [number, number]),
        ("echo_state_reset", None, [state]),
        ("echo_state_destroy", None, [state]),
        ("echo_cancellation", None, [state, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]),
        ("echo_ctl", number, [state, number, ctypes.c_void_p]),
        ("preprocess_state_init", state, [number, number]),
        ("preprocess_state_destroy", None, [state]),
        ("preprocess_run", number, [state, ctypes.c_void_p]),
        ("preprocess_ctl", number, [state, number, ctypes.c_void_p]),
        ("resampler_init", state, [size, size, size, number, ctypes.POINTER(number)]),
        ("resampler_destroy", None, [state]),
        ("resampler_set_rate_frac", number, [state, size, size, size, size]),
        ("resampler_skip_zeros", number, [state]),
        ("resampler_get_input_latency", number, [state]),
        (
            "resampler_process_int",
            number,
            [state, size, ctypes.c_char_p, counter, ctypes.c_void_p, counter],
        ),
    ):
        function = getattr(lib, f"speex_{name}")
        function.restype, function.argtypes = result, arguments
    return lib


def is_there() -> bool:
    """Whether the library can be used."""
    try:
        _library()
    except SpeexError:
        return False
    return True


class Cancel:
    """Takes the echo of the loudspeaker out of what the microphone hears (MDF, adaptive)."""

    def __init__(self, *, rate: int, frame: int, tail: int) -> None:
        """``frame``: samples a call; ``tail``: samples of echo that it can know."""
        self._lib = _library()
        self.frame = frame
        self._out = ctypes.create_string_buffer(2 * frame)
        self._view = memoryview(self._out).cast("B")
        self.state = _made(self._lib.speex_echo_state_init(frame, tail))
        self._lib.speex_echo_ctl(
            self.state, _ECHO_SET_SAMPLING_RATE, ctypes.byref(ctypes.c_int(rate))
        )

    def clean(self, near: bytes, far: bytes) -> bytes:
        """A frame of the microphone, and what the loudspeaker played when it was recorded."""
        if len(near) != 2 * self.frame or len(far) != 2 * self.frame:
            raise SpeexError("A frame of sound has a strange length.")
        self._lib.speex_echo_cancellation(self.state, near, far, self._out)
        return bytes(self._view)

    def reset(self) -> None:
        """Forget the room."""
        self._lib.speex_echo_state_reset(self.state)

    def __del__(self) -> None:
        if state := getattr(self, "state", None):
            self._lib.speex_echo_state_destroy(state)


class Refine:
    """Lowers steady noise and the rest of an echo, and holds the level of a voice."""

    def __init__(
        self,
        *,
        rate: int,
        frame: int,
        noise_db: int,
        echo_db: tuple[int, int] = (-40, -15),
        agc: tuple[int, int, int, int] | None = None,
        after: Cancel | None = None,
    ) -> None:
        """``noise_db`` and ``echo_db`` (while they speak alone, while both do) are negative.

        ``agc``: level that a voice is brought to (of 32,768), most gain in dB, and by how many dB a
        second it goes up and down.  ``after``: whose residual echo is lowered.
        """
        self._lib = _library()
        self._cancel = after  # The library keeps a pointer to it.
        self.frame = frame
        self._buffer = ctypes.create_string_buffer(2 * frame)
        self._view = memoryview(self._buffer).cast("B")
        self._state = _made(self._lib.speex_preprocess_state_init(frame, rate))
        self._set(_SET_DENOISE, 1)
        self._set(_SET_NOISE_SUPPRESS, noise_db)
        if after is not None:
            self._lib.speex_preprocess_ctl(self._state, _SET_ECHO_STATE, after.state)
            self._set(_SET_ECHO_SUPPRESS, echo_db[0])
            self._set(_SET_ECHO_SUPPRESS_ACTIVE, echo_db[1])
        if agc is not None:
            requests = (_SET_AGC_TARGET, _SET_AGC_MAX_GAIN, _SET_AGC_INCREMENT, _SET_AGC_DECREMENT)
            self._set(_SET_AGC, 1)
            for request, value in zip(requests, agc, strict=True):
                self._set(request, value)

    def _set(self, request: int, value: int) -> None:
        self._lib.speex_preprocess_ctl(self._state, request, ctypes.byref(ctypes.c_int(value)))

    def raise_by(self, db_s: int) -> None:
        """From now on the level goes up by this much a second, or by nothing."""
        self._set(_SET_AGC_INCREMENT, db_s)

    def voice_pct(self) -> int:
        """How likely the last frame held a voice, in percent."""
        answer = ctypes.c_int()
        self._lib.speex_preprocess_ctl(self._state, _GET_PROB, ctypes.byref(answer))
        return answer.value

    def run(self, pcm: bytes) -> bytes:
        """The frame, made better."""
        if len(pcm) != 2 * self.frame:
            raise SpeexError("A frame of sound has a strange length.")
        self._view[:] = pcm
        self._lib.speex_preprocess_run(self._state, self._buffer)
        return bytes(self._view)

    def __del__(self) -> None:
        if state := getattr(self, "_state", None):
            self._lib.speex_preprocess_state_destroy(state)


class Resampler:
    """One stream of sound from a rate to another, piece by piece."""

    def __init__(self, *, source: int, target: int, quality: int = RESAMPLE_QUALITY) -> None:
        """Rates in Hz; raises `SpeexError`."""
        self._lib = _library()
        self._ratio = target / source
        error = ctypes.c_int()
        self._state = _made(
            self._lib.speex_resampler_init(1, source, target, quality, ctypes.byref(error))
        )

    def begin_at_once(self) -> None:
        """Leave out the silence of the filter, before anything else: for sound that is there whole.

        What is behind the last sample then comes with `rest`.
        """
        self._lib.speex_resampler_skip_zeros(self._state)

    def rest(self) -> bytes:
        """What is left at the end."""
        return self.process(bytes(2 * self._lib.speex_resampler_get_input_latency(self._state)))

    def stretch(self, steps: int) -> None:
        """Make sound whose rate was to stay longer by so many `STRETCH_STEP`, but never by 0."""
        ratio = (_STRETCH - steps, _STRETCH)
        if self._lib.speex_resampler_set_rate_frac(self._state, *ratio, 48_000, 48_000):
            raise SpeexError("The rate of a sound could not be changed.")

    def process(self, pcm: bytes) -> bytes:
        """All that comes of these samples and those before, within a sample."""
        count = len(pcm) // 2
        room = int(count * self._ratio) + 16
        out = ctypes.create_string_buffer(2 * room)
        taken, made = ctypes.c_uint32(count), ctypes.c_uint32(room)
        self._lib.speex_resampler_process_int(
            self._state, 0, pcm, ctypes.byref(taken), out, ctypes.byref(made)
        )
        if taken.value != count:
            raise SpeexError("The rate of a sound could not be changed.")
        return out.raw[: 2 * made.value]

    def __del__(self) -> None:
        if state := getattr(self, "_state", None):
            self._lib.speex_resampler_destroy(state)


def _made(state: int | None) -> int:
    if not state:
        raise SpeexError("There is no memory left for the sound.")
    return state
