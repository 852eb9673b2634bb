"""Trying a station's addresses, a little after one another (RFC 8305)."""

from __future__ import annotations

import asyncio
from typing import Final

from appliance.adapters.session import Session
from appliance.adapters.sessions import DialError, Sessions
from appliance.model.identity import StationId

STAGGER_S: Final = 0.25
"""Between two candidates (RFC 8305 section 5)."""


async def dial_any(
    sessions: Sessions, candidates: tuple[tuple[str, int], ...], wanted: StationId | None
) -> Session:
    """Return the first session that stands; raises the last DialError when none does."""
    waiting = list(candidates)
    tasks: list[asyncio.Task[Session]] = []
    running: set[asyncio.Task[Session]] = set()
    error = DialError("unreachable", "no address of it is known")
    try:
        while waiting or running:
            if waiting:
                host, port = waiting.pop(0)
                tasks.append(asyncio.create_task(sessions.dial(host, port, wanted)))
                running.add(tasks[-1])
            done, running = await asyncio.wait(
                running,
                timeout=STAGGER_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                failure = task.exception()
                if failure is None:
                    return task.result()
                if not isinstance(failure, DialError):
                    raise failure
                error = failure
        raise error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
