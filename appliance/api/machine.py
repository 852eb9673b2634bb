"""The part of the local API's shapes that is about the machine: sound and checks.

Users import them from `schema`, where the rest is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

CheckResult: TypeAlias = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class SoundSettings:
    """Sound devices: those there are and those chosen."""

    inputs: tuple[str, ...]
    """Names of microphones."""

    outputs: tuple[str, ...]
    """Names of speakers."""

    input: str | None
    """Chosen; None: the system's default."""

    output: str | None
    """Chosen; None: the system's default."""

    handset: bool = False
    """The microphone does not hear the speaker, so its sound stays as it is."""

    echo: str = ""
    """What removes echo where it is no handset, or a sentence that says why nothing does."""

    talk_key: str = ""
    """Key that talks while it is held, with push to talk, without the screen; empty: none."""

    talk_keys: tuple[str, ...] = ()
    """Those that can be chosen."""


@dataclass(frozen=True)
class SoundTest:
    """What a level test heard."""

    input_db: float | None
    """Loudest moment of the microphone; None: there is none."""

    output_ok: bool
    """The tone could be played."""

    text: str
    """One sentence for the operator."""


@dataclass(frozen=True)
class MediaStatus:
    """The voice process."""

    running: bool
    """It answers."""

    realtime: bool
    """It runs with real-time priority."""

    detail: str
    """Versions, or why it does not run."""


@dataclass(frozen=True)
class Check:
    """One thing that `doctor` looked at."""

    name: str
    """Such as ``sound``."""

    result: CheckResult
    """ok, warn or bad."""

    text: str
    """What was found."""

    fix: str
    """What to do; empty when all is well."""
