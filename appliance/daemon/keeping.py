"""What is kept: pages of messages, search, recipients, and that there is room."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import Final

from appliance.adapters.blobs import MAX_BLOBS, BlobLimits
from appliance.adapters.store.ballast import Ballast
from appliance.adapters.store.carried import MAX_BYTES, STRANGERS_SHARE
from appliance.api.backend import ApiError
from appliance.api.schema import EVERYONE, Message, MessagePage, WallTime
from appliance.api.storage import (
    MAX_REMOVED,
    MIN_ATTACHMENT_BYTES,
    MIN_ATTACHMENTS_BYTES,
    MIN_MESSAGES,
    MIN_STORE_BYTES,
    FoundMessages,
    Recipients,
    Removed,
    SetStorage,
    Storage,
    StorageClass,
)
from appliance.daemon.announcer import Announcer
from appliance.daemon.attachment_limits import keep_limits
from appliance.daemon.lookup import Lookup, sentence
from appliance.daemon.runtime import Runtime
from appliance.daemon.views import Views
from appliance.model.cargo import Tier
from appliance.model.group import Conversation
from appliance.model.identity import IdentityError, StationId
from appliance.model.message import DeliveryState
from appliance.model.record import ID_SIZE
from appliance.model.search import SearchError, words_of
from appliance.node import retention
from appliance.node.ports import GetMessage, GetValue, SetValue, StoredMessage, StoreError
from appliance.node.ports.keeping import (
    Eviction,
    GetEvictions,
    GetPage,
    GetRecipients,
    GetUsage,
    Place,
    Search,
    Usage,
)
from appliance.node.retention import LOOK_EVERY_S, Bounds, Retention

log = logging.getLogger(__name__)

BOUNDS_VALUE: Final = "bounds"
MAX_FILE: Final = 10**9
"""Bytes of a file: sealed and filled up it still fits into the largest blob."""

SEARCH_S: Final = 1.0
"""After which a search answers with what it has found by then."""

MAX_EVICTIONS: Final = 10_000
"""Notes of what had to make room; the store keeps fewer."""

ID_BYTES: Final = 130
"""About what an id that only stays known takes on disk."""


_PAST_IDS: Final = b"\xff" * (ID_SIZE + 1)
"""Behind all ids."""


class Keeping:
    """Answers what is asked of the messages that there are, and keeps them within their bounds."""

    def __init__(
        self,
        runtime: Runtime,
        announcer: Announcer,
        lookup: Lookup,
        views: Views,
        ballast: Ballast,
    ) -> None:
        self._ballast = ballast
        self._runtime, self._announcer = runtime, announcer
        self._lookup, self._views = lookup, views
        self._retention = Retention(Bounds(), changed=self._changed)

    async def keep(self) -> None:
        """Look now and then whether there is too much."""
        self._retention.bounds = await self._load()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await asyncio.to_thread(self._ballast.look)
            self._runtime.carry_out(self._retention.wakeup(self._runtime.time.moment()))

    def _changed(self) -> None:
        """Messages had to make room."""
        self._announcer.log.publish("storage")
        self._runtime.spawn(self._recount())

    async def _recount(self) -> None:
        try:
            await self._announcer.load()
        except StoreError as error:
            self._announcer.store_failed(str(error))

    # -- Messages

    async def message(self, message: str) -> Message:
        """See `Backend`."""
        found = await self._lookup.perform(GetMessage(_id_of(message)))
        if found is None:
            raise _unknown()
        return self._views.message(found)

    async def messages(
        self,
        conversation: str | None,
        *,
        before: int | None,
        before_id: str | None,
        limit: int,
        after: int | None = None,
        after_id: str | None = None,
    ) -> MessagePage:
        """See `Backend`."""
        behind = _place(after, after_id, without_id=_PAST_IDS)
        query = GetPage(
            self._of(conversation),
            conversation is None,
            _place(before, before_id),
            limit + 1,
            after=behind,
        )
        found = await self._lookup.perform(query)
        wanted = found[:limit] if behind is not None else found[-limit:]
        page = tuple(self._views.message(stored) for stored in wanted)
        return MessagePage(page, more=len(found) > limit)

    async def search(
        self,
        words: str,
        conversation: str | None,
        *,
        before: int | None,
        before_id: str | None,
        limit: int,
    ) -> FoundMessages:
        """See `Backend`."""
        try:
            wanted = words_of(words)
        except SearchError as error:
            raise ApiError(422, "bad-search", f"{sentence(error)}.", "Change the words.") from None
        of, place = self._of(conversation), _place(before, before_id)
        found: list[StoredMessage] = []
        loop = asyncio.get_running_loop()
        until = loop.time() + SEARCH_S
        while True:
            part = Search(wanted, of, conversation is None, place, limit - len(found))
            result = await self._lookup.perform(part)
            found += result.messages
            place = result.reached
            if place is None or len(found) >= limit or loop.time() >= until:
                break
        return FoundMessages(
            messages=tuple(self._views.message(stored) for stored in found),
            before=place.order if place is not None else None,
            before_id=place.id.hex() if place is not None else None,
        )

    async def recipients(self, message: str, *, after: str | None, limit: int) -> Recipients:
        """See `Backend`."""
        try:
            last = StationId.parse(after) if after is not None else None
        except IdentityError as error:
            raise ApiError(422, "bad-id", f"{sentence(error)}.", "Give a whole id.") from None
        found = await self._lookup.perform(GetRecipients(_id_of(message), last, limit))
        if found is None:
            raise _unknown()
        return Recipients(
            recipients=tuple(self._views.recipient(one) for one in found.states),
            more=found.more,
            queued=found.counts.get(DeliveryState.QUEUED, 0),
            relayed=found.counts.get(DeliveryState.RELAYED, 0),
            delivered=found.counts.get(DeliveryState.DELIVERED, 0),
            read=found.counts.get(DeliveryState.READ, 0),
            carriers=tuple(station.text for station in found.carriers),
        )

    def _of(self, conversation: str | None) -> Conversation:
        return self._lookup.conversation(conversation) if conversation is not None else None

    # -- Room

    async def storage(self) -> Storage:
        """See `Backend`."""
        usage = await self._lookup.perform(GetUsage())
        evictions = await self._lookup.perform(GetEvictions(limit=MAX_EVICTIONS))
        by_conversation: dict[Conversation, Removed] = {}
        for one in evictions:
            text = one.conversation.text if one.conversation is not None else EVERYONE
            removed = self._removed(one, text)
            before = by_conversation.get(one.conversation)
            if before is not None:
                removed = replace(
                    before,
                    records=before.records + removed.records,
                    undelivered=before.undelivered + removed.undelivered,
                )
            by_conversation[one.conversation] = removed
        return Storage(
            classes=(*_classes(usage, self._retention.bounds), self._files()),
            file_bytes=usage.file_bytes + usage.spare_bytes,
            disk_free_bytes=usage.disk_free_bytes,
            removed=tuple(by_conversation.values())[:MAX_REMOVED],
            removed_records=sum(one.records for one in by_conversation.values()),
            max_attachment_bytes=self._runtime.attachments.limits.each,
        )

    def _files(self) -> StorageClass:
        files = self._runtime.attachments
        total = files.blobs.total
        return StorageClass("attachments", files.count, total, MAX_BLOBS, files.limits.total)

    def _removed(self, one: Eviction, conversation: str) -> Removed:
        station = one.conversation if isinstance(one.conversation, StationId) else None
        return Removed(
            conversation=conversation,
            name=self._views.name_of(station) if station is not None else "",
            records=one.records,
            undelivered=one.records if one.undelivered else 0,
            up_to=WallTime(one.last_ms, one.last_sure),
        )

    async def set_storage(self, bounds: SetStorage) -> Storage:
        """See `Backend`."""
        old = self._retention.bounds
        new = Bounds(
            messages=_chosen(bounds.max_messages, old.messages, MIN_MESSAGES, 10**7),
            bytes=_chosen(bounds.max_bytes, old.bytes, MIN_STORE_BYTES, 10**12),
            carried_bytes=_chosen(bounds.max_carried_bytes, old.carried_bytes, 0, MAX_BYTES),
        )
        limits = self._runtime.attachments.limits
        files = BlobLimits(
            each=_chosen(bounds.max_attachment_bytes, limits.each, MIN_ATTACHMENT_BYTES, MAX_FILE),
            total=_chosen(
                bounds.max_attachments_bytes, limits.total, MIN_ATTACHMENTS_BYTES, 10**13
            ),
        )
        if files != limits:
            await self._lookup.perform(keep_limits(files))
            self._runtime.attachments.limit(files)
        value = {"messages": new.messages, "bytes": new.bytes, "carried": new.carried_bytes}
        await self._lookup.perform(SetValue(BOUNDS_VALUE, json.dumps(value).encode()))
        self._retention.bounds = new
        self._announcer.log.publish("storage")
        return await self.storage()

    async def _load(self) -> Bounds:
        try:
            data = await self._runtime.store.perform(GetValue(BOUNDS_VALUE))
            value = json.loads(data) if data is not None else {}
            return Bounds(
                messages=max(int(value.get("messages", Bounds.messages)), MIN_MESSAGES),
                bytes=max(int(value.get("bytes", Bounds.bytes)), MIN_STORE_BYTES),
                carried_bytes=max(int(value.get("carried", Bounds.carried_bytes)), 0),
            )
        except (StoreError, ValueError, TypeError, AttributeError):
            log.warning("how much is to be kept can't be read; the usual bounds count")
            return Bounds()


def _classes(usage: Usage, bounds: Bounds) -> tuple[StorageClass, ...]:
    tiers = {tier: (records, size) for tier, records, size in usage.carried}
    new, new_bytes = tiers.get(Tier.NEW, (0, 0))
    ids = usage.known + usage.had + usage.removed
    most = retention.MAX_KNOWN + retention.MAX_HAD + retention.MAX_REMOVED
    strangers = int(STRANGERS_SHARE * MAX_BYTES)
    return (
        StorageClass(
            "messages",
            usage.messages,
            retention.bytes_of_messages(usage),
            bounds.messages,
            bounds.bytes,
        ),
        StorageClass(
            "carried",
            sum(records for records, _ in tiers.values()),
            sum(size for _, size in tiers.values()),
            None,
            min(bounds.carried_bytes, MAX_BYTES),
        ),
        StorageClass("carried-new", new, new_bytes, None, strangers),
        StorageClass("ids", ids, ids * ID_BYTES, most, None),
    )


def _chosen(value: int | None, old: int, least: int, most: int) -> int:
    if value is None:
        return old
    if not least <= value <= most:
        raise ApiError(
            422, "bad-bound", f"This should be {least:,} to {most:,}.", "Choose another bound."
        )
    return value


def _place(order: int | None, message: str | None, *, without_id: bytes = b"") -> Place | None:
    """Without an id, before all that have this order, or where `without_id` stands."""
    if order is None:
        return None
    return Place(order, bytes.fromhex(message) if message is not None else without_id)


def _id_of(message: str) -> bytes:
    try:
        return bytes.fromhex(message)
    except ValueError:
        raise _unknown() from None


def _unknown() -> ApiError:
    return ApiError(404, "unknown-message", "There is no such message.")
