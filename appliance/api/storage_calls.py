"""The part of the client library that is about what is kept."""

from __future__ import annotations

from urllib.parse import urlencode

from appliance.api import requests as ask
from appliance.api.calling import Caller, quoted, shaped
from appliance.api.schema import MessagePage
from appliance.api.storage import MAX_RECIPIENTS, FoundMessages, Recipients, SetStorage, Storage


class StorageCalls(Caller):
    """Pages, search, recipients, room."""

    async def messages(
        self,
        conversation: str | None = None,
        *,
        before: int | None = None,
        before_id: str | None = None,
        after: int | None = None,
        after_id: str | None = None,
        limit: int = ask.DEFAULT_PAGE,
    ) -> MessagePage:
        """Page back through one conversation, or through all (None); with `after` forwards.

        `before` and `before_id` are order and id of the oldest message that is here, `after` and
        `after_id` those of the newest; without the id all that have its order are left out.  What
        comes late has its place among what is older: `events` tells of it, no page does.
        """
        place = _place("before", before, before_id) | _place("after", after, after_id)
        query = _query(conversation, limit, place)
        return shaped(MessagePage, await self._call("GET", f"/v1/messages?{query}"))

    async def search(
        self,
        words: str,
        conversation: str | None = None,
        *,
        before: int | None = None,
        before_id: str | None = None,
        limit: int = ask.DEFAULT_PAGE,
    ) -> FoundMessages:
        """Look for words, latest first; the answer says whether and where to search on."""
        place = _place("before", before, before_id) | {"words": words}
        query = _query(conversation, limit, place)
        return shaped(FoundMessages, await self._call("GET", f"/v1/messages/search?{query}"))

    async def recipients(
        self, message: str, *, after: str | None = None, limit: int = MAX_RECIPIENTS
    ) -> Recipients:
        """Tell how far a message of ours came with whom, and who carries it."""
        query = {"limit": str(limit)} | ({"after": after} if after is not None else {})
        target = f"/v1/messages/{quoted(message)}/recipients?{urlencode(query)}"
        return shaped(Recipients, await self._call("GET", target))

    async def storage(self) -> Storage:
        """Tell how much is kept, and what had to make room."""
        return shaped(Storage, await self._call("GET", "/v1/storage"))

    async def set_storage(self, bounds: SetStorage) -> Storage:
        """Choose how much is kept at most."""
        return shaped(Storage, await self._call("PUT", "/v1/storage", bounds))


def _place(where: str, order: int | None, message: str | None) -> dict[str, str]:
    place = {where: str(order)} if order is not None else {}
    return place | ({f"{where}_id": message} if message is not None else {})


def _query(conversation: str | None, limit: int, more: dict[str, str]) -> str:
    query = {"limit": str(limit), **more}
    if conversation is not None:
        query["with"] = conversation
    return urlencode(query, errors="replace")
