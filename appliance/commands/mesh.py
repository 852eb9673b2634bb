"""Looking at the network: links, the mesh as a picture, and the way to a station."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from typing import Final

from appliance.api.client import Client
from appliance.api.schema import PathHop
from appliance.commands import exits
from appliance.commands.output import Output, label, visible
from appliance.commands.session import command
from appliance.tui.mesh_picture import draw
from appliance.tui.mesh_words import hop_name, link_facts, loss, path_rows, path_title

LOOK_EVERY_S: Final = 0.3
FILE_COLUMNS: Final = 200
"""Where the output is no terminal."""


@command
async def links(client: Client, out: Output, _args: argparse.Namespace) -> int:
    """List network interfaces and the stations met there."""
    found = await client.links()
    out.json(found)
    names = {one.id: label(one) for one in await client.stations()}
    for link in found:
        addresses = ", ".join(visible(address) for address in link.addresses)
        out.line(f"{visible(link.name):<8} {link_facts(link)}  {addresses}".rstrip())
        met = {one.station for one in link.neighbours}
        for one in link.neighbours:
            away = "" if one.rtt_ms is None else f"  {one.rtt_ms:.1f} ms"
            name = names.get(one.station, one.station[:4])
            losses = (
                loss(router.loss_out_pct, router.loss_in_pct)
                for router in link.routers
                if router.station == one.station
            )
            out.line(f"    {name}  {visible(one.host)}{away}  {next(losses, '')}".rstrip())
        for router in link.routers:
            if router.station is None or router.station not in met:
                name = names.get(router.station or "", "unknown")
                lost = loss(router.loss_out_pct, router.loss_in_pct)
                out.line(f"    {name}  {visible(router.address)}  {lost}")
    return exits.OK


@command
async def mesh(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Draw the mesh, once the stations have told their links or the time is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + args.timeout
    found = await client.mesh()
    while found.waiting and loop.time() < end:
        await asyncio.sleep(LOOK_EVERY_S)
        found = await client.mesh()
    out.json(found)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else FILE_COLUMNS
    for row in draw(found, columns):
        out.line("".join(text for text, _ in row).rstrip())
    await _beside(client, out)
    return exits.OK


async def _beside(client: Client, out: Output) -> None:
    """Say who is away and what is wrong."""
    away = [one for one in await client.stations() if one.reach == "away"]
    if away:
        out.line(f" Away: {', '.join(label(one) for one in away)}")
    status = await client.status()
    if not status.mesh.helper:
        out.note("No network helper runs here, so only neighbours are reached: fencewire doctor")
    for problem in status.problems:
        out.line(f" PROBLEM  {visible(problem.text)} {visible(problem.fix)}")


@command
async def path(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Show over whom packets to a station go."""
    station = await client.station(args.station)
    found = await client.path_to(station.id)
    out.json(found)
    names = {one.id: label(one) for one in await client.stations()}

    def name(hop: PathHop) -> str:
        return names.get(hop.station or "", hop_name(hop))

    out.line(path_title(found, label(station)))
    for row in path_rows(found, name):
        out.line(row)
    return exits.OK if found.complete else exits.FAILED
