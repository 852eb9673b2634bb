"""What the call logic wants done outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from appliance.model.call import Call
from appliance.model.identity import StationId
from appliance.model.kept_call import KeptCall
from appliance.model.media import MediaCommand


@dataclass(frozen=True)
class SendSip:
    """Send a SIP message in the session with a station, before all else that waits."""

    peer: StationId
    """To whom; there is a session."""

    data: bytes
    """The message.  It holds keys: only `redact`ed may it be logged."""

    def __repr__(self) -> str:
        return f"SendSip(peer={self.peer!r}, {len(self.data)} bytes)"


@dataclass(frozen=True)
class Media:
    """Give the voice process a command."""

    command: MediaCommand
    """Which."""


@dataclass(frozen=True)
class CallChanged:
    """A call began, changed or ended."""

    call: Call
    """How it is now."""


@dataclass(frozen=True)
class NeedSession:
    """Somebody is to be called with whom there is no session: open one if there is a way."""

    peer: StationId
    """With whom."""


@dataclass(frozen=True)
class AskSession:
    """No sound comes from a station: find out now whether the session with it still stands."""

    peer: StationId
    """With whom."""


@dataclass(frozen=True)
class KeepCalls:
    """These are the answered calls now: note them, for a start within seconds of this one's end."""

    calls: tuple[KeptCall, ...]
    """All of them."""


CallEffect: TypeAlias = SendSip | Media | CallChanged | NeedSession | AskSession | KeepCalls
