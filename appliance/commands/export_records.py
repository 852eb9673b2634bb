"""Signed records in an export: what `fencewire import` takes elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import IO, Final

from appliance.api.client import Client
from appliance.api.jsonable import to_json
from appliance.api.records import MAX_RECORDS
from appliance.api.schema import Message, WallTime

RECORD: Final = "record"
AGE: Final = "age_s"
EXPORTED: Final = "exported_at"
"""Names of what a line holds beside a message: the record in base64, for how long it has been
carried, and when it was written to the file."""


async def signed(
    client: Client, messages: AsyncGenerator[Message]
) -> AsyncGenerator[tuple[Message, str | None]]:
    """Yield messages with their records; None: there is none, as of a notice."""
    waiting: list[Message] = []
    async for message in messages:
        waiting.append(message)
        if len(waiting) == MAX_RECORDS:
            found = (await client.find_records([one.id for one in waiting])).records
            for pair in zip(waiting, found, strict=False):
                yield pair
            del waiting[: len(found)]
    while waiting:
        found = (await client.find_records([one.id for one in waiting])).records
        for pair in zip(waiting, found, strict=False):
            yield pair
        del waiting[: max(len(found), 1)]


def line(message: Message, record: str | None, now: WallTime) -> str:
    """Return a message with all that the API says of it, and its record."""
    shown = to_json(message)
    assert isinstance(shown, dict)
    if record is not None:
        at = message.received_at
        sure = at.sure and now.sure  # else that difference says nothing
        age_s = max(now.ms - at.ms, 0) // 1000 if sure else 0
        shown |= {RECORD: record, AGE: age_s, EXPORTED: to_json(now)}
    return json.dumps(shown) + "\n"


async def write_carried(file: IO[bytes], client: Client, now: WallTime) -> int:
    """Write all that the station has for others; return how many records that were."""
    count = 0
    after: str | None = None
    exported = to_json(now)
    while True:
        part = await client.handed_on(after)
        for one in part.records:
            text = json.dumps({RECORD: one.record, AGE: one.age_s, EXPORTED: exported})
            file.write(f"{text}\n".encode())
        count += len(part.records)
        after = part.next
        if after is None:
            return count
