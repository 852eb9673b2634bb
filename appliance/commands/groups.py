"""Groups: who is in them, and what their admins and members do."""

from __future__ import annotations

import argparse
from typing import Final

from appliance.api.client import Client
from appliance.api.groups import Group
from appliance.api.schema import Station
from appliance.commands import exits
from appliance.commands.output import Output, aligned, label, visible
from appliance.commands.session import command
from appliance.commands.whom import group_label

_STATES: Final = {
    "member": "",
    "invited": "you are invited: accept or decline",
    "left": "you have left",
    "removed": "you were removed",
}
_HISTORY: Final = {
    "none": "New members get only what is written after they came.",
    "all": "New members get what was written before, too.",
}


@command
async def list_all(client: Client, out: Output, _args: argparse.Namespace) -> int:
    """Show all groups."""
    groups = await client.groups()
    for group in groups:
        out.json(group)
    for row in aligned([_row(group) for group in groups]):
        out.line(row)
    if not groups:
        out.line("There are no groups. Make one: fencewire group make NAME STATION...")
    return exits.OK


def _row(group: Group) -> tuple[str, str, str, str]:
    count = len(group.members)
    members = f"{count} member{'' if count == 1 else 's'}"
    unread = f"{group.unread} unread" if group.unread else ""
    return group_label(group), members, unread, _STATES[group.state]


@command
async def show(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Show who is in a group."""
    return await _shown(client, out, await client.group(args.group))


@command
async def make(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Make a group."""
    made = await client.make_group(args.name, args.stations, history=args.history)
    return await _shown(client, out, made)


@command
async def invite(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Bring stations in."""
    group = await client.group(args.group)
    found = [await client.station(station) for station in args.stations]  # all, or nobody comes in
    for station in found:
        group = await client.invite(group.id, station.id)
    return await _shown(client, out, group)


@command
async def remove(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Take a station out."""
    return await _shown(client, out, await client.remove_member(args.group, args.station))


@command
async def admin(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Make a member an admin."""
    return await _shown(client, out, await client.make_admin(args.group, args.station))


@command
async def rename(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Give a group another name."""
    name = " ".join(args.name)
    return await _shown(client, out, await client.rename_group(args.group, name))


@command
async def history(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Choose what new members get."""
    return await _shown(client, out, await client.set_history(args.group, args.history))


@command
async def leave(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Leave a group."""
    return _said(out, await client.leave(args.group), "You have left {}.")


@command
async def accept(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Say yes to an invitation."""
    return await _shown(client, out, await client.accept(args.group))


@command
async def decline(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Say no to an invitation."""
    return _said(out, await client.decline(args.group), "You have declined to be in {}.")


def _said(out: Output, group: Group, text: str) -> int:
    out.json(group)
    out.line(text.format(group_label(group)))
    return exits.OK


async def _shown(client: Client, out: Output, group: Group) -> int:
    out.json(group)
    if out.as_json:
        return exits.OK
    stations = {station.id: station for station in await client.stations()}
    state = _STATES[group.state]
    out.line(f"{group_label(group)}{f'  {state}' if state else ''}")
    out.line(f"id       {group.id}")
    if group.invited_by is not None:
        out.line(f"from     {_name(stations.get(group.invited_by), group.invited_by)}")
    out.line(_HISTORY[group.history])
    own = (await client.status()).id
    for member in group.members:
        name = _name(stations.get(member.id), member.name or member.id)
        admin_mark = "  admin" if member.admin else ""
        out.line(f"  {'you' if member.id == own else name}{admin_mark}")
    return exits.OK


def _name(station: Station | None, text: str) -> str:
    return label(station) if station is not None else f"{visible(text[:40])}?"
