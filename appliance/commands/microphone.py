"""Our microphone in a call: off, on, or heard only while a key is held."""

from __future__ import annotations

import argparse

from appliance.api.client import Client
from appliance.api.schema import CallInfo
from appliance.commands import exits
from appliance.commands.output import Failure, Output, caller, visible
from appliance.commands.session import command

STATES = {
    "off": "nothing is heard of you",
    "on": "you are heard all the time",
    "push": "you are heard only while you talk: see `talk` and `over`",
    "talk": "with push: you are heard now, for a minute at most",
    "over": "with push: you are not heard any more",
}
"""What can be asked for."""


@command
async def microphone(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Change what the other side hears of us."""
    calls = await client.calls()
    call = next((one for one in calls if args.call in (None, one.id) and _runs(one)), None)
    if call is None:
        raise Failure("There is no such call.", "Look: fencewire status")
    match args.state:
        case "off":
            call = await client.set_call(call.id, muted=True)
        case "on":
            call = await client.set_call(call.id, muted=False, push_to_talk=False)
        case "push":
            call = await client.set_call(call.id, muted=False, push_to_talk=True)
        case "talk":
            if not call.push_to_talk:
                raise Failure("The microphone is open already.", "Run: fencewire microphone push")
            call = await client.set_call(call.id, talking=True)
        case "over":
            call = await client.set_call(call.id, talking=False)
    out.json(call)
    out.line(f"{caller(call)}: {visible(told(call))}")
    return exits.OK


def told(call: CallInfo) -> str:
    """What the other side hears, in words."""
    if call.muted:
        return "your microphone is off."
    if not call.push_to_talk:
        return "your microphone is open."
    if call.talk_left_s is None:
        return "push to talk; you are not heard."
    return f"you are heard, for {call.talk_left_s:.0f} s at most."


def _runs(call: CallInfo) -> bool:
    return call.state not in {"ended", "ringing-here"}
