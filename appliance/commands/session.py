"""What commands that talk to the daemon have in common: a client, output and errors."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeAlias, TypeVar

from appliance.api.client import Client, event_data
from appliance.api.errors import ClientError
from appliance.api.schema import Event
from appliance.commands.output import Failure, Output

T = TypeVar("T")
Body: TypeAlias = Callable[[Client, Output, argparse.Namespace], Awaitable[int]]


def api_path(args: argparse.Namespace) -> Path | None:
    """Return what --api says, whole; None: look where it usually is."""
    return Path(args.api).absolute() if args.api else None


def command(body: Body) -> Callable[[argparse.Namespace], int]:
    """Make a command of a coroutine that uses the daemon; it returns an exit code."""

    def run(args: argparse.Namespace) -> int:
        out = Output(as_json=args.json)
        try:
            return asyncio.run(_run(out, args))
        except (ClientError, Failure) as error:
            return out.failed(error)

    async def _run(out: Output, args: argparse.Namespace) -> int:
        async with Client(api_path(args)) as client:
            return await body(client, out, args)

    return run


async def changes(client: Client, kind: type[T]) -> AsyncGenerator[T | None]:
    """Yield each new state of one kind of thing; None at first and whenever some were missed.

    After the first None nothing that happens is missed, so what is to be watched is started or
    looked up then.
    """
    async with aclosing(client.events()) as events:
        async for event in events:
            data = _reset_or(event)
            if data is None or isinstance(data, kind):
                yield data


def _reset_or(event: Event) -> object:
    return None if event.type == "reset" else event_data(event) or event
