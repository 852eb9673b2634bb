"""Files that go with messages: attaching, showing and saving them."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from appliance.api.attachments import Attachment
from appliance.api.client import Client
from appliance.api.errors import ClientError
from appliance.api.schema import Message
from appliance.commands import exits
from appliance.commands.output import Failure, Output, visible
from appliance.commands.session import changes, command

_MB: Final = 1_000_000
_PREVIEW_CHARS: Final = 60
_UNFIT: Final = '/\\<>:"|?*'
"""What no name can have here or on a stick (FAT)."""

_MAX_ENDING_CHARS: Final = 16
_MAX_NAMES: Final = 1_000
"""Files of one name in a directory."""


@asynccontextmanager
async def uploaded(client: Client, names: Sequence[str]) -> AsyncIterator[tuple[str, ...]]:
    """Hand files to the daemon; what is not sent inside is thrown away."""
    ids: list[str] = []
    try:
        for name in names:
            try:
                ids.append((await client.upload(Path(name))).id)
            except OSError as error:
                raise Failure(
                    f"{visible(name)} can't be read: {error.strerror or error}.",
                    "Nothing was sent. Give the name of a file.",
                ) from None
        yield tuple(ids)
    except BaseException:
        for one in ids:
            with suppress(ClientError):  # it went with its message, or by itself
                await client.discard(one)
        raise


def in_lines(message: Message, *, indent: str) -> str:
    """Name the files of a message, each in a line that begins with a line break."""
    return "".join(f"\n{indent}{described(one)}" for one in message.attachments)


def described(one: Attachment) -> str:
    """Say what a file is, and whether it is here."""
    size = f"{one.bytes / _MB:,.1f} MB" if one.bytes >= _MB // 10 else f"{one.bytes:,} bytes"
    if one.duration_ms:
        size += f", {one.duration_ms / 1000:.0f} s"
    states = {
        "here": "",
        "fetching": f" - {100 * one.have_bytes // max(one.bytes, 1)} % is here",
        "waiting": " - not here yet",
        "refused": " - not fetched",
    }
    why = f": {visible(one.problem)}" if one.problem else ""
    line = f"[file {one.index + 1}: {visible(one.name)}, {size}{states[one.state]}{why}]"
    if one.preview and one.state != "here":
        line += f' it begins: "{visible(" ".join(one.preview.split()))[:_PREVIEW_CHARS]}"'
    return line


@command
async def save(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Save the files of a message, or one of them; ask for those that are not here."""
    message = await client.message(args.id)
    wanted = message.attachments
    if not wanted:
        raise Failure("No files came with this message.", "Look at: fencewire inbox --json")
    number, directory = _number_and_directory(args)
    if number is not None:
        wanted = wanted[number - 1 : number]
        if not wanted:
            raise Failure(f"{len(message.attachments)} files came with this message.")
    if not directory.is_dir():
        raise Failure(f"There is no directory {visible(str(directory))}.", "Make it first.")
    missing = 0
    for one in wanted:
        here = await _wait_for(client, message.id, one, args.wait)
        if here is None or here.state != "here":
            missing += 1
            out.line(described(here or one))
            continue
        path = await _saved(client, message.id, one, directory)
        out.json({"name": one.name, "bytes": one.bytes, "path": str(path)})
        out.line(f"Saved {visible(str(path))}.")
    if missing:
        count = "One file is" if missing == 1 else f"{missing} files are"
        raise Failure(
            f"{count} not here yet; they are asked for.",
            "Run this again later, or with --wait SECONDS.",
            code=exits.NOT_IN_TIME,
        )
    return exits.OK


def _number_and_directory(args: argparse.Namespace) -> tuple[int | None, Path]:
    rest: list[str] = list(args.rest)
    number = None
    if rest and rest[0].isascii() and rest[0].isdigit():
        number = int(rest.pop(0))
    if len(rest) > 1 or number == 0:
        raise Failure("This is no file's number, from 1 on.", "See: fencewire save --help")
    return number, Path(rest[0] if rest else ".")


async def _wait_for(
    client: Client, message: str, wanted: Attachment, wait_s: float
) -> Attachment | None:
    """Ask for a file that is not here, and wait for it; how far it is then."""
    if wanted.state == "here":
        return wanted
    async with aclosing(changes(client, Message)) as stream:
        await anext(stream)
        found = (await client.fetch(message, wanted.index)).attachments[wanted.index]
        try:
            async with asyncio.timeout(wait_s):
                while found.state != "here":
                    change = await anext(stream)
                    if change is None:
                        change = await client.message(message)
                    if change.id == message:
                        found = change.attachments[wanted.index]
        except TimeoutError:
            pass  # how far it is is the answer
    return found


async def _saved(client: Client, message: str, one: Attachment, directory: Path) -> Path:
    """Write a file under its name, or one like it that is not used yet."""
    for path in _names(directory, one.name):
        try:
            await client.download(message, one.index, path)
        except FileExistsError:
            continue
        except OSError as error:
            raise Failure(
                f"{visible(str(path))} can't be written: {error.strerror or error}.",
                "Choose another directory, or make room.",
            ) from None
        return path
    raise Failure(f"There are {_MAX_NAMES:,} files of that name.", "Choose another directory.")


def _names(directory: Path, name: str) -> list[Path]:
    # The daemon lets no name in that has a path; a client trusts nobody with its disk.
    fits = (c if c.isprintable() and c not in _UNFIT else "_" for c in name)
    safe = "".join(fits).lstrip(".") or "file"
    stem, dot, ending = safe.rpartition(".")
    if not stem or len(ending) > _MAX_ENDING_CHARS:
        stem, dot, ending = safe, "", ""
    while len(stem.encode()) > 240 - len(ending.encode()):
        stem = stem[:-1]
    more = (f"{stem} ({number}){dot}{ending}" for number in range(2, _MAX_NAMES))
    return [directory / one for one in (f"{stem}{dot}{ending}", *more)]
