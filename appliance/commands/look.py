"""Looking: status, stations, events, doctor."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import aclosing

from appliance.api.client import Client, Disconnected
from appliance.api.errors import NotRunning
from appliance.api.jsonable import to_json
from appliance.api.schema import Check, Event, Station, Status
from appliance.commands import exits, local_checks
from appliance.commands.kept import in_a_line
from appliance.commands.output import Output, aligned, duration, label, number, visible
from appliance.commands.session import command


@command
async def status(client: Client, out: Output, _args: argparse.Namespace) -> int:
    """Describe this station."""
    now = await client.status()
    out.json(now)
    kept = await client.storage()
    chosen = "   (choose your own: fencewire name NAME)" if now.name_is_default else ""
    voice = "ready" if now.media.running else f"not running: {visible(now.media.detail)}"
    for title, text in (
        ("name", visible(now.name) + chosen),
        ("number", number(now.number)),
        ("reaches", _reached(now)),
        ("unread", _unread(now)),
        ("kept", in_a_line(kept)),
        ("voice", voice),
        ("clock", visible(now.clock_source or "not known")),
        ("address", f"{now.address} port {now.port}"),
        ("id", now.spoken_id),
        ("running", f"{duration(now.uptime_s)}, version {visible(now.version)}"),
    ):
        out.line(f"{title:<9}{text}")
    for problem in now.problems:
        out.line(f"PROBLEM  {visible(problem.text)} {visible(problem.fix)}")
    return exits.OK


def _unread(now: Status) -> str:
    if not now.missed_calls:
        return str(now.unread)
    calls = "1 missed call" if now.missed_calls == 1 else f"{now.missed_calls} missed calls"
    return f"{now.unread}, and {calls} (fencewire calls)"


def _reached(now: Status) -> str:
    far = f", {now.mesh.hops_max} hops" if now.mesh.hops_max > 1 else ""
    why = "" if now.mesh.routing else " (no routing: only neighbours)"
    return f"{now.reach} station{'' if now.reach == 1 else 's'}{far}{why}"


@command
async def stations(client: Client, out: Output, args: argparse.Namespace) -> int:
    """List the stations, or show one."""
    if args.station is not None:
        one = await client.station(args.station)
        out.json(one)
        found: tuple[Station, ...] = (one,)
    else:
        found = await client.stations()
        out.json(found)
    if not found:
        out.line("No station yet. Plug in a cable or a radio, or try: fencewire peer HOST")
    rows = [
        (
            label(one),
            _reach(one),
            one.trust,
            number(one.number),
            visible(one.link or ""),
            f"{one.unread} unread" if one.unread else "",
        )
        for one in found
    ]
    for row in aligned(rows):
        out.line(row)
    for one in found:
        if one.alarm:
            out.line(f"ALARM    {label(one)}: {visible(one.alarm)}")
    return exits.OK


def _reach(station: Station) -> str:
    facts = [station.reach.replace("reachable", "in reach")]
    if station.hops is not None:
        facts.append("1 hop" if station.hops == 1 else f"{station.hops} hops")
    if station.rtt_ms is not None:
        facts.append(f"{station.rtt_ms:.1f} ms")
    return " ".join(facts)


@command
async def events(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Print events as JSON lines; with --follow also over restarts of the daemon."""
    if not args.follow:
        async with aclosing(client.events(args.cursor)) as stream:
            async for event in stream:
                _print(event)
    await client.status()  # that there is none at all is an error, that it goes away is not
    async with aclosing(client.follow(args.cursor)) as items:
        async for item in items:
            if isinstance(item, Event):
                _print(item)
            elif isinstance(item, Disconnected):
                out.note(f"{item.error.text} Waiting for it.")
    return exits.OK


def _print(event: Event) -> None:
    sys.stdout.write(json.dumps(to_json(event)) + "\n")
    sys.stdout.flush()


@command
async def doctor(client: Client, out: Output, _args: argparse.Namespace) -> int:
    """Look for what is wrong: by the daemon, or here when there is none."""
    missing: NotRunning | None = None
    try:
        checks = await client.doctor()
    except NotRunning as error:
        missing = error
        checks = local_checks.look(client.path, error)
    out.json(checks)
    for check in checks:
        out.line(f"{check.result:<5}{visible(check.name)}: {visible(check.text)}")
        if check.fix and check.result != "ok":
            out.line(f"     {visible(check.fix)}")
    return exits.NOT_RUNNING if missing is not None else verdict(checks)


def verdict(checks: Sequence[Check]) -> int:
    """Return the exit code of what was found: warnings are fine."""
    return exits.FAILED if any(check.result == "bad" for check in checks) else exits.OK
