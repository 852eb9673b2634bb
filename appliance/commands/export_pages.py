"""All messages from the first to the last, in bounded memory.

The API pages from the latest backwards.  So it is gone through twice: backwards to learn where the
pages begin, of which each costs one number, and forwards from there.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from appliance.api.client import Client
from appliance.api.requests import MAX_PAGE
from appliance.api.schema import Message, MessagePage, WallTime
from appliance.commands.export_period import Chosen

_NO_ORDER: Final = -1
"""Below all of them."""


@dataclass(frozen=True)
class Survey:
    """What there is to export."""

    bounds: array[int]
    """Orders before which a page is to be asked for, latest first."""

    first: WallTime | None
    """The earliest time of a message that is meant; None: there is none."""

    last: WallTime | None
    """The latest."""

    unsure_left_out: int
    """Messages outside of the times meant, by a clock that was not sure."""

    complete: bool
    """False: so many messages have one place in the order that the API does not give them all."""


async def survey(client: Client, chosen: Chosen) -> Survey:
    """Go through all messages once, backwards."""
    bounds: array[int] = array("q")
    times: list[WallTime] = []
    unsure_left_out, complete = 0, True
    before: int | None = None
    seen: frozenset[str] = frozenset()
    while True:
        page = await client.messages(chosen.conversation, before=before, limit=MAX_PAGE)
        if not page.messages:
            break
        if not bounds:
            # What comes from now on is left out, or this might never end.
            bounds.append(page.messages[-1].order + 1)
        for message in page.messages:
            if message.id in seen:
                continue
            if chosen.includes(message):
                times = _ends([*times, message.received_at])
            elif not message.received_at.sure:
                unsure_left_out += 1
        if not page.more:
            break
        before, passed = _next(page)
        complete &= passed
        oldest = page.messages[0].order
        seen = frozenset(one.id for one in page.messages if one.order == oldest)
        bounds.append(before)
    first, last = (times[0], times[-1]) if times else (None, None)
    return Survey(bounds, first, last, unsure_left_out, complete)


def _ends(times: list[WallTime]) -> list[WallTime]:
    """Return the earliest and the latest of some times."""
    ordered = sorted(times, key=lambda moment: moment.ms)
    return [ordered[0], ordered[-1]]


def _next(page: MessagePage) -> tuple[int, bool]:
    """Return before which order to go on, and whether nothing is passed over by that.

    Several authors' messages may have one order, and a page may end among them: they are asked for
    again.  Only where they fill a whole page is there no way to the rest of them.
    """
    oldest = page.messages[0].order
    if page.messages[-1].order == oldest:
        return oldest, False
    return oldest + 1, True


async def each(client: Client, chosen: Chosen, found: Survey) -> AsyncGenerator[Message]:
    """Yield the messages that are meant, in their order, also what came in between meanwhile."""
    lower = _NO_ORDER
    for upper in reversed(found.bounds):
        messages = await _between(client, chosen.conversation, lower, upper)
        for message in messages:
            if chosen.includes(message):
                yield message
        lower = upper


async def _between(
    client: Client, conversation: str | None, lower: int, upper: int
) -> list[Message]:
    """Return all messages from one order to before another: a page, and what came since."""
    found: dict[str, Message] = {}
    before = upper
    while True:
        page = await client.messages(conversation, before=before, limit=MAX_PAGE)
        found.update((one.id, one) for one in page.messages if one.order >= lower)
        if not page.more or not page.messages or page.messages[0].order < lower:
            return sorted(found.values(), key=lambda one: (one.order, one.id))
        before, _ = _next(page)
