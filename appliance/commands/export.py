"""Messages as a file: JSON Lines, or a communications log for an incident's papers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import IO

from appliance.api.client import Client
from appliance.api.jsonable import to_json
from appliance.api.schema import EVERYONE, Message, Status, WallTime
from appliance.commands import exits
from appliance.commands.export_file import refuse_existing, whole_file
from appliance.commands.export_pages import Survey, each, survey
from appliance.commands.export_period import Chosen, parse_time
from appliance.commands.ics309 import CsvLog, HtmlLog, Names, Writer, heading
from appliance.commands.output import Failure, Output
from appliance.commands.session import command


class JsonLines:
    """One message a line, with all that the API says of it."""

    def begin(self) -> str:
        """See `Writer`."""
        return ""

    def message(self, message: Message) -> str:
        """See `Writer`."""
        return json.dumps(to_json(message)) + "\n"

    def end(self, count: int) -> str:
        """See `Writer`."""
        del count
        return ""


@command
async def export(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Write messages to a file or to standard output, oldest first."""
    file = None if args.output in (None, "-") else Path(args.output)
    if file is not None and not args.force:
        refuse_existing(file)
    status = await client.status()
    chosen = Chosen(
        await _conversation(client, args.conversation),
        parse_time(args.since, status.clock) if args.since else None,
        parse_time(args.until, status.clock) if args.until else None,
    )
    found = await survey(client, chosen)
    writer = await _writer(client, args, status, chosen, found)
    if file is None:
        count = await _write(sys.stdout.buffer, writer, client, chosen, found)
        sys.stdout.buffer.flush()
    else:
        with whole_file(file, force=args.force) as draft:
            count = await _write(draft, writer, client, chosen, found)
        out.json({"file": str(file), "messages": count, "unsure_left_out": found.unsure_left_out})
        out.line(f"{count:,} message{'' if count == 1 else 's'} in {file}.")
    if found.unsure_left_out:
        out.note(
            f"Left out as outside of that time: {found.unsure_left_out:,} whose time is not sure."
        )
    if not found.complete:
        raise Failure(
            "Some messages are missing: very many have the same place in the order.",
            "Export one conversation after the other with --conversation.",
        )
    return exits.OK


async def _conversation(client: Client, name: str | None) -> str | None:
    if name is None or name == EVERYONE:
        return name
    return (await client.station(name)).id


async def _writer(
    client: Client, args: argparse.Namespace, status: Status, chosen: Chosen, found: Survey
) -> Writer:
    if args.format == "jsonl":
        return JsonLines()
    above = heading(
        status,
        period=(
            found.first if chosen.since_ms is None else WallTime(chosen.since_ms, sure=True),
            found.last if chosen.until_ms is None else WallTime(chosen.until_ms, sure=True),
        ),
        operator=args.operator,
        incident=args.incident,
    )
    names = Names(status, await client.stations())
    return CsvLog(above, names) if args.format == "ics309" else HtmlLog(above, names)


async def _write(
    file: IO[bytes], writer: Writer, client: Client, chosen: Chosen, found: Survey
) -> int:
    """Write it all; return the number of messages."""
    file.write(writer.begin().encode(errors="replace"))
    count = 0
    async for message in each(client, chosen, found):
        file.write(writer.message(message).encode(errors="replace"))
        count += 1
    file.write(writer.end(count).encode(errors="replace"))
    return count
