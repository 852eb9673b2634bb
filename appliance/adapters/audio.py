"""Sound cards through PortAudio (sounddevice), as 20 ms frames of 48 kHz mono 16 bit.

The callbacks run in PortAudio's own thread.  A missing library, a missing card and one that is
unplugged are `AudioError`, never anything else.  Cards of other rates and with other channels are
brought to ours.  Mixing and calls stay out.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any

from appliance.adapters.realtime import be_realtime
from appliance.adapters.speex import Resampler, SpeexError
from appliance.model.sound_device import SoundDevice

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

DEAD_S = 0.8
"""A card that asks for nothing for this long is gone, whatever PortAudio says: the operator is to
hear of it within 2 s."""

OPEN_S = 1.4
"""So long may a card take until it asks for the first time."""

OTHER_RATES = (44_100, 96_000, 32_000, 16_000, 8_000)
"""Hz, for cards that can't do 48 kHz, after the one that PortAudio thinks best."""

MAX_CHANNELS = 8
"""Cards that have more at once, and no less, can't be used."""

MAX_DELAY_S = 2.0
"""Of a card, as it says; above it, it does not know."""

WAYS_TO_A_CARD = frozenset(
    "sysdefault front rear center_lfe side surround21 surround40 surround41 surround50 surround51"
    " surround71 iec958 spdif hdmi modem phoneline dmix dsnoop upmix vdownmix lavrate samplerate"
    " speexrate speex".split()
)
"""Names in ALSA's own configuration (alsa.conf) for cards that are listed by their own as well."""

CARDS = (Path("/proc/asound/cards"), Path("/dev/snd"))
"""Where the kernel shows which cards there are."""


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


def cards_seen() -> tuple[object, ...]:
    """What the kernel says of sound cards: another value when one came, went or may now be used."""
    text, folder = CARDS
    seen: list[object] = []
    with contextlib.suppress(OSError):
        seen.append(text.read_text())
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            status = path.stat()
            seen.append((path.name, status.st_rdev, status.st_ctime_ns))
    return tuple(seen)


def rescan() -> None:
    """Look for cards anew; only while no stream is open, since it closes them all."""
    with _spoken("The sound system does not answer") as library:
        library._terminate()
        library._initialize()


def list_devices() -> tuple[SoundDevice, ...]:
    """All cards as of the last `rescan`, in words that an operator can choose from."""
    with _spoken("The sound devices can't be listed") as library:
        devices = tuple(
            SoundDevice(
                name=str(entry["name"])[:MAX_NAME],
                inputs=int(entry["max_input_channels"]),
                outputs=int(entry["max_output_channels"]),
            )
            for entry in library.query_devices()
        )
    return tuple(one for one in devices if one.name not in WAYS_TO_A_CARD)[:MAX_DEVICES]


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
        self._offset_s: float | None = None
        self._channels = 1
        self._resampler: Resampler | None = None
        self.beats = 0
        """Callbacks so far; 0: it was opened and nothing came of it yet."""
        self.gaps = 0
        """How often the card has run dry or over, since this machine was too slow for it."""

    def _settle(self, status: Any) -> None:
        """Called by each callback: its thread gets the priority of ours, once."""
        self._beat_at = monotonic()
        self.beats += 1
        if status:
            self.gaps += 1
        if not self._realtime:
            self._realtime = True
            be_realtime()

    def _moment(self, card_s: float, current_s: float) -> float:
        """When the first sample is heard or was spoken, on our clock, from PortAudio's."""
        if not card_s or abs(card_s - current_s) > MAX_DELAY_S:
            return monotonic()
        if self._offset_s is None:
            self._offset_s = monotonic() - current_s
        return card_s + self._offset_s

    def _open(self, kind: str, name: str | None, callback: Callable[..., None]) -> None:
        """Start, at the nearest to 48 kHz mono that the card can do."""
        what = "microphone" if kind == "input" else "loudspeaker"
        with _spoken(f"The {what} can't be used") as library:
            index = _index(library, name, kind)
            card = library.query_devices(index)
            best = round(card["default_samplerate"])
            rates = dict.fromkeys((SAMPLE_RATE, best, *OTHER_RATES))
            most = min(MAX_CHANNELS, card[f"max_{kind}_channels"])
            make = library.RawInputStream if kind == "input" else library.RawOutputStream
            first: Exception | None = None
            for rate, channels in product(rates, dict.fromkeys((1, 2, most))):
                try:
                    self._resampler = _bridge(kind, rate)
                    self._channels = channels
                    self._stream = make(
                        samplerate=rate,
                        blocksize=rate // 50,
                        device=index,
                        channels=channels,
                        dtype="int16",
                        latency=LATENCY_S,
                        callback=callback,
                    )
                    self._beat_at = monotonic()
                    self._stream.start()
                    return
                except library.PortAudioError as error:
                    first = first or error
                    self.close()
            raise first or AudioError(f"The {what} can't be used.")

    @property
    def alive(self) -> bool:
        """False: it has stopped by itself, as when it is unplugged."""
        late = monotonic() - self._beat_at > (DEAD_S if self.beats else OPEN_S)
        return self._stream is not None and not late and bool(self._stream.active)

    def close(self) -> None:
        """Stop and give the card back."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(Exception):  # It is gone one way or another.
                stream.abort(ignore_errors=True)
                stream.close(ignore_errors=True)


def _bridge(kind: str, rate: int) -> Resampler | None:
    """Between a card's rate and ours."""
    if rate == SAMPLE_RATE:
        return None
    source, target = (rate, SAMPLE_RATE) if kind == "input" else (SAMPLE_RATE, rate)
    try:
        return Resampler(source=source, target=target)
    except SpeexError as error:
        text = "The sound card has another rate; install the package libspeexdsp1."
        raise AudioError(text) from error


class Microphone(_Device):
    """Gives each 20 ms to ``on_frame``, with their moment, in PortAudio's thread."""

    def __init__(self, name: str | None, on_frame: Callable[[bytes, float], None]) -> None:
        """Open the card ``name`` or the default; raises `AudioError`."""
        super().__init__()
        self._on_frame = on_frame
        self._rest = b""
        self._open("input", name, self._captured)

    def _captured(self, data: Any, _frames: int, time: Any, status: Any) -> None:
        self._settle(status)
        pcm = bytes(data)
        if self._channels > 1:
            pcm = array("h", pcm)[:: self._channels].tobytes()
        moment = self._moment(time.inputBufferAdcTime, time.currentTime)
        if self._resampler is None:
            self._on_frame(pcm, moment)
            return
        moment -= len(self._rest) / 2 / SAMPLE_RATE
        self._rest += self._resampler.process(pcm)
        while len(self._rest) >= 2 * FRAME:
            frame, self._rest = self._rest[: 2 * FRAME], self._rest[2 * FRAME :]
            self._on_frame(frame, moment)
            moment += FRAME / SAMPLE_RATE


class Speaker(_Device):
    """Takes each 20 ms from ``next_frame``, which gets their moment, in PortAudio's thread."""

    def __init__(self, name: str | None, next_frame: Callable[[float], bytes]) -> None:
        """Open the card ``name`` or the default; raises `AudioError`."""
        super().__init__()
        self._next_frame = next_frame
        self._rest = b""
        self._open("output", name, self._wanted)

    def _wanted(self, data: Any, frames: int, time: Any, status: Any) -> None:
        self._settle(status)
        moment = self._moment(time.outputBufferDacTime, time.currentTime)
        if self._resampler is None:
            pcm = self._next_frame(moment)
        else:
            while len(self._rest) < 2 * frames:
                self._rest += self._resampler.process(self._next_frame(moment))
                moment += FRAME / SAMPLE_RATE
            pcm, self._rest = self._rest[: 2 * frames], self._rest[2 * frames :]
        if self._channels > 1:
            mono = array("h", pcm)
            spread = array("h", bytes(self._channels * len(pcm)))
            for channel in range(self._channels):
                spread[channel :: self._channels] = mono
            pcm = spread.tobytes()
        data[:] = pcm
