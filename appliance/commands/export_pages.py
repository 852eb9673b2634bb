"""All messages from the first to the last, in bounded memory.

They are gone through twice: once to learn from when to when they are, which stands above a log, and
once to write them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TypeAlias

from appliance.api.client import Client
from appliance.api.requests import MAX_PAGE
from appliance.api.schema import BEGINNING, Message, WallTime
from appliance.commands.export_period import Chosen
from appliance.commands.output import Failure

Place: TypeAlias = tuple[int, str]
"""Order and id of a message."""


@dataclass(frozen=True)
class Survey:
    """What there is to export."""

    end: Place
    """Where the latest message stands; what comes behind it from now on is left out."""

    first: WallTime | None
    """The earliest time of a message that is meant; None: there is none."""

    last: WallTime | None
    """The latest."""

    unsure_left_out: int
    """Messages outside of the times meant, by a clock that was not sure."""


def place_of(message: Message) -> Place:
    """Return where a message stands."""
    return message.order, message.id


async def behind(
    client: Client, conversation: str | None, place: Place, *, end: Place
) -> AsyncGenerator[Message]:
    """Yield what stands behind a place, oldest first, with what stands at the end."""
    while True:
        page = await client.messages(
            conversation, after=place[0], after_id=place[1], limit=MAX_PAGE
        )
        for message in page.messages:
            if place_of(message) <= place:
                raise Failure(
                    "The daemon is of an earlier version.",
                    "Stop it (fencewire stop) and start it again.",
                )
            place = place_of(message)
            if place > end:
                return
            yield message
        if not page.more:
            return


async def survey(client: Client, chosen: Chosen) -> Survey:
    """Go through all messages once."""
    latest = (await client.messages(chosen.conversation, limit=1)).messages
    # What comes from now on is left out, or this might never end.
    end = place_of(latest[-1]) if latest else BEGINNING
    times: list[WallTime] = []
    unsure_left_out = 0
    async for message in behind(client, chosen.conversation, BEGINNING, end=end):
        if chosen.includes(message):
            times = _ends([*times, message.received_at])
        elif not message.received_at.sure:
            unsure_left_out += 1
    first, last = (times[0], times[-1]) if times else (None, None)
    return Survey(end, first, last, unsure_left_out)


def _ends(times: list[WallTime]) -> list[WallTime]:
    """Return the earliest and the latest of some times."""
    ordered = sorted(times, key=lambda moment: moment.ms)
    return [ordered[0], ordered[-1]]


async def each(client: Client, chosen: Chosen, found: Survey) -> AsyncGenerator[Message]:
    """Yield the messages that are meant, in their order, also what came in between meanwhile."""
    async for message in behind(client, chosen.conversation, BEGINNING, end=found.end):
        if chosen.includes(message):
            yield message
