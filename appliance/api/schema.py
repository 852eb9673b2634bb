"""The shapes of the local API, version 1, as they stand in JSON.

A field that a newer daemon adds is ignored by an older client, so fields may be added within a
version but never removed or given another meaning.  Times on the wall are milliseconds since 1970
with a flag that says whether the clock was sure; durations are seconds.  `jsonable.py` reads and
writes these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from appliance.api.attachments import Attachment as Attachment
from appliance.api.basics import Problem as Problem
from appliance.api.basics import WallTime as WallTime
from appliance.api.calls import CallDetails as CallDetails
from appliance.api.calls import CallInfo as CallInfo
from appliance.api.calls import CallPage as CallPage
from appliance.api.comparing import Verification as Verification
from appliance.api.comparing import VerificationState as VerificationState
from appliance.api.groups import Group as Group
from appliance.api.groups import GroupMember as GroupMember
from appliance.api.machine import Check as Check
from appliance.api.machine import CheckResult as CheckResult
from appliance.api.machine import MediaStatus as MediaStatus
from appliance.api.machine import SoundSettings as SoundSettings
from appliance.api.machine import SoundTest as SoundTest
from appliance.api.mesh import Link as Link
from appliance.api.mesh import Mesh as Mesh
from appliance.api.mesh import MeshEdge as MeshEdge
from appliance.api.mesh import MeshNode as MeshNode
from appliance.api.mesh import MeshPath as MeshPath
from appliance.api.mesh import MeshStatus as MeshStatus
from appliance.api.mesh import Neighbour as Neighbour
from appliance.api.mesh import PathHop as PathHop
from appliance.api.mesh import Router as Router
from appliance.api.recordings import Playback as Playback
from appliance.api.recordings import Recording as Recording

API_VERSION = 1
EVERYONE = "everyone"
"""The conversation of what is written to all; every other is the text of a station's or group's
id."""

BEGINNING = (0, "0" * 64)
"""Order and id before those of all messages."""

Trust: TypeAlias = Literal["new", "known", "verified"]
Reach: TypeAlias = Literal["here", "reachable", "connecting", "away"]
MessageState: TypeAlias = Literal["queued", "relayed", "delivered", "read", "expired"]
Precedence: TypeAlias = Literal["routine", "welfare", "priority", "emergency"]


@dataclass(frozen=True)
class Status:
    """The station itself."""

    version: str
    """Of the program."""

    id: str
    """Station id, 56 characters."""

    spoken_id: str
    """The id in groups, for reading out."""

    tag: str
    """The id's first four characters."""

    name: str
    """What others see."""

    name_is_default: bool
    """The operator has not chosen a name yet."""

    number: str
    """Seven digits that ring the console."""

    address: str
    """IPv6 address computed from the key."""

    boot: str
    """Changes with every start of the daemon (hex)."""

    uptime_s: float
    """Since the daemon's start."""

    port: int
    """TCP port on which sessions are taken."""

    reach: int
    """Stations that can be reached now, with a session or without."""

    unread: int
    """Messages that nobody has looked at."""

    clock: WallTime
    """Our wall clock."""

    media: MediaStatus
    """The voice process."""

    problems: tuple[Problem, ...]
    """What is wrong now, worst first."""

    missed_calls: int = 0
    """Calls that were missed, and nobody has looked at."""

    mesh: MeshStatus = field(default_factory=MeshStatus)
    """How far it is part of a mesh."""

    clock_source: str = ""
    """Where the time comes from, in words: ``clock from GPS, 2 stations away``."""


@dataclass(frozen=True)
class Station:
    """Another station."""

    id: str
    """Station id, 56 characters."""

    tag: str
    """Shown with the name unless the station is verified."""

    name: str
    """From its card; its default name where no card has come yet."""

    number: str
    """Seven digits of its console."""

    trust: Trust
    """verified: compared aloud; known: we wrote to it or called it; new: the rest."""

    reach: Reach
    """here: a proved session stands; reachable: one could be had, since there is a way."""

    since_s: float | None
    """How long it has been in this reach; None: never met since our start."""

    last_seen: WallTime | None
    """When a session with it last stood, by our clock."""

    rtt_ms: float | None
    """Round trip of the session; None while there is none."""

    host: str | None
    """The session's other end, or where it was last found."""

    link: str | None
    """Our interface towards it."""

    unread: int
    """Messages from it that nobody has looked at."""

    alarm: str | None
    """A sentence when it uses a verified contact's name or number under another key."""

    has_card: bool
    """Its card is here, so that it can be written to."""

    clock_off_s: float | None
    """How far its machine's clock is from the time here; None: not known."""

    hops: int | None = None
    """Links between us: 1 for a neighbour; None: not known."""

    metric: int | None = None
    """Cost of the way, by the routing protocol."""


@dataclass(frozen=True)
class Recipient:
    """How far a message came with one recipient."""

    station: str
    """Station id."""

    state: MessageState
    """Never goes back."""

    at: WallTime | None
    """When it came into this state, by our clock."""


@dataclass(frozen=True)
class Message:
    """One message in one conversation."""

    id: str
    """Hash of the record, hex."""

    conversation: str
    """Station id of the other side, id of a group, or ``everyone``."""

    author: str
    """Station id."""

    author_name: str
    """The name as of now."""

    outgoing: bool
    """We wrote it."""

    text: str
    """Up to 16,000 characters; may be empty where files come with it."""

    line: str
    """Line at the recipient that it is for."""

    precedence: Precedence
    """How urgent its author said it is."""

    state: MessageState
    """To everyone: the furthest that any recipient came; to a group: how far it came with all of
    its members; else the recipient's."""

    recipients: tuple[Recipient, ...]
    """For our own messages, at most 64, furthest first."""

    delivered_to: int
    """How many stations have it on disk."""

    written_at: WallTime
    """What its author claims."""

    received_at: WallTime
    """When it came to our disk, by our clock."""

    order: int
    """Sorts a conversation (ties: id); page by both."""

    unread: bool
    """Incoming, and nobody has looked at it."""

    problem: str | None
    """Why it is still waiting, where that is known."""

    notice: bool = False
    """Nobody wrote it: `text` says what happened in the group; `author` did it."""

    carried_by: int = 0
    """How many of our neighbours pass it on, or did."""

    attachments: tuple[Attachment, ...] = ()
    """The files that come with it."""

    lifetime_s: int | None = None
    """Ours: seconds after which it is given up, as it was written; None: never."""

    expires_in_s: int | None = None
    """Ours, with a lifetime: seconds of our running until it is given up; below 0: since then."""


@dataclass(frozen=True)
class MessagePage:
    """Part of a conversation, oldest first."""

    messages: tuple[Message, ...]
    """At most what was asked for."""

    more: bool
    """There are older ones; where it was asked for those after a place, newer ones."""


@dataclass(frozen=True)
class ErrorBody:
    """What an unsuccessful request answers, under the key ``error``."""

    code: str
    """For programs, such as ``unknown-station``."""

    text: str
    """What happened."""

    fix: str
    """What to do."""


EventType: TypeAlias = Literal[
    "reset",
    "status",
    "station",
    "message",
    "group",
    "call",
    "talk",
    "verification",
    "recording",
    "playback",
    "links",
    "storage",
    "alarm",
]
"""What the `data` of an event is: ``status``: Status; ``station``: Station; ``message``: Message
(new, or in a new state); ``group``: Group; ``call``: CallInfo; ``talk``: TalkInfo;
``verification``: Verification; ``recording``: Recording; ``playback``: Playback; ``links``: empty,
ask again; ``storage``: empty, messages had to make room, ask again; ``alarm``: Problem; ``reset``:
empty: load everything anew, since events were missed or a client has just begun to follow."""


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    cursor: str
    """Give it to ``/v1/events?cursor=`` to go on after it."""

    type: EventType
    """What happened."""

    data: dict[str, object]
    """See `EventType`."""
