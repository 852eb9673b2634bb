"""Trying a station's addresses, a little after one another (RFC 8305)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from appliance.adapters.session import Session
from appliance.adapters.sessions import DialError
from appliance.model.identity import StationId

STAGGER_S: Final = 0.25
"""Between two candidates at least (RFC 8305 section 5)."""

MAX_STAGGER_S: Final = 2.0
PATIENCE: Final = 3.0
"""Times the usual time of a dial after which the next candidate is tried: on a busy board each
needless session costs what is scarce."""

WEIGHT: Final = 0.25
"""Of the latest dial in what is usual."""


class Pace:
    """How long dials take on this board."""

    def __init__(self) -> None:
        self._usual_s = 0.0

    def took(self, seconds: float) -> None:
        """A dial led to a session."""
        self._usual_s += WEIGHT * (seconds - self._usual_s)

    @property
    def stagger_s(self) -> float:
        """Seconds between two candidates."""
        return min(max(PATIENCE * self._usual_s, STAGGER_S), MAX_STAGGER_S)


async def dial_any(
    dial: Callable[[str, int, StationId | None], Coroutine[Any, Any, Session]],
    candidates: tuple[tuple[str, int], ...],
    wanted: StationId | None,
    pace: Pace,
) -> Session:
    """Return the first session that stands; raises the last DialError when none does."""
    waiting = list(candidates)
    began: dict[asyncio.Task[Session], float] = {}
    running: set[asyncio.Task[Session]] = set()
    error = DialError("unreachable", "no address of it is known")
    clock = asyncio.get_running_loop().time
    try:
        while waiting or running:
            if waiting:
                host, port = waiting.pop(0)
                task = asyncio.create_task(dial(host, port, wanted))
                began[task] = clock()
                running.add(task)
            done, running = await asyncio.wait(
                running,
                timeout=pace.stagger_s if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                failure = task.exception()
                if failure is None:
                    pace.took(clock() - began[task])
                    return task.result()
                if not isinstance(failure, DialError):
                    raise failure
                error = failure
        raise error
    finally:
        for task in began:
            task.cancel()
        await asyncio.gather(*began, return_exceptions=True)
