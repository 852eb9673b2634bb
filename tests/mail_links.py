"""The sessions of `mail_world`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appliance.protocol.frames import Receiver, Sender

if TYPE_CHECKING:
    from mail_world import Desk


@dataclass
class Pipe:
    """One direction of a session: what was sent and has not arrived."""

    sender: Sender = field(default_factory=Sender)
    receiver: Receiver = field(default_factory=Receiver)


@dataclass
class Link:
    """A session as both ends see it; either may have noticed its end."""

    ends: dict[Desk, int]
    pipes: dict[Desk, Pipe]
    """By who sends."""
    up: bool = True
