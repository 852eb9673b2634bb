"""The shapes of the local API that are about talk groups, and what the daemon does for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

TalkPrecedence: TypeAlias = Literal["routine", "welfare", "priority", "emergency"]
TalkKeyState: TypeAlias = Literal["up", "waiting", "speaking", "over"]
MAX_REPLAY_S = 120.0
"""What was said before that is forgotten."""


@dataclass(frozen=True)
class TalkInfo:
    """A channel of push to talk: everyone's, or that of a group that we are in."""

    channel: str
    """``everyone``, or the group's id."""

    name: str
    """``everyone``, or the group's name."""

    open: bool
    """Anybody can hear it, and pretend to be somebody else on it."""

    listening: bool
    """What is said is heard here; kept over restarts."""

    key: TalkKeyState
    """Our own key.  waiting: somebody else speaks, then it is our turn; over: it has to be let go
    and pressed anew."""

    speaker: str | None
    """Station id of who speaks, ours as well; None: nobody."""

    speaker_name: str
    """Its name; empty: nobody speaks."""

    precedence: TalkPrecedence
    """How urgent that is."""

    has_key: bool
    """False: the speaker can't be heard here, since the group's key has not come yet."""

    talking_s: float | None
    """For how long it has been speaking."""

    sounded_at_s: float | None
    """When the first of it sounded here or was spoken here, on this machine's monotonic clock."""

    level_db: float | None
    """How loud it is, dB full scale; None: not known."""

    replaying: bool
    """What was said lately is played again."""

    detail: str
    """A sentence for the operator where there is something to say; else empty."""


@dataclass(frozen=True)
class Listen:
    """POST /v1/talk/CHANNEL/listen."""

    on: bool = True
    """False: hear it no more."""

    record: str | None = None
    """WAV file, by its whole path, in place of the speaker."""


@dataclass(frozen=True)
class Press:
    """POST /v1/talk/CHANNEL/press."""

    precedence: TalkPrecedence = "routine"
    """What is more urgent than what is being said takes the floor at once."""

    play: str | None = None
    """WAV file, by its whole path, in place of the microphone."""


@dataclass(frozen=True)
class Replay:
    """POST /v1/talk/CHANNEL/replay."""

    on: bool = True
    """False: stop it."""

    from_s: float = MAX_REPLAY_S
    """How many seconds back to begin; above 0, at most 120."""


class TalkBackend(Protocol):
    """The part of the daemon that answers; raises `ApiError`.

    `channel` is ``everyone``, or names a group as in `GroupBackend`.
    """

    def all(self) -> tuple[TalkInfo, ...]:
        """List channels, everyone's first."""

    async def listen(self, channel: str, wanted: Listen) -> TalkInfo:
        """Hear what is said on a channel, or no more."""

    async def press(self, channel: str, wanted: Press) -> TalkInfo:
        """Press the key: speak, or wait for our turn; 60 s at most.  One channel at a time."""

    async def release(self, channel: str) -> TalkInfo:
        """Let it go."""

    def replay(self, channel: str, wanted: Replay) -> TalkInfo:
        """Play again what was said lately."""
