"""What the daemon and the voice process tell each other about sound devices."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChooseDevices:
    """Use other sound devices from now on, also in running calls."""

    input_device: str | None
    """Name as listed; None: the system's default."""

    output_device: str | None
    """Name as listed; None: the system's default."""

    handset: bool = False
    """The microphone does not hear the loudspeaker, so no echo is removed, and nothing else is
    done to the sound: a handset or a headset."""


@dataclass(frozen=True)
class ListDevices:
    """Ask for `DeviceList`."""


@dataclass(frozen=True)
class TestLevels:
    """Listen to the microphone and play a tone for a moment; answered by `Levels`."""

    seconds: float = 2.0
    """How long."""


@dataclass(frozen=True)
class SoundDevice:
    """A sound card's input or output."""

    name: str
    """What to choose it by."""

    inputs: int
    """Channels in."""

    outputs: int
    """Channels out."""


@dataclass(frozen=True)
class DeviceList:
    """All devices there are now."""

    devices: tuple[SoundDevice, ...]
    """At most 64."""

    input_device: str | None
    """The chosen one."""

    output_device: str | None
    """The chosen one."""

    handset: bool = False
    """As chosen: echo is not removed."""

    detail: str = ""
    """One sentence for the operator where they can't be listed."""


@dataclass(frozen=True)
class Levels:
    """What the level test heard."""

    input_db: float | None
    """Loudest moment of the microphone, dB full scale; None: no microphone."""

    output_ok: bool
    """The tone could be played."""

    detail: str
    """One sentence for the operator."""
