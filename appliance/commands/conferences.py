"""Conferences from the command line."""

from __future__ import annotations

import argparse

from appliance.api.calls import CallInfo
from appliance.api.client import Client
from appliance.api.conferences import ConferenceInfo
from appliance.commands import exits
from appliance.commands.output import Failure, Output, visible
from appliance.commands.session import command


@command
async def add(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Have another station join the call that goes on here."""
    running = args.call or _going_on(await client.calls())
    call = await client.add_to_call(running, args.to)
    out.json(call)
    out.line("They are being called. They hear everybody as soon as they answer.")
    return exits.OK


def _going_on(calls: tuple[CallInfo, ...]) -> str:
    for one in calls:
        if one.state in {"talking", "connecting"}:
            return one.id
    raise Failure("There is no call that somebody could join.", "Call: fencewire call NAME")


def who_is_in(room: ConferenceInfo) -> str:
    """Return who is in a conference, and which station all sound goes through, in a line."""
    words = {"calling": " (being called)", "lost": " (lost)"}
    names = [visible(one.name) + words.get(one.state, "") for one in room.members]
    through = "".join(
        f" through {visible(one.name)}"
        for one in room.members
        if one.station == room.focus and not room.searching
    )
    text = f"Together{through}: {', '.join(names)}."
    return f"{text} Who joined you is gone: another takes over." if room.searching else text
