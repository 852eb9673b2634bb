"""What a station notes of its answered calls, so that it can go on with them after a restart.

There are no keys in it: they are made anew.  The tags of the dialog are known to the two stations
of the call alone, so whoever has them and proves its key continues a call and does not begin one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptDialog:
    """A SIP dialog (RFC 3261 section 12); see `protocol.sip.dialog`."""

    call_id: str
    """Call-ID header."""

    local: str
    """Our From or To header."""

    remote: str
    """Theirs."""

    local_tag: str
    """Our tag."""

    remote_tag: str
    """Their tag."""

    remote_target: str
    """Their Contact."""

    route_set: tuple[str, ...]
    """Route headers."""

    local_seq: int
    """Number of our last request."""


@dataclass(frozen=True)
class KeptSound:
    """What was chosen for a call's sound."""

    muted: bool
    """Our microphone is off."""

    volume_pct: int | None
    """Loudness of the other side, where it was changed."""

    play: str | None
    """File in place of the microphone."""

    record: str | None
    """File in place of the speaker."""

    part: int
    """How many recordings of the call there are."""

    session_id: str
    """Of our session descriptions, decimal."""

    version: int
    """Of the last of them."""

    push_to_talk: bool = False
    """The microphone is heard only while the key is held."""


@dataclass(frozen=True)
class KeptCall:
    """One call that both sides have answered."""

    id: str
    """Of the call at this station."""

    station: str
    """The other side."""

    their_line: str
    """Its line."""

    our_line: str
    """Ours."""

    outgoing: bool
    """We placed it."""

    created_at: float
    """Monotonic seconds, which go on over a restart of the program."""

    answered_at: float
    """Likewise."""

    peer_boot: str
    """The other station's start, hex; empty: not known."""

    we_invited: bool
    """The first INVITE was ours."""

    dialog: KeptDialog
    """What SIP knows of it."""

    sound: KeptSound
    """How it sounds."""


@dataclass(frozen=True)
class KeptCalls:
    """All of them."""

    machine_boot: str
    """The machine's start: after another one monotonic times mean nothing, and nobody is there."""

    alive_at: float
    """When the station was last known to run, in seconds since the machine's start, with sleep."""

    calls: tuple[KeptCall, ...]
    """At most as many as there are lines."""
