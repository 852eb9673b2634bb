"""What waits in each conversation: the urgent that is unread, and ours that has not arrived.

Pure.  The daemon counts what is unread; how urgent that is and what of ours still waits is
gathered here, from the latest messages of all conversations and from what happens after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from appliance.api.schema import Message, Precedence

MAX_URGENT: Final = 64
MAX_WAITING: Final = 1_000
"""Of one conversation; more are not counted."""

PRECEDENCES: Final[tuple[Precedence, ...]] = ("routine", "welfare", "priority", "emergency")
"""Least urgent first."""


@dataclass(frozen=True)
class Tally:
    """Of one conversation."""

    urgent: Mapping[str, tuple[int, Precedence]] = field(default_factory=dict)
    """Order and precedence of unread messages that are more than routine, by id."""

    waiting: frozenset[str] = frozenset()
    """Ids of messages of ours that have not arrived."""


Tallies = Mapping[str, Tally]
"""By conversation; none where nothing waits."""


def is_waiting(message: Message) -> bool:
    """Tell whether a message of ours is still on its way."""
    return message.outgoing and not message.notice and message.state in {"queued", "relayed"}


def counted(tallies: Tallies, messages: Iterable[Message]) -> Tallies:
    """Take messages, new or in a new state."""
    changed = dict(tallies)
    for message in messages:
        before = changed.get(message.conversation, Tally())
        after = _with(before, message)
        if after is not before:
            changed[message.conversation] = after
    return changed


def _with(tally: Tally, message: Message) -> Tally:
    if message.outgoing:
        if is_waiting(message) == (message.id in tally.waiting):
            return tally
        if not is_waiting(message):
            return replace(tally, waiting=tally.waiting - {message.id})
        full = len(tally.waiting) >= MAX_WAITING
        return tally if full else replace(tally, waiting=tally.waiting | {message.id})
    urgent = message.unread and message.precedence != "routine"
    if urgent == (message.id in tally.urgent):
        return tally
    kept = {key: one for key, one in tally.urgent.items() if key != message.id}
    if urgent:
        kept[message.id] = (message.order, message.precedence)
        if len(kept) > MAX_URGENT:
            del kept[min(kept, key=lambda key: PRECEDENCES.index(kept[key][1]))]
    return replace(tally, urgent=kept)


def seen(tallies: Tallies, conversation: str, up_to: int | None = None) -> Tallies:
    """Note that a conversation was seen, up to an order or all of it."""
    tally = tallies.get(conversation)
    if tally is None or not tally.urgent:
        return tallies
    kept = {} if up_to is None else {k: v for k, v in tally.urgent.items() if v[0] > up_to}
    return {**tallies, conversation: replace(tally, urgent=kept)}


def most_urgent(tally: Tally | None) -> Precedence:
    """Return the precedence of the most urgent unread message."""
    found = [precedence for _, precedence in tally.urgent.values()] if tally else []
    return max(found, key=PRECEDENCES.index, default="routine")
