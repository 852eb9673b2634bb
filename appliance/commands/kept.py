"""What is kept: how far one message came, and how much room all of them take."""

from __future__ import annotations

import argparse
from typing import Final

from appliance.api.client import Client
from appliance.api.requests import MAX_PAGE
from appliance.api.schema import EVERYONE, Message, Recipient
from appliance.api.storage import Removed, SetStorage, Storage, StorageClass
from appliance.commands import exits
from appliance.commands.attachments import described
from appliance.commands.output import Failure, Output, aligned, clock, label, paragraphs, visible
from appliance.commands.session import command
from appliance.commands.whom import group_label, is_group

_MB: Final = 1_000_000
_NAMES: Final = {
    "messages": "messages",
    "carried": "carried for others",
    "carried-new": "  of these by strangers",
    "ids": "ids only",
    "attachments": "attachments",
}


@command
async def message(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Show one message, and how far it came with whom."""
    one = await (client.message(args.id) if args.id is not None else _latest(client))
    labels = await _labels(client)

    def name(station: str) -> str:
        return labels.get(station, f"·{station[:4]}")

    out.json(one)
    to = "everyone" if one.conversation == EVERYONE else name(one.conversation)
    unknown = f"{visible(one.author_name)}? ·{one.author[:4]}"
    who = f"you to {to}" if one.outgoing else labels.get(one.author, unknown)
    out.line(f"{clock(one.written_at)} {who}: {paragraphs(one.text, indent='    ')}")
    for file in one.attachments:
        out.line(f"    {described(file)}")
    out.line(f"id       {one.id}")
    if not one.outgoing:
        return exits.OK
    after: str | None = None
    while True:
        page = await client.recipients(one.id, after=after)
        if after is None:
            counts = (page.queued, page.relayed, page.delivered, page.read)
            out.line("waits for {}, on its way to {}, delivered to {}, read by {}".format(*counts))
            if page.carriers:
                out.line(f"carried by {', '.join(name(one) for one in page.carriers)}")
        for each in page.recipients:
            out.json(each)
        for row in aligned([_row(each, name(each.station)) for each in page.recipients]):
            out.line(f"  {row}")
        if not page.more or not page.recipients:
            return exits.OK
        after = page.recipients[-1].station


async def _latest(client: Client) -> Message:
    page = await client.messages(limit=MAX_PAGE)
    for one in reversed(page.messages):
        if one.outgoing:
            return one
    raise Failure(
        "None of the latest messages is yours.",
        "Give the id of a message, as in: fencewire inbox --json",
    )


def _row(one: Recipient, name: str) -> tuple[str, str, str]:
    return name, one.state, clock(one.at) if one.at is not None else ""


@command
async def storage(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Show how much is kept, and what had to make room; or choose how much may be kept."""
    bounds = SetStorage(
        max_messages=args.messages,
        max_bytes=_bytes(args.mb),
        max_carried_bytes=_bytes(args.carried_mb),
        max_attachment_bytes=_bytes(args.attachment_mb),
        max_attachments_bytes=_bytes(args.attachments_mb),
    )
    kept = await (client.storage() if bounds == SetStorage() else client.set_storage(bounds))
    out.json(kept)
    for row in aligned([("", "records", "size"), *(_class(one) for one in kept.classes)]):
        out.line(row)
    out.line(f"The file has {kept.file_bytes / _MB:,.0f} MB; {_free(kept)} are free on its disk.")
    if kept.max_attachment_bytes:
        out.line(f"One attachment may have {kept.max_attachment_bytes / _MB:,.0f} MB.")
    labels = await _labels(client) if kept.removed else {}
    for one in kept.removed:
        out.line(_removed(one, labels))
    return exits.OK


def _bytes(megabytes: int | None) -> int | None:
    return megabytes * _MB if megabytes is not None else None


def _class(one: StorageClass) -> tuple[str, str, str]:
    records = f"{one.records:,}"
    if one.max_records is not None:
        records += f" of {one.max_records:,}"
    size = f"{one.bytes / _MB:,.1f} MB"
    if one.max_bytes is not None:
        size += f" of {one.max_bytes / _MB:,.0f} MB"
    return _NAMES.get(one.name, visible(one.name)), records, size


def _free(kept: Storage) -> str:
    return f"{kept.disk_free_bytes / _MB:,.0f} MB"


async def _labels(client: Client) -> dict[str, str]:
    """Return what stations and groups are called; two can have one name."""
    labels = {station.id: label(station) for station in await client.stations()}
    return labels | {group.id: group_label(group) for group in await client.groups()}


def _removed(one: Removed, labels: dict[str, str]) -> str:
    place = one.conversation
    unknown = f"group ·{place[1:5]}" if is_group(place) else f"{visible(one.name)}? ·{place[:4]}"
    whom = "everyone" if place == EVERYONE else labels.get(place, unknown)
    count = f"{one.records:,} older message{'' if one.records == 1 else 's'}"
    text = f"{whom}: {count} removed to make room, up to {clock(one.up_to)}"
    if one.undelivered:
        text += f"; {one.undelivered:,} of yours had NOT ARRIVED anywhere"
    return f"{text}."


def in_a_line(kept: Storage) -> str:
    """Say in a few words how full it is."""
    (messages,) = [one for one in kept.classes if one.name == "messages"]
    text = ", ".join(_class(messages)[1:])
    if kept.removed_records:
        text += f"; {kept.removed_records:,} older ones removed (see: fencewire storage)"
    return text
