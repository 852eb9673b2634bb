"""Conversations as operators name them: a station, a group or everyone."""

from __future__ import annotations

from typing import Final

from appliance.api.client import Client
from appliance.api.errors import RequestError
from appliance.api.groups import Group
from appliance.api.schema import EVERYONE
from appliance.commands import exits
from appliance.commands.output import Failure, visible

_GROUP_CHARS: Final = 57
"""Of a group's id; a station's has one less."""


def is_group(conversation: str) -> bool:
    """Tell whether a conversation is a group's."""
    return len(conversation) == _GROUP_CHARS


def group_label(group: Group) -> str:
    """Return a group's name with its tag, since others may have the same name."""
    return f"{visible(group.name)} ·{group.tag}"


async def conversation_of(client: Client, name: str | None) -> str | None:
    """Return the conversation that is named; None: all of them."""
    if name is None or name == EVERYONE:
        return name
    try:
        station = await client.station(name)
    except RequestError as error:
        if error.code != "unknown-station":
            raise
        group = await _group(client, name)
        if group is None:
            raise
        return group.id
    group = await _group(client, name)
    if group is not None:
        raise Failure(
            f"Both a station and a group are named {name}.",
            f"Give the start of an id: {station.id[:4]} or {group.id[:5]}.",
            code=exits.NO_STATION,
        )
    return station.id


async def _group(client: Client, name: str) -> Group | None:
    try:
        return await client.group(name)
    except RequestError as error:
        if error.code != "unknown-group":
            raise
        return None
