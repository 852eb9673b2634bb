"""Emergencies that nobody here has looked at: which of them is shown, and which were acknowledged.

Pure.  Whoever is unknown can send emergencies too, so those of stations that are trusted more are
shown first and are the last to be given up for room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from appliance.api.schema import Message, Station
from appliance.tui.talks import Key, key_of

MAX_OPEN: Final = 64
"""More are in the list of conversations all the same."""

MAX_ACKNOWLEDGED: Final = 256

_RANK: Final = {"new": 0, "known": 1, "verified": 2}


@dataclass(frozen=True)
class Emergencies:
    """What is known of them."""

    open: Mapping[str, Message] = field(default_factory=dict)
    """By id, those that nobody has acknowledged or looked at."""

    acknowledged: tuple[str, ...] = ()
    """Ids, latest last: they are not shown again, though they may still be unread."""


def _rank(message: Message, stations: Mapping[str, Station]) -> int:
    author = stations.get(message.author)
    return _RANK[author.trust] if author is not None else 0


def shown(emergencies: Emergencies, stations: Mapping[str, Station]) -> Message | None:
    """Return the one to show: of whom is trusted most, the latest."""

    def place(message: Message) -> tuple[int, Key]:
        return _rank(message, stations), key_of(message)

    return max(emergencies.open.values(), key=place, default=None)


def counted(
    emergencies: Emergencies, messages: Iterable[Message], stations: Mapping[str, Station]
) -> Emergencies:
    """Take messages, new or in a new state."""
    still = dict(emergencies.open)
    for message in messages:
        if message.precedence != "emergency" or message.id in emergencies.acknowledged:
            continue
        if message.unread:
            still[message.id] = message
        else:
            still.pop(message.id, None)
    while len(still) > MAX_OPEN:
        # A flood begins after what it is to bury.
        found = [(_rank(one, stations), at, one.id) for at, one in enumerate(still.values())]
        del still[min(found, key=lambda one: (one[0], -one[1]))[2]]
    return emergencies if still == emergencies.open else replace(emergencies, open=still)


def acknowledged(emergencies: Emergencies, message: str) -> Emergencies:
    """Note that the operator goes to one."""
    still = {key: one for key, one in emergencies.open.items() if key != message}
    known = (*emergencies.acknowledged, message)[-MAX_ACKNOWLEDGED:]
    return Emergencies(still, known)


def read(emergencies: Emergencies, conversation: str, up_to: int) -> Emergencies:
    """Note that a conversation was seen up to an order."""
    still = {
        key: one
        for key, one in emergencies.open.items()
        if one.conversation != conversation or one.order > up_to
    }
    return replace(emergencies, open=still)
