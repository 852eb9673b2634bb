"""Writing and reading: send, inbox."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from appliance.api.client import Client, Disconnected, event_data
from appliance.api.errors import NotRunning
from appliance.api.requests import MAX_PAGE, MAX_TEXT_CHARS
from appliance.api.schema import BEGINNING, EVERYONE, Event, Message
from appliance.commands import exits
from appliance.commands.attachments import in_lines, uploaded
from appliance.commands.export_pages import behind, place_of
from appliance.commands.output import Failure, Output, clock, label, paragraphs, visible
from appliance.commands.session import changes, command
from appliance.commands.whom import conversation_of, group_label, is_group

_ARRIVED: Final = frozenset({"delivered", "read"})
_BY: Final = {"delivered": "to", "read": "by"}
_SETTLED: Final = _ARRIVED | {"expired"}
_MAX_SHOWN: Final = 1_000
"""Messages that one `inbox` goes back for those that nobody has seen."""

_MAX_STDIN_CHARS: Final = 1_000_000
"""So that a wrong file is refused rather than read into memory; the daemon's bound is lower."""


@command
async def send(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Write to a station or to everyone."""
    text = _from_stdin() if args.text == ["-"] else " ".join(args.text)
    if not args.text and not args.attach:
        raise Failure(
            "There is nothing to send.", "Write something, or attach a file.", code=exits.USAGE
        )
    if len(text) > MAX_TEXT_CHARS:
        raise Failure(
            f"This text has {len(text):,} characters; a message has at most {MAX_TEXT_CHARS:,}.",
            "Shorten it, or send it in parts.",
        )
    async with aclosing(changes(client, Message)) as stream:
        if args.wait:
            await anext(stream)
        async with uploaded(client, args.attach) as attachments:
            message = await client.send(
                args.to,
                text,
                line=args.line,
                precedence=args.precedence,
                lifetime_s=args.expires,
                attachments=attachments,
            )
        if args.wait:
            message = await _settled(client, stream, message, timeout_s=args.timeout)
    out.json(message)
    out.line(_state(message))
    if not args.wait or message.state in _ARRIVED:
        return exits.OK
    if message.state == "expired":
        raise Failure("It was not delivered before its time ran out.", code=exits.NOT_IN_TIME)
    raise Failure(
        f"It was not delivered within {args.timeout:g} s.",
        "It waits here and goes out by itself when the station can be reached.",
        code=exits.NOT_IN_TIME,
    )


def _from_stdin() -> str:
    try:
        return sys.stdin.read(_MAX_STDIN_CHARS).removesuffix("\n")
    except UnicodeDecodeError:
        raise Failure("What comes from standard input is no text.", "Send UTF-8.") from None


async def _settled(
    client: Client,
    stream: AsyncGenerator[Message | None],
    message: Message,
    *,
    timeout_s: float,
) -> Message:
    """Return the message when it has arrived or never will, or as it is when time runs out."""
    try:
        async with asyncio.timeout(timeout_s):
            while message.state not in _SETTLED:
                change = await anext(stream)
                if change is None:
                    message = await client.message(message.id)
                elif change.id == message.id:
                    message = change
    except TimeoutError:
        pass  # how far it came is the answer
    return message


def _state(message: Message) -> str:
    words = {
        "queued": "Waiting",
        "relayed": f"On its way, carried by {message.carried_by}",
        "expired": f"Expired: not delivered {_within(message)}",
    }
    state = words.get(message.state, message.state.capitalize())
    if message.state in ("queued", "relayed") and message.expires_in_s is not None:
        state += f", given up in {_span(message.expires_in_s)}"
    if message.conversation == EVERYONE and message.state in _ARRIVED:
        count = message.delivered_to
        state += f" {_BY[message.state]} {count} station{'' if count == 1 else 's'}"
    if is_group(message.conversation) and message.recipients:
        state += _of_members(message)
    return f"{state}: {visible(message.problem)}" if message.problem else f"{state}."


def _within(message: Message) -> str:
    return f"within {_span(message.lifetime_s)}" if message.lifetime_s else "in time"


def _span(seconds: int) -> str:
    """Return about how long that is, in one unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{max(seconds, 1)} s"


def _of_members(message: Message) -> str:
    """Return how far a message has come in a group."""
    count = len(message.recipients)
    members = f"{count} member{'' if count == 1 else 's'}"
    if message.state in _ARRIVED:
        return f" {_BY[message.state]} {'all ' if count > 1 else ''}{members}"
    return f", delivered to {message.delivered_to} of {members}"


class _Reader:
    """Prints messages once each, and notes them as read."""

    def __init__(self, client: Client, out: Output, *, peek: bool) -> None:
        self._client = client
        self._out = out
        self._peek = peek
        self._shown: OrderedDict[str, None] = OrderedDict()
        self._labels: dict[str, str] = {}

    async def show(self, messages: tuple[Message, ...]) -> None:
        """Print those that were not yet printed."""
        fresh = [message for message in messages if message.id not in self._shown]
        if any(one.conversation not in (EVERYONE, *self._labels) for one in fresh) or any(
            not one.outgoing and one.author not in self._labels for one in fresh
        ):
            self._labels = {one.id: label(one) for one in await self._client.stations()}
            if any(is_group(one.conversation) for one in fresh):
                groups = await self._client.groups()
                self._labels |= {one.id: group_label(one) for one in groups}
        for message in fresh:
            self._out.json(message)
            self._out.line(self._text(message))
            self._shown[message.id] = None
            if len(self._shown) > 2 * _MAX_SHOWN:
                self._shown.popitem(last=False)
        if not self._peek:
            await self._note_read(messages)

    async def _note_read(self, messages: tuple[Message, ...]) -> None:
        latest: dict[str, int] = {}
        for message in messages:
            if message.unread:
                seen = latest.get(message.conversation, message.order)
                latest[message.conversation] = max(seen, message.order)
        for conversation, order in latest.items():
            await self._client.mark_read(conversation, up_to=order)

    def _text(self, message: Message) -> str:
        author = self._labels.get(
            message.author, f"{visible(message.author_name)}? ·{message.author[:4]}"
        )
        if message.outgoing:
            to = "everyone" if message.conversation == EVERYONE else message.conversation[:4]
            author = f"you to {self._labels.get(message.conversation, to)}"
        elif message.conversation == EVERYONE:
            author += " to everyone"
        elif is_group(message.conversation):
            group = self._labels.get(message.conversation, f"·{message.conversation[1:5]}")
            author = group if message.notice else f"{author} to {group}"
        urgent = "" if message.precedence == "routine" else f" {message.precedence.upper()}"
        mark = "*" if message.unread else " "
        state = f"\n    {_state(message)}" if message.outgoing else ""
        body = paragraphs(message.text, indent="    ") + in_lines(message, indent="    ")
        if message.notice:
            return f"{mark} {clock(message.written_at)} {author}: ({body})"
        return f"{mark} {clock(message.written_at)} {author}{urgent}: {body}{state}"


@dataclass(frozen=True)
class _Shown:
    """What an inbox shows."""

    messages: tuple[Message, ...]
    """Oldest first."""

    left: int = 0
    """So many more are unread."""

    emergencies: int = 0
    """So many of these are emergencies."""


async def _pages(client: Client, conversation: str | None, least: int) -> _Shown:
    """Return the latest messages, and whatever is unread however far back.

    Where that is too much to be shown at once, it is what has been unread for longest.
    """
    wanted = await _unread(client, conversation)
    found: tuple[Message, ...] = ()
    before: int | None = None
    before_id: str | None = None
    while True:
        page = await client.messages(
            conversation, before=before, before_id=before_id, limit=min(200, max(least, 50))
        )
        found = page.messages + found
        seen_all = sum(message.unread for message in found) >= wanted
        if not page.more or not page.messages or (len(found) >= least and seen_all):
            break
        if len(found) >= _MAX_SHOWN:
            return await _longest_unread(client, conversation, found[-least:])
        before, before_id = page.messages[0].order, page.messages[0].id
    recent = max(0, len(found) - least)
    return _Shown(tuple(one for one in found[:recent] if one.unread) + found[recent:])


async def _longest_unread(
    client: Client, conversation: str | None, latest: tuple[Message, ...]
) -> _Shown:
    """Return the oldest of many unread messages; and what came last, where that is all of them."""
    found: list[Message] = []
    left = emergencies = 0
    async for message in behind(client, conversation, BEGINNING, end=place_of(latest[-1])):
        if not message.unread:
            continue
        if len(found) < _MAX_SHOWN:
            found.append(message)
        else:
            left += 1
            emergencies += message.precedence == "emergency"
    if not left:
        found = sorted([*found, *(one for one in latest if not one.unread)], key=place_of)
    return _Shown(tuple(found), left, emergencies)


def _tell_left(out: Output, shown: _Shown) -> None:
    if not shown.left:
        return
    urgent = f", {shown.emergencies:,} of them emergencies" if shown.emergencies else ""
    out.note(
        f"{shown.left:,} more are unread{urgent}. Run this again without --peek, or look at one"
        " conversation at a time: fencewire inbox --with X"
    )


async def _unread(client: Client, conversation: str | None) -> int:
    if conversation is not None and is_group(conversation):
        return (await client.group(conversation)).unread
    if conversation is not None and conversation != EVERYONE:
        return (await client.station(conversation)).unread
    total = (await client.status()).unread
    if conversation is None:
        return total
    total -= sum(station.unread for station in await client.stations())
    return total - sum(group.unread for group in await client.groups())


@command
async def inbox(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Show what is unread and what came last; note it as read."""
    reader = _Reader(client, out, peek=args.peek)
    conversation = await conversation_of(client, args.with_)
    if args.search is not None:
        return await _search(client, out, args.search, conversation, args.limit)
    if not args.follow:
        shown = await _pages(client, conversation, args.limit)
        await reader.show(shown.messages)
        if not shown.messages:
            out.line("No messages.")
        _tell_left(out, shown)
        return exits.OK
    await client.status()  # that there is none at all is an error, that it goes away is not
    await _follow(client, out, reader, conversation, args.limit)
    return exits.OK


async def _search(
    client: Client, out: Output, words: str, conversation: str | None, most: int
) -> int:
    """Show messages with these words, oldest first; they stay as they are, read or not."""
    found: tuple[Message, ...] = ()
    before: int | None = None
    before_id: str | None = None
    while len(found) < most:
        part = await client.search(
            words,
            conversation,
            before=before,
            before_id=before_id,
            limit=min(MAX_PAGE, most - len(found)),
        )
        found += part.messages
        before, before_id = part.before, part.before_id
        if before is None:
            break
    await _Reader(client, out, peek=True).show(found[::-1])
    if before is not None:
        out.note(f"There may be more than these {most:,}: --limit shows more of them.")
    if not found:
        out.line("No message has these words.")
    return exits.OK


async def _follow(
    client: Client, out: Output, reader: _Reader, conversation: str | None, least: int
) -> None:
    """Show what is there and what comes, over restarts of the daemon."""
    stale = False
    async with aclosing(client.follow()) as items:
        async for item in items:
            if isinstance(item, Disconnected):
                out.note(f"{item.error.text} Waiting for it.")
                continue
            event = item if isinstance(item, Event) else None
            try:
                if stale or (event is not None and event.type == "reset"):
                    shown = await _pages(client, conversation, least)
                    await reader.show(shown.messages)
                    _tell_left(out, shown)
                    stale = False
                elif event is not None:
                    message = event_data(event)
                    if not isinstance(message, Message):
                        continue
                    if conversation in (None, message.conversation):
                        await reader.show((message,))
            except NotRunning:
                stale = True  # the stream says so too, and comes back
