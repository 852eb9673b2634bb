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

    given_up: frozenset[str] = frozenset()
    """Ids of those that were given up since, until the operator has seen that."""


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
        return _with_ours(tally, message)
    urgent = message.unread and message.precedence != "routine"
    if urgent == (message.id in tally.urgent):
        return tally
    kept = {key: one for key, one in tally.urgent.items() if key != message.id}
    if urgent:
        kept[message.id] = (message.order, message.precedence)
        if len(kept) > MAX_URGENT:
            del kept[min(kept, key=lambda key: PRECEDENCES.index(kept[key][1]))]
    return replace(tally, urgent=kept)


def _with_ours(tally: Tally, message: Message) -> Tally:
    one = frozenset({message.id})
    if is_waiting(message):
        full = len(tally.waiting) >= MAX_WAITING
        return (
            tally if full or one <= tally.waiting else replace(tally, waiting=tally.waiting | one)
        )
    if message.state == "expired" and one <= tally.waiting:
        # It has not arrived, and must not look as if it had until somebody has seen that.
        given_up = tally.given_up | one if len(tally.given_up) < MAX_WAITING else tally.given_up
        return replace(tally, waiting=tally.waiting - one, given_up=given_up)
    if message.state == "expired" or not one <= tally.waiting | tally.given_up:
        return tally
    return replace(tally, waiting=tally.waiting - one, given_up=tally.given_up - one)


def looked_at(tallies: Tallies, conversation: str, messages: frozenset[str]) -> Tallies:
    """Note that the operator has seen of messages that they were given up."""
    tally = tallies.get(conversation, Tally())
    return {**tallies, conversation: replace(tally, given_up=tally.given_up - messages)}


def kept(tallies: Tallies) -> Tallies:
    """Return what can't be counted anew."""
    return {key: Tally(given_up=one.given_up) for key, one in tallies.items() if one.given_up}


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
