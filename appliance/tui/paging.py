"""Fetches the parts of a conversation that the reader moves to.

The daemon pages back from a place.  What stands behind a place, and the very beginning, is found
by trying places: order and id together are taken as one number, which is halved or doubled until a
page fits.  Each try costs the daemon the same, wherever it is.
"""

from __future__ import annotations

from typing import Final

from appliance.api.schema import Message, MessagePage
from appliance.tui.client import StationClient
from appliance.tui.talks import MAX_MESSAGES, Key, Talk, key_of, window

PAGE_MESSAGES: Final = 100
"""Asked for at once."""

MAX_LOOKS: Final = 25
LOOK_MESSAGES: Final = 200
"""So many pages of so many are looked through for the first message that is unread."""

_ID_BITS: Final = 256
_MAX_ORDER: Final = (1 << 63) - 1
"""The API takes no higher order."""

_MAX_TRIES: Final = 400
"""More than there are bits to halve."""


def _number(key: Key) -> int:
    order, message = key
    return order << _ID_BITS | int(message or "0", 16)


class Meanwhile:
    """What comes while a part of a conversation, or of all (None), is on its way.

    It may not be in there, or as it was before.
    """

    def __init__(self, conversation: str | None) -> None:
        self._conversation = conversation
        self.messages: dict[str, Message] = {}
        """By id, the first first; at most as many as are kept of a conversation."""
        self.passed: Key | None = None
        """The last, by its place, of those that were too many."""

    def note(self, message: Message) -> None:
        """Take what was told of a message of whatever conversation."""
        if self._conversation not in {None, message.conversation}:
            return
        self.messages[message.id] = message
        if len(self.messages) > MAX_MESSAGES:
            first = key_of(self.messages.pop(next(iter(self.messages))))
            self.passed = max(self.passed or first, first)


class Pager:
    """Parts of conversations.  All methods raise `ClientError`."""

    def __init__(self, client: StationClient) -> None:
        self._client = client

    async def newest(self, conversation: str) -> Talk:
        """Return the newest part."""
        page = await self._client.messages(conversation, limit=PAGE_MESSAGES)
        return window(page.messages, more=page.more)

    async def opening(self, conversation: str, unread: int) -> Talk:
        """Return the newest part, or the one around the first message that nobody has looked at.

        `unread`: how many there are.  One that came late may stand far back, by its order.
        """
        newest = await self.newest(conversation)
        messages, more = newest.messages, newest.more
        left = unread - sum(one.unread for one in messages)
        found: Message | None = None
        for _ in range(MAX_LOOKS):
            if not more or not messages or (left <= 0 and not messages[0].unread):
                break
            page = await self._client.messages(
                conversation,
                before=messages[0].order,
                before_id=messages[0].id,
                limit=LOOK_MESSAGES,
            )
            messages, more = page.messages, page.more
            there = [one for one in messages if one.unread]
            found = there[0] if there else found
            left -= len(there)
        return newest if found is None else await self.around(conversation, key_of(found))

    async def older(self, conversation: str, first: Message) -> MessagePage:
        """Return the part before a message."""
        return await self._client.messages(
            conversation, before=first.order, before_id=first.id, limit=PAGE_MESSAGES
        )

    async def newer(self, conversation: str, talk: Talk) -> tuple[tuple[Message, ...], bool]:
        """Return the part behind a window, and whether that is the last."""
        last = talk.messages[-1]
        low, high = _number(key_of(last)), None
        step = max((low - _number(key_of(talk.messages[0]))) // len(talk.messages), 1)
        place = low + step * (PAGE_MESSAGES * 3 // 4)
        for _ in range(_MAX_TRIES):
            beyond = place >> _ID_BITS >= _MAX_ORDER
            page = await self._before(conversation, None if beyond else place)
            new = tuple(one for one in page.messages if key_of(one) > key_of(last))
            joins = len(new) < len(page.messages) or not page.more
            if joins and (new or beyond):
                return new, beyond or key_of(new[-1]) >= talk.newest
            if joins:
                low = place
            else:
                high = place
            if high is None:
                step *= 4
                place = low + step * PAGE_MESSAGES
            elif high - low <= 1:
                break
            else:
                place = (low + high) // 2
        return (), True

    async def beginning(self, conversation: str, talk: Talk) -> Talk:
        """Return the oldest part, with the end of `talk` for its newest."""
        low, high = 0, _number(key_of(talk.messages[0]))
        place = min(PAGE_MESSAGES << _ID_BITS, high)
        for _ in range(_MAX_TRIES):
            page = await self._before(conversation, place)
            if page.messages and not page.more:
                return window(page.messages, more=False, newest=talk.newest)
            if page.messages:
                high = _number(key_of(page.messages[0]))
            else:
                low = place
            place = min(place * 4, high) if high > place * 8 else (low + high) // 2
        return talk

    async def around(self, conversation: str, wanted: Key) -> Talk:
        """Return the part that ends with a message, and something behind it."""
        end = await self._client.messages(conversation, limit=1)
        newest = key_of(end.messages[-1]) if end.messages else wanted
        page = await self._before(conversation, _number(wanted) + 1)
        if not page.messages:
            return await self.newest(conversation)  # all of that had to make room
        talk = window(page.messages, more=page.more, newest=newest)
        if not talk.newer:
            return talk
        behind, last = await self.newer(conversation, talk)
        both = (*talk.messages, *behind)
        return window(both, more=talk.more, newest=(0, "") if last else newest)

    async def _before(self, conversation: str, place: int | None) -> MessagePage:
        if place is None:
            return await self._client.messages(conversation, limit=PAGE_MESSAGES)
        return await self._client.messages(
            conversation,
            before=place >> _ID_BITS,
            before_id=f"{place & ((1 << _ID_BITS) - 1):064x}",
            limit=PAGE_MESSAGES,
        )
