"""The record of calls on the command line."""

from __future__ import annotations

import argparse

from appliance.api.calls import MAX_PAST_CALLS, CallInfo
from appliance.api.client import Client
from appliance.commands import exits
from appliance.commands.output import Output, aligned, caller, clock, duration, visible
from appliance.commands.session import command
from appliance.commands.talk import ENDS


@command
async def calls(client: Client, out: Output, args: argparse.Namespace) -> int:
    """List calls that are over, the latest at the bottom."""
    found = await _latest(client, args)
    for call in reversed(found):
        out.json(call)
    for line in aligned([_row(call) for call in reversed(found)]):
        out.line(line)
    if not found:
        out.line("No calls.")
    unseen = [one for one in found if one.missed and not one.seen]
    if args.seen and unseen:
        await client.see_calls(max(one.number for one in unseen), args.with_)
    elif unseen:
        out.note(f"{len(unseen)} missed and new. To mark them as seen: fencewire calls --seen")
    return exits.OK


async def _latest(client: Client, args: argparse.Namespace) -> list[CallInfo]:
    found: list[CallInfo] = []
    before: int | None = None
    while len(found) < args.limit:
        limit = min(args.limit - len(found), MAX_PAST_CALLS)
        page = await client.past_calls(args.with_, missed=args.missed, before=before, limit=limit)
        found += page.calls
        if not page.more or not page.calls:
            break
        before = page.calls[-1].number
    return found


def _row(call: CallInfo) -> tuple[str, ...]:
    new = "NEW" if call.missed and not call.seen else ""
    way = "you called" if call.outgoing else "missed" if call.missed else "they called"
    lasted = duration(call.talking_s) if call.talking_s is not None else ""
    sound = f"sound {visible(call.quality)}" if call.quality != "none" else ""
    reason = ENDS.get(call.end_reason or "failed", visible(call.end_reason or ""))
    return new, clock(call.started_at), caller(call), way, lasted, sound, reason
