"""Sound cards through PortAudio (sounddevice), as 20 ms frames of 48 kHz mono 16 bit.

The callbacks run in PortAudio's own thread.  A missing library, a missing card and one that is
unplugged are `AudioError`, never anything else.  Mixing and calls stay out.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from appliance.adapters.realtime import be_realtime
from appliance.model.media import SoundDevice

SAMPLE_RATE = 48_000
"""Of all sound in here."""

FRAME = 960
"""Samples of a block, 20 ms."""

MAX_DEVICES = 64
"""More are not listed."""

MAX_NAME = 128
"""Characters of a device's name."""

LATENCY_S = 0.02
"""Asked of the card, each way."""

DEAD_S = 1.0
"""A card that asks for nothing for this long is gone, whatever PortAudio says."""


class AudioError(Exception):
    """There is no such sound; the text is one sentence for the operator."""


def _library() -> Any:
    """PortAudio's binding; imported late, since its import opens the sound system."""
    try:
        import sounddevice
    except (OSError, ImportError) as error:
        raise AudioError("Sound needs PortAudio; install the package libportaudio2.") from error
    return sounddevice


@contextlib.contextmanager
def _spoken(what: str) -> Iterator[Any]:
    """Turns all that PortAudio raises into `AudioError`."""
    library = _library()
    try:
        yield library
    except (library.PortAudioError, ValueError, OSError, TypeError) as error:
        raise AudioError(f"{what}: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    text = str(error.args[0] if error.args else error).strip().rstrip(".")
    return text.splitlines()[0][:200] if text else "unknown reason"


def rescan() -> None:
    """Look for cards anew; only while no stream is open, since it closes them all."""
    with _spoken("The sound system does not answer") as library:
        library._terminate()
        library._initialize()


def list_devices() -> tuple[SoundDevice, ...]:
    """All cards as of the last `rescan`."""
    with _spoken("The sound devices can't be listed") as library:
        return tuple(
            SoundDevice(
                name=str(entry["name"])[:MAX_NAME],
                inputs=int(entry["max_input_channels"]),
                outputs=int(entry["max_output_channels"]),
            )
            for entry in list(library.query_devices())[:MAX_DEVICES]
        )


def _index(library: Any, name: str | None, kind: str) -> int:
    """PortAudio's number of a card; raises `AudioError`."""
    what = "microphone" if kind == "input" else "loudspeaker"
    devices = list(library.query_devices())
    fitting = [index for index, entry in enumerate(devices) if entry[f"max_{kind}_channels"] > 0]
    if name is None:
        chosen = library.default.device[0 if kind == "input" else 1]
        if chosen in fitting:
            return int(chosen)
        if fitting:
            return fitting[0]
        raise AudioError(f"There is no {what}; plug one in.")
    for index in fitting:
        if str(devices[index]["name"])[:MAX_NAME] == name:
            return index
    raise AudioError(f"The {what} {name!r} is not there; plug it in or choose another.")


class _Device:
    """What both directions share: a running PortAudio stream."""

    def __init__(self) -> None:
        self._stream: Any = None
        self._realtime = False
        self._beat_at = monotonic()

    def _settle(self) -> None:
        """Called by each callback: its thread gets the priority of ours, once."""
        self._beat_at = monotonic()
        if not self._realtime:
            self._realtime = True
            be_realtime()

    def _open(self, kind: str, name: str | None, callback: Callable[..., None]) -> int:
        """Start; returns the channels that it took: one, or two where it has no less."""
        what = "microphone" if kind == "input" else "loudspeaker"
        with _spoken(f"The {what} can't be used") as library:
            index = _index(library, name, kind)
            make = library.RawInputStream if kind == "input" else library.RawOutputStream
            last: Exception | None = None
            for channels in (1, 2):
                try:
                    self._stream = make(
                        samplerate=SAMPLE_RATE,
                        blocksize=FRAME,
                        device=index,
                        channels=channels,
                        dtype="int16",
                        latency=LATENCY_S,
                        callback=callback,
                    )
                    self._channels = channels
                    self._stream.start()
                    return channels
                except library.PortAudioError as error:
                    last = error
                    self.close()
            raise last or AudioError(f"The {what} can't be used.")

    @property
    def alive(self) -> bool:
        """False: it has stopped by itself, as when it is unplugged."""
        late = monotonic() - self._beat_at > DEAD_S
        return self._stream is not None and not late and bool(self._stream.active)

    def close(self) -> None:
        """Stop and give the card back."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(Exception):  # It is gone one way or another.
                stream.abort(ignore_errors=True)
                stream.close(ignore_errors=True)


class Microphone(_Device):
    """Gives a frame to ``on_frame`` every 20 ms, in PortAudio's thread."""

    def __init__(self, name: str | None, on_frame: Callable[[bytes], None]) -> None:
        """Open the card ``name`` or the default; raises `AudioError`."""
        super().__init__()
        self._on_frame = on_frame
        self._channels = 1
        self._open("input", name, self._captured)

    def _captured(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        self._settle()
        pcm = bytes(data)
        if self._channels == 2:
            pcm = array("h", pcm)[::2].tobytes()
        self._on_frame(pcm)


class Speaker(_Device):
    """Takes a frame from ``next_frame`` every 20 ms, in PortAudio's thread."""

    def __init__(self, name: str | None, next_frame: Callable[[], bytes]) -> None:
        """Open the card ``name`` or the default; raises `AudioError`."""
        super().__init__()
        self._next_frame = next_frame
        self._channels = 1
        self._open("output", name, self._wanted)

    def _wanted(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        self._settle()
        pcm = self._next_frame()
        if self._channels == 2:
            mono = array("h", pcm)
            both = array("h", bytes(2 * len(pcm)))
            both[0::2] = both[1::2] = mono
            pcm = both.tobytes()
        data[:] = pcm
