"""What the station wants done.  Whoever runs it carries these out in the order given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from appliance.model.group import GroupId
from appliance.model.identity import StationId
from appliance.protocol.frames import Channel

if TYPE_CHECKING:
    from appliance.node.call_effects import CallEffect
    from appliance.node.ports import Operation

R = TypeVar("R")


@dataclass(frozen=True)
class Send:
    """Send a message over the session with a peer; dropped when there is none."""

    peer: StationId
    """To whom."""

    channel: Channel
    """What it is."""

    data: bytes
    """The message."""

    urgent: bool = False
    """It goes before all but signalling, however much waits."""


@dataclass(frozen=True)
class Transact(Generic[R]):
    """Carry out an operation on the store."""

    operation: Operation[R]
    """What."""

    then: Callable[[R], Sequence[Effect]]
    """Called with the result once it is on disk; what it returns is carried out next."""

    failed: Callable[[str], Sequence[Effect]] = field(default=lambda _: ())
    """Called with a sentence for the operator when it could not be stored; nothing was."""

    lazy: bool = False
    """It may wait for somebody else's commit.  `then` is called when that is done; what the
    operation did is seen by later operations at once."""

    early: Callable[[R], Sequence[Effect]] = field(default=lambda _: ())
    """Lazy only: called as soon as later operations see it, before it is on disk."""


@dataclass(frozen=True)
class Dial:
    """Try to reach a station at its candidates, a little after one another (RFC 8305)."""

    attempt: int
    """Names the attempt in the answer."""

    wanted: StationId | None
    """Whose key has to be proved; None: learn who it is."""

    candidates: tuple[tuple[str, int], ...]
    """Hosts and ports, best first."""


@dataclass(frozen=True)
class EndSession:
    """Say goodbye on a session."""

    handle: int
    """Which."""

    reason: str
    """For programs."""


@dataclass(frozen=True)
class StationChanged:
    """Something about a station that clients show is new."""

    station: StationId
    """Which."""


@dataclass(frozen=True)
class MessageChanged:
    """A message is new, or in a new state."""

    message: bytes
    """Its record id."""


@dataclass(frozen=True)
class GroupChanged:
    """Something is new in what is known of a group."""

    group: GroupId
    """Which."""


@dataclass(frozen=True)
class TalkChanged:
    """Something is new on a channel of a talk group."""

    channel: GroupId | None
    """Of which group; None: of everyone."""


@dataclass(frozen=True)
class VerificationChanged:
    """A comparison is new, or in a new state."""

    verification: str
    """Its id."""


@dataclass(frozen=True)
class AlarmRaised:
    """Something that the operator must not miss."""

    code: str
    """For programs."""

    text: str
    """What happened."""

    fix: str
    """What to do."""


@dataclass(frozen=True)
class AlarmOver:
    """What an alarm was raised for is over."""

    code: str
    """The alarm's."""


@dataclass(frozen=True)
class AvoidRoute:
    """Let the network helper reach a station another way than over this neighbour."""

    station: StationId
    """To whom."""

    interface: str
    """Our interface towards the neighbour."""

    via: str
    """The neighbour's link-local address."""


Change: TypeAlias = (
    StationChanged
    | MessageChanged
    | GroupChanged
    | TalkChanged
    | VerificationChanged
    | AlarmRaised
    | AlarmOver
)

Effect: TypeAlias = "Send | Transact[Any] | Dial | EndSession | AvoidRoute | Change | CallEffect"
