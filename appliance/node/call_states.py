"""The states of a call as its operator sees them, what leads from one to the next, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from appliance.model.call import CallState, EndReason


class CallStep(StrEnum):
    """What moves a call on."""

    RING = "ring"
    """The other side says that it rings there."""

    ANSWER = "answer"
    """Either operator took the call."""

    SOUND = "sound"
    """The first sound of the other side was heard."""

    END = "end"
    """Whatever ends it."""


CALL_STEPS: Final = {
    (CallState.DIALLING, CallStep.RING): CallState.RINGING_THERE,
    (CallState.DIALLING, CallStep.ANSWER): CallState.CONNECTING,
    (CallState.DIALLING, CallStep.END): CallState.ENDED,
    (CallState.RINGING_THERE, CallStep.RING): CallState.RINGING_THERE,
    (CallState.RINGING_THERE, CallStep.ANSWER): CallState.CONNECTING,
    (CallState.RINGING_THERE, CallStep.END): CallState.ENDED,
    (CallState.RINGING_HERE, CallStep.ANSWER): CallState.CONNECTING,
    (CallState.RINGING_HERE, CallStep.END): CallState.ENDED,
    (CallState.CONNECTING, CallStep.SOUND): CallState.TALKING,
    (CallState.CONNECTING, CallStep.END): CallState.ENDED,
    (CallState.TALKING, CallStep.SOUND): CallState.TALKING,
    (CallState.TALKING, CallStep.END): CallState.ENDED,
}

UNANSWERED: Final = frozenset({CallState.DIALLING, CallState.RINGING_THERE})
"""We called, and nobody has taken it."""

ANSWERED: Final = frozenset({CallState.CONNECTING, CallState.TALKING})

FORGOTTEN_ENDS: Final = {
    CallState.RINGING_THERE: EndReason.UNREACHABLE,
    CallState.RINGING_HERE: EndReason.CANCELLED,
}
"""How a call ends when the other station was restarted.  One that is still being dialled goes on:
its INVITE is sent again; so does one that was answered (see `call_return`)."""

_REASONS: Final = {
    403: (EndReason.FAILED, "The other station refused the call."),
    404: (EndReason.NO_SUCH_LINE, ""),
    415: (EndReason.NO_COMMON_CODEC, ""),
    480: (EndReason.NO_ANSWER, ""),
    486: (EndReason.BUSY, ""),
    487: (EndReason.CANCELLED, ""),
    488: (EndReason.NO_COMMON_CODEC, ""),
    503: (EndReason.FAILED, "The other station has too many calls: try again in a minute."),
    600: (EndReason.BUSY, ""),
    603: (EndReason.THEY_DECLINED, ""),
    604: (EndReason.NO_SUCH_LINE, ""),
    606: (EndReason.NO_COMMON_CODEC, ""),
}


def reason_of(code: int, *, rang: bool) -> tuple[EndReason, str]:
    """Return what a final response to our call means, and a sentence where that is not enough."""
    if code == 408:
        return (EndReason.NO_ANSWER if rang else EndReason.UNREACHABLE), ""
    return _REASONS.get(code, (EndReason.FAILED, f"The other station answered with SIP {code}."))
