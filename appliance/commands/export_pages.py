"""All messages from the first to the last, in bounded memory.

The API pages from the latest backwards.  So it is gone through twice: backwards to learn where the
pages begin, of which each costs a place, and forwards from there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final, TypeAlias

from appliance.api.client import Client
from appliance.api.requests import MAX_PAGE
from appliance.api.schema import Message, WallTime
from appliance.commands.export_period import Chosen

_Place: TypeAlias = tuple[int, str | None]
"""Order and id of a message; without an id before all of that order."""

_LOWEST: Final = (-1, "")
"""Below all of them."""


@dataclass(frozen=True)
class Survey:
    """What there is to export."""

    bounds: tuple[_Place, ...]
    """Before which a page is to be asked for, latest first."""

    first: WallTime | None
    """The earliest time of a message that is meant; None: there is none."""

    last: WallTime | None
    """The latest."""

    unsure_left_out: int
    """Messages outside of the times meant, by a clock that was not sure."""


async def survey(client: Client, chosen: Chosen) -> Survey:
    """Go through all messages once, backwards."""
    bounds: list[_Place] = []
    times: list[WallTime] = []
    unsure_left_out = 0
    before: int | None = None
    before_id: str | None = None
    while True:
        page = await client.messages(
            chosen.conversation, before=before, before_id=before_id, limit=MAX_PAGE
        )
        if not page.messages:
            break
        if not bounds:
            # What comes from now on is left out, or this might never end.
            bounds.append((page.messages[-1].order + 1, None))
        for message in page.messages:
            if chosen.includes(message):
                times = _ends([*times, message.received_at])
            elif not message.received_at.sure:
                unsure_left_out += 1
        if not page.more:
            break
        before, before_id = page.messages[0].order, page.messages[0].id
        bounds.append((before, before_id))
    first, last = (times[0], times[-1]) if times else (None, None)
    return Survey(tuple(bounds), first, last, unsure_left_out)


def _ends(times: list[WallTime]) -> list[WallTime]:
    """Return the earliest and the latest of some times."""
    ordered = sorted(times, key=lambda moment: moment.ms)
    return [ordered[0], ordered[-1]]


async def each(client: Client, chosen: Chosen, found: Survey) -> AsyncGenerator[Message]:
    """Yield the messages that are meant, in their order, also what came in between meanwhile."""
    lower: tuple[int, str] = _LOWEST
    for upper in reversed(found.bounds):
        for message in await _between(client, chosen.conversation, lower, upper):
            if chosen.includes(message):
                yield message
        lower = (upper[0], upper[1] or "")


async def _between(
    client: Client, conversation: str | None, lower: tuple[int, str], upper: _Place
) -> list[Message]:
    """Return all messages from one place to before another: a page, and what came since."""
    found: list[Message] = []
    before, before_id = upper
    while True:
        page = await client.messages(
            conversation, before=before, before_id=before_id, limit=MAX_PAGE
        )
        found = [one for one in page.messages if (one.order, one.id) >= lower] + found
        if not page.more or not page.messages:
            return found
        first = page.messages[0]
        if (first.order, first.id) <= lower:
            return found
        before, before_id = first.order, first.id
