"""Push to talk from the command line: what is said on the channels, and our own key."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing

from appliance.api.client import Client
from appliance.api.talking import TalkInfo
from appliance.commands import exits
from appliance.commands.output import Failure, Output, aligned, visible
from appliance.commands.session import changes, command
from appliance.commands.sound_files import sound_file

_BEGINS_S = 3.0
"""For the voice process to begin, or end, a replay."""

_KEYS = {
    "up": "",
    "waiting": "your key: waiting",
    "speaking": "your key: you are on the air",
    "over": "your key: let go and press again",
}


@command
async def list_all(client: Client, out: Output, _args: argparse.Namespace) -> int:
    """Show all channels."""
    channels = await client.channels()
    for channel in channels:
        out.json(channel)
    for row in aligned([_row(channel) for channel in channels]):
        out.line(row)
    return exits.OK


def _row(channel: TalkInfo) -> tuple[str, ...]:
    kind = "open" if channel.open else "sealed"
    listening = "listening" if channel.listening else "off"
    return visible(channel.name), kind, listening, _speaks(channel), _KEYS[channel.key]


def _speaks(channel: TalkInfo) -> str:
    if channel.speaker is None:
        return "nobody talks"
    urgent = f", {channel.precedence}" if channel.precedence != "routine" else ""
    lacks = "" if channel.has_key else ", can't be heard yet: the group's key has not come"
    return f"{visible(channel.speaker_name)} talks{urgent}{lacks}"


def _shown(out: Output, channel: TalkInfo) -> int:
    out.json(channel)
    for row in aligned([_row(channel)]):
        out.line(row)
    if channel.detail:
        out.line(visible(channel.detail))
    return exits.OK


@command
async def listen(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Hear a channel, or no more."""
    record = sound_file(args.record, must_exist=False)
    heard = await client.listen(args.channel, on=not args.off, record=record)
    if heard.open and heard.listening:
        out.note("This channel is open: anybody can hear it, and pretend to be another on it.")
    return _shown(out, heard)


@command
async def release(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Let the key go."""
    return _shown(out, await client.release(args.channel))


@command
async def replay(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Play again what was said lately; returns as soon as that has begun, or can't be."""
    on = not args.stop
    async with aclosing(changes(client, TalkInfo)) as stream:
        await anext(stream)
        now = await client.replay(args.channel, on=on, from_s=args.seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BEGINS_S):
                while now.replaying != on and not (on and now.detail):
                    now = await _next(client, stream, now)
    if on and not now.replaying:
        out.json(now)
        raise Failure(visible(now.detail) or "The replay has not begun.", "Try again.")
    out.json(now)
    name = visible(now.name)
    ends = f"To stop: fencewire talk replay {shlex.quote(name)} --stop"
    out.line(f"Playing what was said on {name} lately. {ends}" if on else f"{name}: stopped.")
    return exits.OK


async def _next(client: Client, stream: AsyncGenerator[TalkInfo | None], now: TalkInfo) -> TalkInfo:
    """Wait for what is new on a channel; events of others are passed over."""
    change = await anext(stream)
    known = await client.channels() if change is None else (change,)
    return next((one for one in known if one.channel == now.channel), now)


@command
async def press(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Speak until interrupted, for a time, or until the minute is over."""
    play = sound_file(args.play, must_exist=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    try:
        async with aclosing(changes(client, TalkInfo)) as stream:
            await anext(stream)
            pressed = await client.press(args.channel, precedence=args.precedence, play=play)
            try:
                return await _speak(client, out, stream, stop, pressed, args.for_)
            finally:
                # A microphone must not stay open behind anybody's back.
                await client.release(pressed.channel)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def _speak(
    client: Client,
    out: Output,
    stream: AsyncGenerator[TalkInfo | None],
    stop: asyncio.Event,
    now: TalkInfo,
    for_s: float | None,
) -> int:
    loop = asyncio.get_running_loop()
    last: str | None = None
    timer: asyncio.TimerHandle | None = None
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            if now.key != last:
                out.json(now)
                out.line(_now_you(now))
                last = now.key
            if now.key in {"up", "over"}:
                raise Failure(visible(now.detail) or "The key was let go.", code=exits.NOT_IN_TIME)
            if now.key == "speaking" and for_s is not None and timer is None:
                timer = loop.call_later(for_s, stop.set)
            news = asyncio.ensure_future(_next(client, stream, now))
            await asyncio.wait({news, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not news.done():
                news.cancel()
                await asyncio.wait({news})
                break
            now = news.result()
    finally:
        stopped.cancel()
        if timer is not None:
            timer.cancel()
    out.line("You have let go.")
    return exits.OK


def _now_you(channel: TalkInfo) -> str:
    if channel.key == "speaking":
        who = " Anybody can hear this channel." if channel.open else ""
        return f"You are on the air: speak.{who} Ctrl+C to let go."
    if channel.key == "waiting":
        return f"Wait. {visible(channel.detail)}"
    return visible(channel.detail)
