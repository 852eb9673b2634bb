"""The four transaction state machines of RFC 3261 section 17, with RFC 6026's Accepted state.

They are tables: what happens in which state, and what is done then.  A transaction here knows
neither addresses nor headers; `transaction_layer` finds the right one for a message and carries
out its actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

T1_S: Final = 0.5
"""RFC 3261 section 17.1.1.1: the round trip that is assumed."""

T2_S: Final = 4.0
"""RFC 3261 section 17.1.2.1: the longest pause between retransmissions, INVITE excepted."""

T4_S: Final = 5.0
"""RFC 3261 section 17.1.2.1: how long a message can stay in the network."""

GIVE_UP_S: Final = 64 * T1_S
"""RFC 3261 timers B, D, F, H and J, RFC 6026 timers L and M."""


class Kind(StrEnum):
    """Which of the four machines."""

    INVITE_CLIENT = "invite-client"
    """RFC 3261 section 17.1.1, RFC 6026 section 7.2."""

    NON_INVITE_CLIENT = "non-invite-client"
    """RFC 3261 section 17.1.2."""

    INVITE_SERVER = "invite-server"
    """RFC 3261 section 17.2.1, RFC 6026 section 7.1."""

    NON_INVITE_SERVER = "non-invite-server"
    """RFC 3261 section 17.2.2."""


class State(StrEnum):
    """Where a transaction is, in the RFC's words."""

    CALLING = "calling"
    """The INVITE is out and nothing has come back."""

    TRYING = "trying"
    """The request is out, or has come in, and there is no response yet."""

    PROCEEDING = "proceeding"
    """There was a provisional response, or an INVITE came in."""

    ACCEPTED = "accepted"
    """RFC 6026: there was a 2xx; stays to catch what is sent again."""

    COMPLETED = "completed"
    """There was a final response."""

    CONFIRMED = "confirmed"
    """The ACK has come; stays to catch further ones."""

    TERMINATED = "terminated"
    """Over; to be forgotten."""


class Happening(StrEnum):
    """What can happen to a transaction."""

    PROVISIONAL = "provisional"
    """A 1xx: a client receives it, a server's user gives it."""

    SUCCESS = "success"
    """A 2xx."""

    FAILURE = "failure"
    """A 300-699."""

    REQUEST = "request"
    """The request came once more."""

    ACK = "ack"
    """The ACK of a 300-699 came."""

    RETRANSMIT = "retransmit"
    """Timer A, E or G."""

    TIMEOUT = "timeout"
    """Timer B, F or H."""

    LINGERED = "lingered"
    """Timer D, I, J, K, L or M."""

    LINK_BACK = "link-back"
    """Ours: a new connection to the peer; what the old one had in flight may be lost."""


class Action(StrEnum):
    """What is to be done."""

    SEND_REQUEST = "send-request"
    """Send the request, again."""

    SEND_RESPONSE = "send-response"
    """Send the last response, if there is one."""

    SEND_ACK = "send-ack"
    """Send the ACK of the 300-699."""

    PASS_UP = "pass-up"  # noqa: S105
    """Give the response to the user."""

    REPORT_TIMEOUT = "report-timeout"
    """Tell the user that the peer is silent."""


Step = tuple[State, tuple[Action, ...]]
Table = dict[tuple[State, Happening], Step]

_INVITE_CLIENT: Final[Table] = {
    (State.CALLING, Happening.RETRANSMIT): (State.CALLING, (Action.SEND_REQUEST,)),
    (State.CALLING, Happening.LINK_BACK): (State.CALLING, (Action.SEND_REQUEST,)),
    (State.CALLING, Happening.TIMEOUT): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.CALLING, Happening.PROVISIONAL): (State.PROCEEDING, (Action.PASS_UP,)),
    (State.CALLING, Happening.SUCCESS): (State.ACCEPTED, (Action.PASS_UP,)),
    (State.CALLING, Happening.FAILURE): (State.COMPLETED, (Action.SEND_ACK, Action.PASS_UP)),
    (State.PROCEEDING, Happening.PROVISIONAL): (State.PROCEEDING, (Action.PASS_UP,)),
    (State.PROCEEDING, Happening.SUCCESS): (State.ACCEPTED, (Action.PASS_UP,)),
    (State.PROCEEDING, Happening.FAILURE): (State.COMPLETED, (Action.SEND_ACK, Action.PASS_UP)),
    (State.PROCEEDING, Happening.LINK_BACK): (State.PROCEEDING, (Action.SEND_REQUEST,)),
    (State.ACCEPTED, Happening.SUCCESS): (State.ACCEPTED, (Action.PASS_UP,)),
    (State.ACCEPTED, Happening.LINGERED): (State.TERMINATED, ()),
    (State.COMPLETED, Happening.FAILURE): (State.COMPLETED, (Action.SEND_ACK,)),
    (State.COMPLETED, Happening.LINGERED): (State.TERMINATED, ()),
}

_NON_INVITE_CLIENT: Final[Table] = {
    (State.TRYING, Happening.RETRANSMIT): (State.TRYING, (Action.SEND_REQUEST,)),
    (State.TRYING, Happening.LINK_BACK): (State.TRYING, (Action.SEND_REQUEST,)),
    (State.TRYING, Happening.TIMEOUT): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.TRYING, Happening.PROVISIONAL): (State.PROCEEDING, (Action.PASS_UP,)),
    (State.TRYING, Happening.SUCCESS): (State.COMPLETED, (Action.PASS_UP,)),
    (State.TRYING, Happening.FAILURE): (State.COMPLETED, (Action.PASS_UP,)),
    (State.PROCEEDING, Happening.RETRANSMIT): (State.PROCEEDING, (Action.SEND_REQUEST,)),
    (State.PROCEEDING, Happening.LINK_BACK): (State.PROCEEDING, (Action.SEND_REQUEST,)),
    (State.PROCEEDING, Happening.TIMEOUT): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.PROCEEDING, Happening.PROVISIONAL): (State.PROCEEDING, (Action.PASS_UP,)),
    (State.PROCEEDING, Happening.SUCCESS): (State.COMPLETED, (Action.PASS_UP,)),
    (State.PROCEEDING, Happening.FAILURE): (State.COMPLETED, (Action.PASS_UP,)),
    (State.COMPLETED, Happening.LINGERED): (State.TERMINATED, ()),
}

_INVITE_SERVER: Final[Table] = {
    (State.PROCEEDING, Happening.REQUEST): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Happening.PROVISIONAL): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Happening.SUCCESS): (State.ACCEPTED, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Happening.FAILURE): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.ACCEPTED, Happening.REQUEST): (State.ACCEPTED, ()),
    (State.ACCEPTED, Happening.SUCCESS): (State.ACCEPTED, (Action.SEND_RESPONSE,)),
    (State.ACCEPTED, Happening.LINGERED): (State.TERMINATED, ()),
    (State.COMPLETED, Happening.REQUEST): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Happening.RETRANSMIT): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Happening.LINK_BACK): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Happening.ACK): (State.CONFIRMED, ()),
    (State.COMPLETED, Happening.TIMEOUT): (State.TERMINATED, (Action.REPORT_TIMEOUT,)),
    (State.CONFIRMED, Happening.LINGERED): (State.TERMINATED, ()),
}

_NON_INVITE_SERVER: Final[Table] = {
    (State.TRYING, Happening.REQUEST): (State.TRYING, ()),
    (State.TRYING, Happening.PROVISIONAL): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.TRYING, Happening.SUCCESS): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.TRYING, Happening.FAILURE): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Happening.REQUEST): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Happening.PROVISIONAL): (State.PROCEEDING, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Happening.SUCCESS): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.PROCEEDING, Happening.FAILURE): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Happening.REQUEST): (State.COMPLETED, (Action.SEND_RESPONSE,)),
    (State.COMPLETED, Happening.LINGERED): (State.TERMINATED, ()),
}

TABLES: Final[dict[Kind, Table]] = {
    Kind.INVITE_CLIENT: _INVITE_CLIENT,
    Kind.NON_INVITE_CLIENT: _NON_INVITE_CLIENT,
    Kind.INVITE_SERVER: _INVITE_SERVER,
    Kind.NON_INVITE_SERVER: _NON_INVITE_SERVER,
}

FIRST_STATE: Final = {
    Kind.INVITE_CLIENT: State.CALLING,
    Kind.NON_INVITE_CLIENT: State.TRYING,
    Kind.INVITE_SERVER: State.PROCEEDING,
    Kind.NON_INVITE_SERVER: State.TRYING,
}


@dataclass(frozen=True)
class Timers:
    """The timers of one state."""

    retransmit_first_s: float | None = None
    """First pause before a retransmission on an unreliable transport; None: there is none."""

    retransmit_cap_s: float = inf
    """Pauses double up to here."""

    timeout_s: float | None = None
    """Timer B, F or H; None: none starts here."""

    timeout_goes_on: bool = False
    """The timeout of the state before still holds."""

    linger_s: float | None = None
    """Timer D, I, J, K, L or M; None: the state does not end by itself."""

    linger_on_reliable: bool = False
    """False: on a reliable transport the state ends at once."""


TIMERS: Final = {
    (Kind.INVITE_CLIENT, State.CALLING): Timers(retransmit_first_s=T1_S, timeout_s=GIVE_UP_S),
    (Kind.INVITE_CLIENT, State.COMPLETED): Timers(linger_s=GIVE_UP_S),
    (Kind.INVITE_CLIENT, State.ACCEPTED): Timers(linger_s=GIVE_UP_S, linger_on_reliable=True),
    (Kind.NON_INVITE_CLIENT, State.TRYING): Timers(
        retransmit_first_s=T1_S, retransmit_cap_s=T2_S, timeout_s=GIVE_UP_S
    ),
    (Kind.NON_INVITE_CLIENT, State.PROCEEDING): Timers(
        retransmit_first_s=T2_S, retransmit_cap_s=T2_S, timeout_goes_on=True
    ),
    (Kind.NON_INVITE_CLIENT, State.COMPLETED): Timers(linger_s=T4_S),
    (Kind.INVITE_SERVER, State.COMPLETED): Timers(
        retransmit_first_s=T1_S, retransmit_cap_s=T2_S, timeout_s=GIVE_UP_S
    ),
    (Kind.INVITE_SERVER, State.CONFIRMED): Timers(linger_s=T4_S),
    (Kind.INVITE_SERVER, State.ACCEPTED): Timers(linger_s=GIVE_UP_S, linger_on_reliable=True),
    (Kind.NON_INVITE_SERVER, State.COMPLETED): Timers(linger_s=GIVE_UP_S),
}

_NO_TIMERS: Final = Timers()


class Transaction:
    """One transaction: a state, its timers, and nothing else."""

    def __init__(self, kind: Kind, *, reliable: bool, now: float) -> None:
        self.kind = kind
        self.reliable = reliable
        self.state = FIRST_STATE[kind]
        self._retransmit_at = inf
        self._pause_s = inf
        self._timeout_at = inf
        self._linger_at = inf
        self._enter(now)

    def handle(self, happening: Happening, now: float) -> tuple[Action, ...]:
        """Take one step and say what is to be done; what has no place in the state is ignored."""
        step = TABLES[self.kind].get((self.state, happening))
        if step is None:
            return ()
        before, (self.state, actions) = self.state, step
        if self.state is not before:
            self._enter(now)
        return actions

    def handle_timer(self, now: float) -> tuple[Action, ...]:
        """Do what is due."""
        if now >= self._linger_at:
            return self.handle(Happening.LINGERED, now)
        if now >= self._timeout_at:
            return self.handle(Happening.TIMEOUT, now)
        if now >= self._retransmit_at:
            cap_s = TIMERS[self.kind, self.state].retransmit_cap_s
            self._pause_s = min(2 * self._pause_s, cap_s)
            self._retransmit_at = now + self._pause_s
            return self.handle(Happening.RETRANSMIT, now)
        return ()

    def next_wakeup(self) -> float:
        """Return when `handle_timer` has something to do; infinity: never."""
        return min(self._retransmit_at, self._timeout_at, self._linger_at)

    @property
    def is_over(self) -> bool:
        """It can be forgotten."""
        return self.state is State.TERMINATED

    def _enter(self, now: float) -> None:
        timers = TIMERS.get((self.kind, self.state), _NO_TIMERS)
        self._retransmit_at = self._linger_at = inf
        if not timers.timeout_goes_on:
            self._timeout_at = inf if timers.timeout_s is None else now + timers.timeout_s
        if timers.retransmit_first_s is not None and not self.reliable:
            self._pause_s = timers.retransmit_first_s
            self._retransmit_at = now + self._pause_s
        if timers.linger_s is not None:
            if self.reliable and not timers.linger_on_reliable:
                self.state = State.TERMINATED
            else:
                self._linger_at = now + timers.linger_s
