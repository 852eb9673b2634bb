"""Calls from the command line: call, answer, hangup.

The daemon holds the call; the command shows it and ends it when it is interrupted.  A closed
terminal (SIGHUP) ends the command alone: the call goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from appliance.api.client import Client
from appliance.api.schema import CallInfo
from appliance.commands import exits
from appliance.commands.conferences import who_is_in
from appliance.commands.output import Failure, Output, caller, duration, visible
from appliance.commands.session import changes, command
from appliance.commands.sound_files import sound_file

_HANG_UP_S: Final = 10.0
"""For the daemon to end a call when it is told to."""

_STATES: Final = {
    "dialling": "Calling {name} …",
    "ringing-there": "It rings there.",
    "ringing-here": "{name} is calling.",
    "connecting": "Connecting …",
    "talking": "You can talk. Ctrl-C hangs up.",
}
ENDS: Final = {
    "hung-up": "You hung up",
    "they-hung-up": "They hung up",
    "declined": "You declined",
    "they-declined": "They declined",
    "busy": "They are in another call",
    "no-answer": "Nobody answered",
    "cancelled": "The call was given up before it was answered",
    "unreachable": "The station can't be reached",
    "no-common-codec": "The two stations have no way of sending sound in common",
    "no-such-line": "There is no such line at that station",
    "cut-off": "This station stopped during the call",
    "failed": "The call failed",
}
"""Why a call is over, by `model.call.EndReason`."""


def _is_lost(call: CallInfo) -> bool:
    """Tell whether a call is broken: without a session its sound may still flow."""
    return call.lost_in_s is not None and bool(call.problems)


def _without_keys(advice: str) -> str:
    """Return advice without the keys of the screen, which a command has not."""
    found = visible(advice).replace(" with F8", " with: fencewire sound")
    return re.sub(r" \(F\d+\)", "", found)


class _Teller:
    """Says what changed about a call, once."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._last: CallInfo | None = None
        self._together = ""

    def tell(self, call: CallInfo) -> None:
        last, self._last = self._last, call
        if last is None or self._facts(last) != self._facts(call):
            self._out.json(call)
        if last is None or last.state != call.state:
            self._out.line(self._state(call))
        was_lost = last is not None and _is_lost(last)
        if call.lost_in_s is not None and _is_lost(call) and not was_lost:
            self._out.line(f"The connection is lost; trying again for {call.lost_in_s:.0f} s.")
        elif was_lost and not _is_lost(call) and call.state == "talking":
            self._out.line("The connection is back.")
        if call.conference is not None:
            text = who_is_in(call.conference)
            if text != self._together:
                self._out.line(text)
                self._together = text
        for problem in call.problems:
            if last is None or problem not in last.problems:
                self._out.line(f"NO SOUND: {visible(problem.text)} {_without_keys(problem.fix)}")
        if call.state == "talking" and last is not None:
            if call.quality not in (last.quality, "none"):
                why = (
                    f": {visible(call.reason)}. {_without_keys(call.advice)}"
                    if call.reason
                    else "."
                )
                self._out.line(f"Sound: {visible(call.quality)}, {call.loss_pct:.0f} % lost{why}")
            if call.digits is not None and call.digits != last.digits:
                digits = f"{call.digits[:3]} {call.digits[3:]}"
                self._out.line(f"Compare aloud to be sure who it is: {visible(digits)}")

    @staticmethod
    def _facts(call: CallInfo) -> tuple[object, ...]:
        """Return what is worth a line of JSON: not how loud it is just now."""
        return (
            call.state,
            call.muted,
            call.problems,
            call.quality,
            call.digits,
            call.detail,
            _is_lost(call),
        )

    @staticmethod
    def _state(call: CallInfo) -> str:
        if call.state != "ended":
            return _STATES.get(call.state, visible(call.state)).format(name=caller(call))
        text = ENDS.get(call.end_reason or "failed", "The call is over")
        if call.end_reason == "unreachable" and call.talking_s is not None:
            text = "The connection was lost"
        if call.talking_s is not None:
            text += f" after {duration(call.talking_s)}"
        return f"{text}: {visible(call.detail)}" if call.detail else f"{text}."


@command
async def call(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Call a station and stay with the call until it ends."""
    play, record = sound_file(args.play, must_exist=True), sound_file(args.record, must_exist=False)
    async with aclosing(changes(client, CallInfo)) as stream:
        await anext(stream)
        placed = await client.call(args.to, line=args.line, play=play, record=record)
        return await _Stay(client, out, stream, for_s=args.for_).until_over(placed)


@command
async def answer(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Answer a ringing call and stay with it until it ends."""
    play, record = sound_file(args.play, must_exist=True), sound_file(args.record, must_exist=False)
    async with aclosing(changes(client, CallInfo)) as stream:
        await anext(stream)
        ringing = args.call or await _ringing(client, out, stream, args.wait)
        answered = await client.answer(ringing, play=play, record=record)
        return await _Stay(client, out, stream, for_s=args.for_).until_over(answered)


async def _ringing(
    client: Client,
    out: Output,
    stream: AsyncGenerator[CallInfo | None],
    wait_s: float | None,
) -> str:
    """Return the call that has been ringing here for longest, waiting for one if asked to."""
    calls: tuple[CallInfo, ...] = await client.calls()
    try:
        async with asyncio.timeout(wait_s or 0):
            while True:
                ringing = [one for one in calls if one.state == "ringing-here"]
                if ringing:
                    first = min(ringing, key=lambda one: one.started_at.ms)
                    out.line(f"{caller(first)} is calling.")
                    return first.id
                if wait_s is None:
                    raise Failure(
                        "No call is ringing here.", "Wait for one with: fencewire answer --wait 60"
                    )
                change = await anext(stream)
                calls = await client.calls() if change is None else (change,)
    except TimeoutError:
        raise Failure(f"No call came within {wait_s:g} s.", code=exits.NOT_IN_TIME) from None


def _exit_code(ended: CallInfo) -> int:
    code = exits.CALL_ENDS.get(ended.end_reason or "failed", exits.NO_CALL)
    # Whoever hung up before there was an answer has not had the call that was asked for.
    return exits.NOT_ANSWERED if code == exits.OK and ended.talking_s is None else code


@command
async def hangup(client: Client, out: Output, args: argparse.Namespace) -> int:
    """End a call, or all that are running."""
    running = [args.call] if args.call else _to_end(await client.calls())
    if not running:
        raise Failure("There is no call to end.")
    for one in running:
        ended = await client.hang_up(one)
        out.json(ended)
        out.line(f"{caller(ended)}: hung up.")
    return exits.OK


def _to_end(calls: tuple[CallInfo, ...]) -> list[str]:
    """Return the calls that are running; of a conference one, since it ends with all of them."""
    running = {
        one.id if one.conference is None else one.conference.id: one.id
        for one in reversed(calls)
        if one.state != "ended"
    }
    return list(running.values())


class _Stay:
    """Stays with one call: shows it, and ends it after a time or when interrupted."""

    def __init__(
        self,
        client: Client,
        out: Output,
        stream: AsyncGenerator[CallInfo | None],
        *,
        for_s: float | None,
    ) -> None:
        self._client = client
        self._stream = stream
        self._teller = _Teller(out)
        self._for_s = for_s
        self._timer: asyncio.TimerHandle | None = None
        self._stop = asyncio.Event()
        self._last_words = asyncio.timeout(None)

    async def until_over(self, now: CallInfo) -> int:
        """Return the exit code of how it ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        ender = asyncio.create_task(self._end_when_told(now.id))
        try:
            async with self._last_words:
                while True:
                    self._teller.tell(now)
                    if now.state == "ended":
                        return _exit_code(now)
                    if now.state == "talking" and self._for_s is not None and self._timer is None:
                        self._timer = loop.call_later(self._for_s, self._stop.set)
                    now = await self._next(now)
        except TimeoutError:
            raise Failure(
                "The daemon did not say that the call is over.", "Look: fencewire status"
            ) from None
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            ender.cancel()
            await asyncio.wait({ender})

    async def _next(self, now: CallInfo) -> CallInfo:
        """Wait for the call's next state; events of before it was placed are passed over."""
        while True:
            change = await anext(self._stream)
            calls = await self._client.calls() if change is None else (change,)
            for one in calls:
                if one.id == now.id:
                    return one

    async def _end_when_told(self, call: str) -> None:
        await self._stop.wait()
        self._last_words.reschedule(asyncio.get_running_loop().time() + _HANG_UP_S)
        await self._client.hang_up(call)
