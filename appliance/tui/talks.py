"""The part of a conversation that is here: a window that moves over all of it.

Pure.  However long a conversation is, at most `MAX_MESSAGES` of it are kept; what goes out at one
end is fetched again (`paging.py`) when the reader comes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from appliance.api.schema import Message
from appliance.tui.wording import furthest

MAX_MESSAGES = 400
"""Of one conversation."""

MAX_UNREAD_BEFORE = 1_000
"""Unread messages before the part that is here, of which is known; the latest go first."""

Key: TypeAlias = tuple[int, str]
"""Order and id: where a message stands in its conversation."""


def key_of(message: Message) -> Key:
    """Return where a message stands."""
    return message.order, message.id


@dataclass(frozen=True)
class Talk:
    """The part of a conversation that is here."""

    messages: tuple[Message, ...] = ()
    """By order, then id; none between the first and the last is missing."""

    more: bool = False
    """There are older ones."""

    newest: Key = (0, "")
    """Of all messages that are known of, here or not."""

    unread_before: frozenset[Key] = frozenset()
    """Messages before the first, of which is known that nobody has looked at them.  Reading is
    reported "up to", so that nothing is reported as long as there are any."""

    @property
    def newer(self) -> bool:
        """There are newer ones than those here."""
        return bool(self.messages) and self.newest > key_of(self.messages[-1])


def window(messages: Iterable[Message], *, more: bool, newest: Key = (0, "")) -> Talk:
    """Return a window over messages that stand side by side."""
    placed = tuple(sorted(messages, key=key_of))
    last = key_of(placed[-1]) if placed else newest
    return Talk(placed, more, max(newest, last))


def with_older(talk: Talk, messages: Iterable[Message], *, more: bool) -> Talk:
    """Add what stands before the window; what is too much goes at its end."""
    merged = _merged(talk.messages, messages)
    newest = max(talk.newest, key_of(merged[-1])) if merged else talk.newest
    return moved(talk, Talk(merged[:MAX_MESSAGES], more, newest))


def with_newer(talk: Talk, messages: Iterable[Message], *, last: bool) -> Talk:
    """Add what stands behind the window; what is too much goes at its beginning.

    `last`: there is nothing behind these.
    """
    merged = _merged(talk.messages, messages)
    if not merged:
        return talk
    kept = merged[-MAX_MESSAGES:]
    end = key_of(kept[-1])
    newest = end if last else max(talk.newest, end)
    return moved(talk, Talk(kept, talk.more or len(kept) < len(merged), newest))


def moved(before: Talk, talk: Talk) -> Talk:
    """Return another part of a conversation with what is known of the one that was here before."""
    if not talk.messages or not talk.more:
        return replace(talk, unread_before=frozenset())
    first = key_of(talk.messages[0])
    unread = {key_of(one) for one in before.messages if one.unread}
    unread |= before.unread_before | talk.unread_before
    earlier = sorted(key for key in unread if key < first)
    return replace(talk, unread_before=frozenset(earlier[:MAX_UNREAD_BEFORE]))


def with_message(talk: Talk, message: Message) -> Talk:
    """Take a message, new or in a new state; one that stands outside of the window stays there."""
    key = key_of(message)
    newest = max(talk.newest, key)
    if talk.newer and key > key_of(talk.messages[-1]):
        return replace(talk, newest=newest)
    if talk.more and talk.messages and key < key_of(talk.messages[0]):
        others = talk.unread_before - {key}
        if not message.unread:
            return replace(talk, unread_before=others)
        earlier = sorted({*others, key})[:MAX_UNREAD_BEFORE]
        return replace(talk, unread_before=frozenset(earlier))
    by_id = {one.id: one for one in talk.messages}
    known = by_id.get(message.id)
    by_id[message.id] = message if known is None else furthest(message, known)
    messages = tuple(by_id.values())
    if known is None:
        messages = tuple(sorted(messages, key=key_of))
    kept = messages[-MAX_MESSAGES:]
    return moved(talk, Talk(kept, talk.more or len(kept) < len(messages), newest))


def with_read(talk: Talk, up_to: int) -> Talk:
    """Note that what came up to an order was seen."""
    messages = tuple(
        replace(one, unread=False) if one.unread and one.order <= up_to else one
        for one in talk.messages
    )
    earlier = frozenset(key for key in talk.unread_before if key[0] > up_to)
    return replace(talk, messages=messages, unread_before=earlier)


def _merged(here: Iterable[Message], new: Iterable[Message]) -> tuple[Message, ...]:
    by_id = {one.id: one for one in here}
    for one in new:
        known = by_id.get(one.id)
        # A page that was asked for before an event came may be older than the event.
        by_id[one.id] = one if known is None else furthest(known, one)
    return tuple(sorted(by_id.values(), key=key_of))
