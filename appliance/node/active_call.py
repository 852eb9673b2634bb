"""A call that is going on: what the call logic keeps beside the operator's view of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from appliance.model.call import Call, CallState
from appliance.model.identity import Address
from appliance.node.call_media import CallMedia
from appliance.node.call_states import ANSWERED, UNANSWERED

RING_S: Final = 60.0
"""How long it rings here before the caller is told that nobody answers."""

DIAL_S: Final = 65.0
"""How long we let it ring there: a little more, so that theirs is the word that counts."""

AWAY_S: Final = 15.0
"""Without session and without sound for so long, a call is over."""

SECOND_REFRESH_S: Final = 3.0
"""After a new session the caller renews the keys; if it has not by then, the callee does."""

GLARE_S: Final = 5.0
"""After both sides dialled at once: how long we wait for their INVITE before we repeat ours."""

REOPEN_S: Final = 1.0
"""Between attempts to get a socket from a voice process that is being started again."""

MEDIA_AWAY_S: Final = 15.0
"""How long a call waits for the voice process."""


@dataclass(eq=False)
class ActiveCall:
    """One call that is not over."""

    call: Call
    """The operator's view."""

    media: CallMedia
    """Its stream."""

    leg: str | None = None
    """Its leg at the user agent; None: our INVITE has not left, or was taken back in a glare."""

    began_with: Address | None = None
    """Whom it was with before another station of its conference took its other end; None: nobody
    has."""

    hung_up: bool = False
    """Our operator has left: it goes on only until its other end is with whoever mixes next."""

    we_invited: bool = False
    """The first INVITE of the leg was ours."""

    peer_boot: bytes | None = None
    """The start of the other station that it was last in session with; another one knows nothing of
    this call."""

    offer: bytes | None = None
    """Their offer that waits for our answer; of the first INVITE or of a re-INVITE."""

    answer_wanted: bool = False
    """Our operator took the call, or dialled who was just dialling us."""

    refresh_due: bool = False
    """A re-INVITE with fresh keys is to be sent as soon as it can be."""

    refresh_at: float = inf
    """When it becomes due."""

    invite_at: float = -inf
    """Our INVITE waits until then (after a glare)."""

    restored: bool = False
    """It is from before a restart of ours, and was not renewed since."""

    returns_until: float | None = None
    """One of the two was restarted: when the call is given up unless it is renewed by then; None:
    there is nothing to come back from."""

    away_since: float | None = None
    """Since when there has been no session; None: there is one."""

    heard_at: float = -inf
    """When sound last arrived."""

    packets: int = 0
    """What `heard_at` is known by."""

    media_gone_since: float | None = None
    """Since when there has been no voice process; None: there is one."""

    reopen_at: float = inf
    """When to ask it for a socket again."""

    def gives_up_at(self, ring_s: float = RING_S) -> float:
        """When nobody has answered for too long; `ring_s`: how long it rings here."""
        if self.call.state is CallState.RINGING_HERE:
            return self.call.created_at + ring_s
        return self.call.created_at + DIAL_S if self.call.state in UNANSWERED else inf

    @property
    def lost_at(self) -> float:
        """When it counts as lost: no session and no sound, or not renewed after a restart."""
        until = inf if self.returns_until is None else self.returns_until
        if self.away_since is None:
            return until
        return min(until, max(self.away_since, self.heard_at) + AWAY_S)

    @property
    def media_lost_at(self) -> float:
        """When the voice process has been away for too long."""
        return inf if self.media_gone_since is None else self.media_gone_since + MEDIA_AWAY_S

    @property
    def is_away(self) -> bool:
        """It was answered, and has to be taken up again before it goes on."""
        broken = self.away_since is not None or self.returns_until is not None
        return broken and self.call.state in ANSWERED

    def next_wakeup(self, ring_s: float = RING_S) -> float:
        """Return when something is due; infinity: never."""
        waiting = self.invite_at if self.leg is None and self.away_since is None else inf
        return min(
            self.gives_up_at(ring_s),
            self.lost_at,
            self.media_lost_at,
            self.refresh_at,
            self.reopen_at,
            waiting if waiting > self.call.created_at else inf,
        )
