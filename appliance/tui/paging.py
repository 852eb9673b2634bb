"""Fetches the parts of a conversation that the reader moves to.

The daemon pages from a place, back or forwards; it costs the same wherever that is.
"""

from __future__ import annotations

from typing import Final

from appliance.api.schema import BEGINNING, Message, MessagePage
from appliance.tui.client import StationClient
from appliance.tui.talks import MAX_MESSAGES, Key, Talk, key_of, window

PAGE_MESSAGES: Final = 100
"""Asked for at once."""

MAX_LOOKS: Final = 25
LOOK_MESSAGES: Final = 200
"""So many pages of so many are looked through for the first message that is unread."""


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
        page = await self._behind(conversation, key_of(talk.messages[-1]))
        return page.messages, not page.more

    async def beginning(self, conversation: str, talk: Talk) -> Talk:
        """Return the oldest part, with the end of `talk` for its newest."""
        page = await self._behind(conversation, BEGINNING)
        return window(page.messages, more=False, newest=talk.newest) if page.messages else talk

    async def around(self, conversation: str, wanted: Key) -> Talk:
        """Return what stands before a message, it, and something behind it."""
        order, message = wanted
        before = await self._client.messages(
            conversation, before=order, before_id=message, limit=PAGE_MESSAGES
        )
        start = key_of(before.messages[-1]) if before.messages else BEGINNING
        behind = await self._behind(conversation, start)
        both = (*before.messages, *behind.messages)
        if not both or key_of(both[0]) > wanted:
            return await self.newest(conversation)  # all of that had to make room
        newest = (0, "")
        if behind.more:
            end = await self._client.messages(conversation, limit=1)
            newest = key_of(end.messages[-1]) if end.messages else wanted
        return window(both, more=before.more, newest=newest)

    async def _behind(self, conversation: str, place: Key) -> MessagePage:
        order, message = place
        return await self._client.messages(
            conversation, after=order, after_id=message, limit=PAGE_MESSAGES
        )
