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
        limit: int = ask.DEFAULT_PAGE,
    ) -> MessagePage:
        """Page back through one conversation, or through all (None).

        `before` and `before_id` are order and id of the oldest message that is here; without the
        id all that have its order are left out.
        """
        query = _query(conversation, before, before_id, limit)
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
        query = _query(conversation, before, before_id, limit, words=words)
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


def _query(
    conversation: str | None, before: int | None, before_id: str | None, limit: int, **more: str
) -> str:
    query: dict[str, str] = {"limit": str(limit), **more}
    if conversation is not None:
        query["with"] = conversation
    if before is not None:
        query["before"] = str(before)
    if before_id is not None:
        query["before_id"] = before_id
    return urlencode(query, errors="replace")
