"""What a station knows of the conference that it is in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final

from appliance.model.conference import Conference, Member, MemberState
from appliance.model.identity import StationId
from appliance.node.active_call import ActiveCall
from appliance.node.call_states import ANSWERED

GONE_S: Final = 2.0
"""Without session and without sound for so long, whoever mixed has gone."""

SILENT_S: Final = 4.0
"""Likewise where the session still seems to be there: the power failed, or the voice process."""

DOUBT_S: Final = 1.5
"""Unheard for so long, the focus may be replaced by another member who calls us: they count from
their last sound, we from ours."""

SEARCH_S: Final = 15.0
"""How long a conference without focus waits for one before it is over."""

TURN_S: Final = 1.5
"""How much later each further member takes over when those before it have not."""


class Role(StrEnum):
    """What our station is in a conference."""

    FOCUS = "focus"
    """It mixes."""

    MEMBER = "member"
    """Another one mixes."""

    SEARCHING = "searching"
    """Nobody mixes: the focus has gone, or we were it and have lost everybody."""

    LEAVING = "leaving"
    """Our operator has left; we mix until the others are with the next one."""


@dataclass(eq=False)
class Seat:
    """A member as we know it."""

    station: StationId
    """Which."""

    number: int
    """The order of joining."""

    state: MemberState
    """Where it is."""

    talking: bool = False
    """Its voice is heard."""

    call: str | None = None
    """Our call with it, where we mix."""

    try_at: float = inf
    """When to call it again, having lost it."""

    forget_at: float = inf
    """When a lost one is given up."""

    again: bool = False
    """It was in the conference before: nobody is asked there whether he wants to come."""

    boot: bytes | None = None
    """The start of the station when it came; whoever was restarted since knows of no conference."""

    told: tuple[bytes, object] | None = None
    """The roster it was sent last, and the session that took it."""


@dataclass(eq=False)
class Room:
    """The conference that our console is in."""

    id: str
    """Its id."""

    role: Role
    """What we are in it."""

    focus: StationId
    """Who mixes, as far as we know."""

    seats: dict[StationId, Seat] = field(default_factory=dict)
    """Everybody, ourselves among them."""

    main: str | None = None
    """Our call with the focus; where we mix, the call that keeps our place when all others end."""

    was_focus: bool = False
    """We mixed until we lost everybody: whoever has taken over calls us."""

    successor: StationId | None = None
    """Who mixes next, as a leaving focus has said."""

    turn_at: float = inf
    """When it is our turn to take over."""

    search_until: float = inf
    """When a search is given up."""

    handed: dict[str, bool] = field(default_factory=dict)
    """Calls of ours that go on until whom they are with has gone over to another focus; whether
    they have been told to."""

    farewell: bytes = b""
    """What they are told."""

    handed_until: float = inf
    """When they end in any case."""

    wishes: list[StationId] = field(default_factory=list)
    """Whom our focus is to call."""

    mixed: tuple[tuple[str, ...], bool] | None = None
    """What the voice process was told to mix."""

    talking_from: float = -inf
    """From when on a change of who talks may be told again."""

    told_talking: frozenset[StationId] = frozenset()
    """Who talked when it was last told."""

    @property
    def next_number(self) -> int:
        """Return the number of who joins next."""
        return max(seat.number for seat in self.seats.values()) + 1

    def ordered(self) -> list[Seat]:
        """Return the seats by number."""
        return sorted(self.seats.values(), key=lambda seat: seat.number)

    def view(self) -> Conference:
        """Return it as the operator sees it."""
        members = tuple(
            Member(seat.station, seat.number, seat.state, seat.talking) for seat in self.ordered()
        )
        return Conference(self.id, self.focus, members, self.role is Role.SEARCHING)


def silent_at(active: ActiveCall) -> float:
    """Return when a call counts as lost for a conference; infinity: not as it is."""
    if active.media_gone_since is not None or active.call.state not in ANSWERED:
        return inf
    return active.heard_at + (SILENT_S if active.away_since is None else GONE_S)


def connected(active: ActiveCall, now: float) -> bool:
    """Tell whether a call carries sound."""
    return active.leg is not None and active.call.state in ANSWERED and now < silent_at(active)
