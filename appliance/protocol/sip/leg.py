"""A leg: one call of a user agent, with the dialog that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from sipmessage import Request, Response

from appliance.protocol.sip.dialog import Dialog
from appliance.protocol.sip.transaction_layer import Exchange, Hop


class UserAgentError(RuntimeError):
    """The user of the user agent did what the state of the leg does not allow."""


class LegState(StrEnum):
    """Where a leg is."""

    CALLING = "calling"
    """Our INVITE has no final response."""

    CANCELLING = "cancelling"
    """We gave up; the final response to our INVITE is still to come."""

    INVITED = "invited"
    """Their INVITE has no final response from us."""

    ANSWERED = "answered"
    """Our 2xx has no ACK."""

    LEAVING = "leaving"
    """We hung up, but a BYE must wait for the ACK (RFC 3261 section 15)."""

    TALKING = "talking"
    """The dialog is confirmed on both sides."""

    OVER = "over"
    """To be forgotten."""


class LegStep(StrEnum):
    """What can happen to a leg."""

    SUCCESS = "success"
    """A 2xx to our INVITE."""

    FAILURE = "failure"
    """A 300-699 to our INVITE, or silence."""

    CANCEL = "cancel"
    """We give up, or they do."""

    ACCEPT = "accept"
    """We send a 2xx."""

    REJECT = "reject"
    """We send a 300-699."""

    ACK = "ack"
    """The ACK of our 2xx came, or what implies it."""

    NO_ACK = "no-ack"
    """It did not."""

    BYE = "bye"
    """We hang up."""

    REMOTE_BYE = "remote-bye"
    """They hang up."""


LEG_STEPS: Final = {
    (LegState.CALLING, LegStep.SUCCESS): LegState.TALKING,
    (LegState.CALLING, LegStep.FAILURE): LegState.OVER,
    (LegState.CALLING, LegStep.CANCEL): LegState.CANCELLING,
    (LegState.CANCELLING, LegStep.SUCCESS): LegState.OVER,
    (LegState.CANCELLING, LegStep.FAILURE): LegState.OVER,
    (LegState.INVITED, LegStep.ACCEPT): LegState.ANSWERED,
    (LegState.INVITED, LegStep.REJECT): LegState.OVER,
    (LegState.INVITED, LegStep.CANCEL): LegState.OVER,
    (LegState.ANSWERED, LegStep.ACK): LegState.TALKING,
    (LegState.ANSWERED, LegStep.NO_ACK): LegState.OVER,
    (LegState.ANSWERED, LegStep.BYE): LegState.LEAVING,
    (LegState.ANSWERED, LegStep.REMOTE_BYE): LegState.OVER,
    (LegState.LEAVING, LegStep.ACK): LegState.OVER,
    (LegState.LEAVING, LegStep.NO_ACK): LegState.OVER,
    (LegState.LEAVING, LegStep.REMOTE_BYE): LegState.OVER,
    (LegState.TALKING, LegStep.ACK): LegState.TALKING,
    (LegState.TALKING, LegStep.NO_ACK): LegState.OVER,
    (LegState.TALKING, LegStep.BYE): LegState.OVER,
    (LegState.TALKING, LegStep.REMOTE_BYE): LegState.OVER,
}


@dataclass
class Unacknowledged:
    """A 2xx of ours whose ACK has not come (RFC 3261 section 13.3.1.4)."""

    response: Response
    """The 2xx."""

    deadline: float
    """When we stop waiting; infinity while there is no connection to the hop."""

    resend_at: float = inf
    """When to send it again; infinity: never, the transport is reliable."""

    pause_s: float = inf
    """The pause before that."""


@dataclass(eq=False)
class Leg:
    """One call of a user agent."""

    id: str
    """Ours, unique."""

    hop: Hop
    """The other side."""

    outgoing: bool
    """We sent the INVITE."""

    invite: Exchange | None
    """The first INVITE; None: the dialog is from before a restart."""

    local_tag: str
    """Our tag."""

    state: LegState
    """Where it is."""

    contact: str
    """Our Contact header."""

    dialog: Dialog | None = None
    """There is one from the first response on."""

    offer_out: Exchange | None = None
    """Our re-INVITE without a final response."""

    offer_in: Exchange | None = None
    """Their re-INVITE without a final response."""

    info_out: Exchange | None = None
    """Our INFO without a final response."""

    takes_info: bool = True
    """The other side has not refused an INFO: stations of earlier versions do."""

    unacknowledged: Unacknowledged | None = None
    """Our last 2xx without an ACK."""

    last_ack: Request | None = None
    """Our last ACK, to be sent again when its 2xx comes again."""

    give_up_at: float = inf
    """When CANCELLING or LEAVING ends by itself."""

    cancel_sent: bool = False
    """A CANCEL may only follow a provisional response (section 9.1)."""

    @property
    def call_id(self) -> str:
        """Call-ID header of all that belongs to it."""
        return self.dialog.call_id if self.dialog else self.first_invite().request.call_id

    def first_invite(self) -> Exchange:
        """Return the first INVITE; raises UserAgentError where it is from before a restart."""
        if self.invite is None:
            raise UserAgentError("the INVITE of this leg is from before a restart")
        return self.invite

    def step(self, step: LegStep) -> None:
        """Go on; raises UserAgentError where the state does not allow it."""
        after = LEG_STEPS.get((self.state, step))
        if after is None:
            raise UserAgentError(f"a leg that is {self.state} can't {step}")
        self.state = after

    def next_wakeup(self) -> float:
        """Return when something is due; infinity: never."""
        waiting = self.unacknowledged
        if waiting is None:
            return self.give_up_at
        return min(self.give_up_at, waiting.deadline, waiting.resend_at)
