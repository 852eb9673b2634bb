"""Comparing with another operator who a station is: verify."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from appliance.api.client import Client
from appliance.api.schema import Verification
from appliance.commands import exits
from appliance.commands.output import Failure, Output, label, visible
from appliance.commands.session import changes, command

_EXCHANGE_S: Final = 30.0
"""For the other station to take part; its operator need not do anything yet."""


@command
async def verify(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Compare six digits, or a whole id that was read out, and remember the outcome."""
    station = await client.station(args.station)
    if args.id is not None:
        return _result(out, await client.verify(station.id, spoken_id=args.id))
    asks = not (args.show or args.yes_it_matches)
    if asks and not sys.stdin.isatty():
        raise Failure(
            "Somebody has to compare the digits, and there is no terminal to ask at.",
            "Use --show to see them, then --yes-it-matches DIGITS.",
            code=exits.USAGE,
        )
    async with aclosing(changes(client, Verification)) as stream:
        await anext(stream)
        begun = await _begun(client, station.id)
        if begun is None:
            begun = await client.verify(station.id)
        now = await _digits(client, stream, begun)
    if now.state != "compare" or now.digits is None:
        return _result(out, now)
    if args.show:
        out.json(now)
        out.line(_grouped(now.digits))
        return exits.OK
    if args.yes_it_matches:
        same = "".join(args.yes_it_matches.split()) == now.digits
    else:
        sys.stderr.write(
            f"Read these digits aloud with the operator of {label(station)},"
            f" over a voice that you know:\n\n    {_grouped(now.digits)}\n\n"
        )
        same = _ask("Do both of you see the same digits? [y/n] ")
    return _result(out, await client.finish_verification(now.id, match=same))


async def _begun(client: Client, station: str) -> Verification | None:
    """Return a comparison that is under way already, whoever began it."""
    for one in await client.verifications():
        if one.station == station and one.state in ("waiting", "compare"):
            return one
    return None


async def _digits(
    client: Client, stream: AsyncGenerator[Verification | None], now: Verification
) -> Verification:
    """Return the comparison once there is something to compare, or it is over."""
    try:
        async with asyncio.timeout(_EXCHANGE_S):
            while now.state == "waiting":
                change = await anext(stream)
                found = (change,) if change is not None else await client.verifications()
                now = next((one for one in found if one.id == now.id), now)
    except TimeoutError:
        raise Failure(
            "The other station did not answer.",
            "Try again when it can be reached, or compare its whole id: --id",
            code=exits.NOT_IN_TIME,
        ) from None
    return now


def _grouped(digits: str) -> str:
    return visible(f"{digits[:3]} {digits[3:]}")


def _ask(question: str) -> bool:
    """Ask until there is an answer; the end of input is an interruption, not a no."""
    while True:
        sys.stderr.write(question)
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt
        reply = line.strip().lower()
        if reply in ("y", "yes"):
            return True
        if reply in ("n", "no"):
            return False


def _result(out: Output, now: Verification) -> int:
    out.json(now)
    out.line(visible(now.text))
    return exits.OK if now.state == "verified" else exits.NO_MATCH
