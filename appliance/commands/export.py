"""Messages as a file: JSON Lines, or a communications log for an incident's papers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import IO

from appliance.api.client import Client
from appliance.api.schema import Status, WallTime
from appliance.commands import exits
from appliance.commands.export_file import refuse_existing, whole_file
from appliance.commands.export_pages import Survey, each, survey
from appliance.commands.export_period import Chosen, parse_time
from appliance.commands.export_records import line, signed, write_carried
from appliance.commands.ics309 import CsvLog, HtmlLog, Names, Writer, heading
from appliance.commands.output import Failure, Output
from appliance.commands.session import command
from appliance.commands.whom import conversation_of, group_label


@command
async def export(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Write messages to a file or to standard output, oldest first."""
    file = None if args.output in (None, "-") else Path(args.output)
    if file is not None and not args.force:
        refuse_existing(file)
    if args.carried:
        return await _carried(client, out, args, file)
    status = await client.status()
    chosen = Chosen(
        await conversation_of(client, args.conversation),
        parse_time(args.since, status.clock) if args.since else None,
        parse_time(args.until, status.clock) if args.until else None,
    )
    found = await survey(client, chosen)
    lines = _json_lines(client, status, chosen, found)
    if args.format != "jsonl":
        lines = _log(await _writer(client, args, status, chosen, found), client, chosen, found)
    if file is None:
        count = await _write(sys.stdout.buffer, lines)
        sys.stdout.buffer.flush()
    else:
        with whole_file(file, force=args.force) as draft:
            count = await _write(draft, lines)
        out.json({"file": str(file), "messages": count, "unsure_left_out": found.unsure_left_out})
        out.line(f"{count:,} message{'' if count == 1 else 's'} in {file}.")
    if found.unsure_left_out:
        out.note(
            f"Left out as outside of that time: {found.unsure_left_out:,} whose time is not sure."
        )
    return exits.OK


async def _carried(client: Client, out: Output, args: argparse.Namespace, file: Path | None) -> int:
    """Write what is for others, as it was signed and sealed."""
    if args.format != "jsonl" or args.conversation or args.since or args.until:
        raise Failure(
            "--carried takes all that is for others, as JSON Lines.",
            "Leave out --format, --conversation, --since and --until.",
            code=exits.USAGE,
        )
    now = (await client.status()).clock
    if file is None:
        await write_carried(sys.stdout.buffer, client, now)
        sys.stdout.buffer.flush()
        return exits.OK
    with whole_file(file, force=args.force) as draft:
        count = await write_carried(draft, client, now)
    out.json({"file": str(file), "records": count})
    out.line(
        f"{count:,} record{'' if count == 1 else 's'} for others in {file}:"
        " messages, receipts, and who is who."
    )
    out.line("Take it to another station, and run there: fencewire import FILE")
    return exits.OK


async def _writer(
    client: Client, args: argparse.Namespace, status: Status, chosen: Chosen, found: Survey
) -> Writer:
    above = heading(
        status,
        period=(
            found.first if chosen.since_ms is None else WallTime(chosen.since_ms, sure=True),
            found.last if chosen.until_ms is None else WallTime(chosen.until_ms, sure=True),
        ),
        operator=args.operator,
        incident=args.incident,
    )
    groups = {one.id: group_label(one) for one in await client.groups()}
    names = Names(status, await client.stations(), groups)
    return CsvLog(above, names) if args.format == "ics309" else HtmlLog(above, names)


async def _json_lines(
    client: Client, status: Status, chosen: Chosen, found: Survey
) -> AsyncGenerator[tuple[str, int]]:
    async for message, record in signed(client, each(client, chosen, found)):
        yield line(message, record, status.clock), 1


async def _log(
    writer: Writer, client: Client, chosen: Chosen, found: Survey
) -> AsyncGenerator[tuple[str, int]]:
    yield writer.begin(), 0
    count = 0
    async for message in each(client, chosen, found):
        count += 1
        yield writer.message(message), 1
    yield writer.end(count), 0


async def _write(file: IO[bytes], lines: AsyncGenerator[tuple[str, int]]) -> int:
    """Write it all; return the number of messages."""
    count = 0
    async for text, messages in lines:
        file.write(text.encode(errors="replace"))
        count += messages
    return count
