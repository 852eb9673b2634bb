"""The part of the client library that is about records handed on by file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from appliance.api.calling import Caller, shaped
from appliance.api.records import (
    FindRecords,
    FoundRecords,
    HandedIn,
    HandedOn,
    HandedRecord,
    HandRecords,
)

_HAND_IN_S: Final = 120.0
"""A batch goes to the disk before the answer comes, and a card that is worn out takes its time."""


class RecordCalls(Caller):
    """Records as they were signed."""

    async def hand_in(self, records: Sequence[HandedRecord]) -> HandedIn:
        """Let the station take at most 64 records as if a neighbour had carried them here."""
        brought = HandRecords(tuple(records))
        answer = await self._call("POST", "/v1/records", brought, timeout_s=_HAND_IN_S)
        return shaped(HandedIn, answer)

    async def handed_on(self, after: str | None = None) -> HandedOn:
        """List a part of what the station has for others; `after` is `next` of the part before."""
        query = f"?{urlencode({'after': after})}" if after is not None else ""
        return shaped(HandedOn, await self._call("GET", f"/v1/records{query}"))

    async def find_records(self, ids: Sequence[str]) -> FoundRecords:
        """Find at most 64 messages as they were signed; those of the first ids are answered."""
        wanted = FindRecords(tuple(ids))
        return shaped(FoundRecords, await self._call("POST", "/v1/records/find", wanted))
