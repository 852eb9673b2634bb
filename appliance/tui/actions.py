"""What can happen to what the screen knows; `store.reduce` takes these in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from appliance.api.groups import Group
from appliance.api.schema import (
    CallInfo,
    Link,
    Message,
    MessagePage,
    Playback,
    Problem,
    Recording,
    Station,
    Status,
    Verification,
)
from appliance.api.storage import Removed
from appliance.api.talking import TalkInfo
from appliance.tui.talks import Talk


@dataclass(frozen=True)
class Loaded:
    """Everything was asked for anew."""

    status: Status
    stations: tuple[Station, ...]
    calls: tuple[CallInfo, ...]
    verifications: tuple[Verification, ...]
    links: tuple[Link, ...]
    now_s: float
    groups: tuple[Group, ...] = ()
    channels: tuple[TalkInfo, ...] = ()


@dataclass(frozen=True)
class Lost:
    """The daemon does not answer."""

    trouble: str


@dataclass(frozen=True)
class StatusCame:
    """Our station's status."""

    status: Status
    now_s: float


@dataclass(frozen=True)
class StationCame:
    """One station, new or changed."""

    station: Station
    now_s: float


@dataclass(frozen=True)
class GroupCame:
    """One group, new or changed."""

    group: Group


@dataclass(frozen=True)
class PageCame:
    """Messages right before those that are here."""

    conversation: str
    page: MessagePage


@dataclass(frozen=True)
class NewerCame:
    """Messages right behind those that are here; `last`: there are none behind them."""

    conversation: str
    messages: tuple[Message, ...]
    last: bool


@dataclass(frozen=True)
class WindowCame:
    """Another part of a conversation, instead of what was here."""

    conversation: str
    talk: Talk


@dataclass(frozen=True)
class Counted:
    """Messages that were looked at for what waits in their conversations."""

    messages: tuple[Message, ...]


@dataclass(frozen=True)
class GivenUpSeen:
    """The operator has seen of messages that they were given up."""

    conversation: str
    messages: frozenset[str]


@dataclass(frozen=True)
class RemovedCame:
    """What had to make room."""

    removed: tuple[Removed, ...]


@dataclass(frozen=True)
class MessageCame:
    """A message, new or in a new state."""

    message: Message


@dataclass(frozen=True)
class MarkedRead:
    """The daemon noted that a conversation was seen up to an order."""

    conversation: str
    up_to: int


@dataclass(frozen=True)
class CallCame:
    """A call, new or changed."""

    call: CallInfo
    now_s: float


@dataclass(frozen=True)
class CallsSeen:
    """The operator has looked at the missed calls of a conversation."""

    conversation: str


@dataclass(frozen=True)
class ChannelCame:
    """A channel of push to talk, new or changed."""

    channel: TalkInfo
    now_s: float


@dataclass(frozen=True)
class VerificationCame:
    """A comparison, new or changed."""

    verification: Verification


@dataclass(frozen=True)
class RecordingCame:
    """A recording, new or further on."""

    recording: Recording


@dataclass(frozen=True)
class PlaybackCame:
    """What is played, or was last."""

    playback: Playback


@dataclass(frozen=True)
class LinksCame:
    """All network interfaces."""

    links: tuple[Link, ...]


@dataclass(frozen=True)
class AlarmCame:
    """Something that must not be missed."""

    problem: Problem


@dataclass(frozen=True)
class AlarmsRead:
    """The operator acknowledged all alarms that are shown."""


@dataclass(frozen=True)
class EmergencyShown:
    """The operator goes to an emergency."""

    message: str


@dataclass(frozen=True)
class Selected:
    """The operator chose a conversation."""

    conversation: str


Action: TypeAlias = (
    Loaded
    | Lost
    | StatusCame
    | StationCame
    | GroupCame
    | PageCame
    | NewerCame
    | WindowCame
    | Counted
    | GivenUpSeen
    | RemovedCame
    | MessageCame
    | MarkedRead
    | CallCame
    | CallsSeen
    | ChannelCame
    | VerificationCame
    | RecordingCame
    | PlaybackCame
    | LinksCame
    | AlarmCame
    | AlarmsRead
    | EmergencyShown
    | Selected
)
