"""The shapes of the local API that are about groups, and what the daemon does for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

GroupState: TypeAlias = Literal["member", "invited", "left", "removed"]
History: TypeAlias = Literal["none", "all"]


@dataclass(frozen=True)
class GroupMember:
    """Somebody in a group."""

    id: str
    """Station id, 56 characters; ours as well."""

    admin: bool
    """May change the group."""

    name: str = ""
    """The name as of now."""


@dataclass(frozen=True)
class Group:
    """A group, as it is known here."""

    id: str
    """``g`` and 56 characters; the conversation of its messages."""

    name: str
    """A label; others may have the same."""

    tag: str
    """Four characters that tell groups of one name apart."""

    state: GroupState
    """What we are in it; invited: our operator has not said yes."""

    admin: bool
    """We may change it."""

    history: History
    """What new members get of what was written before they came."""

    invited_by: str | None
    """Station id of who brought us in; None: we made it, or are not in."""

    members: tuple[GroupMember, ...]
    """Who is in, in the order of their ids."""

    unread: int
    """Messages in it that nobody has looked at."""


@dataclass(frozen=True)
class NewGroup:
    """POST /v1/groups."""

    name: str
    """1 to 40 visible characters."""

    members: tuple[str, ...] = ()
    """Stations to be invited, each as in `NewMessage`."""

    history: History = "none"
    """What new members get of what was written before."""


@dataclass(frozen=True)
class OfStation:
    """POST /v1/groups/GROUP/invite, /remove and /admin."""

    station: str
    """As in `NewMessage`, but never ``everyone``."""


@dataclass(frozen=True)
class NewGroupName:
    """POST /v1/groups/GROUP/rename."""

    name: str
    """1 to 40 visible characters."""


@dataclass(frozen=True)
class NewHistory:
    """POST /v1/groups/GROUP/history."""

    history: History
    """What new members get from now on of what was written before."""


class GroupBackend(Protocol):
    """The part of the daemon that answers; raises `ApiError`.

    `group` takes a group's id, the first characters of one (at least 5), or its name; where several
    groups answer to it, the error says so.  What changes a group returns when it is on disk.
    """

    def all(self) -> tuple[Group, ...]:
        """List groups: ours, invitations, those that we are not in any more."""

    def find(self, group: str) -> Group:
        """Find one."""

    async def make(self, new: NewGroup) -> Group:
        """Make a group."""

    async def invite(self, group: str, station: str) -> Group:
        """Bring a station in."""

    async def remove(self, group: str, station: str) -> Group:
        """Take a station out; what is written from then on it can't read."""

    async def appoint(self, group: str, station: str) -> Group:
        """Make a member an admin."""

    async def rename(self, group: str, name: str) -> Group:
        """Give it another name."""

    async def choose_history(self, group: str, history: History) -> Group:
        """Choose what new members get."""

    async def leave(self, group: str) -> Group:
        """Leave it; its keys are destroyed here."""

    async def accept(self, group: str) -> Group:
        """Say yes to an invitation."""

    async def decline(self, group: str) -> Group:
        """Say no to an invitation."""
