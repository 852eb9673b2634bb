"""Talk groups as the operator sees them: channels, who speaks, and the key to speak with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.model.group import GroupId
from appliance.model.identity import StationId
from appliance.model.record import Precedence


class KeyState(StrEnum):
    """What our own key does on a channel."""

    UP = "up"
    """It is not pressed."""

    WAITING = "waiting"
    """It is pressed, and somebody else speaks; it is our turn after that."""

    SPEAKING = "speaking"
    """Others hear us."""

    OVER = "over"
    """It is still pressed, and we may not speak any more: let go and press again."""


@dataclass(frozen=True)
class TalkView:
    """A channel as it is now."""

    channel: GroupId | None
    """Of which group; None: of everyone."""

    listening: bool = False
    """Our operator hears what is said."""

    key: KeyState = KeyState.UP
    """Our key on this channel."""

    speaker: StationId | None = None
    """Who speaks; None: nobody."""

    precedence: Precedence = Precedence.ROUTINE
    """How urgent that is."""

    has_key: bool = True
    """False: what is said can't be heard here, since the group's key has not come yet."""

    began_at: float | None = None
    """When the speaker began, in monotonic seconds of this machine."""

    sounded_at: float | None = None
    """When the first of it sounded here, or was spoken into our microphone; likewise."""

    level_db: float | None = None
    """How loud it is now, dB full scale."""

    replaying: bool = False
    """What was said lately is played again."""

    detail: str = ""
    """One sentence for the operator: why the key does not work, or what is wrong."""
