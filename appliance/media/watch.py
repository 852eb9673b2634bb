"""What makes a call silent: from counts and moments to warnings that begin and end, sans IO."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.media import SoundProblem, SoundWarning

SILENT_AFTER_S = 1.5
"""Without sound for this long it is said; with the beat of checking that is within 2 s."""


@dataclass(slots=True)
class Facts:
    """What is known about one stream at one moment; all moments in monotonic seconds."""

    started_at: float
    """When it began to send and receive."""

    last_voice_at: float | None = None
    """The last packet of theirs that was authentic and made sense."""

    last_rejected_at: float | None = None
    """The last one that was not."""

    muted: bool = False
    """Our operator wants to be silent."""

    last_microphone_at: float | None = None
    """When the device last gave anything but digital silence; None: never, or no device is used."""

    uses_microphone: bool = False
    """A device, not a file, is what we send."""

    microphone_problem: str | None = None
    """Why there is no input device."""

    speaker_problem: str | None = None
    """Why there is no output device."""

    device_notice: str | None = None
    """What stands in for a chosen device."""

    echo_problem: str | None = None
    """Why the other side hears itself."""

    play_problem: str | None = None
    """Why the file can't be played."""

    record_problem: str | None = None
    """Why the file can't be written."""


def problems(facts: Facts, now: float) -> dict[SoundProblem, str]:
    """All that is wrong now, each with a sentence."""
    found: dict[SoundProblem, str] = {}
    recently = now - SILENT_AFTER_S
    if max(facts.started_at, facts.last_voice_at or 0.0) <= recently:
        if facts.last_rejected_at is not None and facts.last_rejected_at > recently:
            found[SoundProblem.UNREADABLE_SOUND] = (
                "Sound arrives but can't be read; hang up and call again."
            )
        else:
            found[SoundProblem.NO_SOUND_ARRIVING] = (
                "No sound arrives from the other side; the link may be broken."
            )
    if facts.microphone_problem is not None:
        found[SoundProblem.NO_MICROPHONE] = facts.microphone_problem
    elif (
        facts.uses_microphone
        and not facts.muted
        and max(facts.started_at, facts.last_microphone_at or 0.0) <= recently
    ):
        found[SoundProblem.SILENT_MICROPHONE] = (
            "The microphone gives no sound; is it switched off or muted?"
        )
    if facts.speaker_problem is not None:
        found[SoundProblem.NO_SPEAKER] = facts.speaker_problem
    if facts.device_notice is not None:
        found[SoundProblem.OTHER_DEVICE] = facts.device_notice
    if facts.echo_problem is not None:
        found[SoundProblem.ECHO_STAYS] = facts.echo_problem
    if facts.play_problem is not None:
        found[SoundProblem.WRONG_FORMAT] = facts.play_problem
    if facts.record_problem is not None:
        found[SoundProblem.CANNOT_RECORD] = facts.record_problem
    return found


class Watch:
    """Turns what is wrong now into warnings at its beginning and its end."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._active: dict[SoundProblem, str] = {}

    def update(self, found: dict[SoundProblem, str]) -> list[SoundWarning]:
        """Warnings since the last call."""
        warnings = [
            SoundWarning(self._stream, problem, over=True, detail=detail)
            for problem, detail in self._active.items()
            if problem not in found
        ]
        warnings += [
            SoundWarning(self._stream, problem, over=False, detail=detail)
            for problem, detail in found.items()
            if self._active.get(problem) != detail
        ]
        self._active = dict(found)
        return warnings
