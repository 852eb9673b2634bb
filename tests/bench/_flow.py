"""Messages at a steady pace from one station to another, and how long none arrived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise

EVERY_S = 0.1
AFTERWARDS = 10
"""Messages in a row that are sent after the break and arrive: then all flows again."""


def longest_gap(times: list[float], since: float, until: float) -> float:
    """The longest time in which nothing came, from the last before `since` on.

    >>> longest_gap([0.0, 1.0, 1.5, 4.0, 4.5], 1.2, 4.6)
    2.5
    """
    ordered = sorted(times)
    begin = max((moment for moment in ordered if moment <= since), default=since)
    points = [begin, *(moment for moment in ordered if begin < moment <= until), until]
    return max((later - earlier for earlier, later in pairwise(points)), default=0.0)


class Flow:
    """One message every 100 ms, or whatever is said, until stopped."""

    def __init__(
        self,
        send: Callable[[str], Awaitable[object]],
        arrived: Mapping[str, float],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        """`arrived` fills by itself: text of a message -> when it came."""
        self._send, self._every_s = send, every_s
        self._arrived = arrived
        self._sent: dict[str, float] = {}
        self._sending: set[asyncio.Task[object]] = set()
        self._mark = f"flow {time.perf_counter():.3f}"
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        due = time.perf_counter()
        while True:
            text = f"{self._mark} {len(self._sent)}"
            self._sent[text] = time.perf_counter()
            task = asyncio.ensure_future(self._send(text))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            due += self._every_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def flowing(self, since: float, *, within_s: float) -> bool:
        """Wait until several messages in a row that were sent after a moment have come."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    later = [t for t, at in self._sent.items() if at > since]
                    came = [text in self._arrived for text in later]
                    for start in range(len(came) - AFTERWARDS + 1):
                        if all(came[start : start + AFTERWARDS]):
                            return True
                    await asyncio.sleep(EVERY_S)
        except TimeoutError:
            return False

    async def first(self, since: float, *, within_s: float) -> float | None:
        """Seconds from a moment to the first message that came after it, if one does."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    came = [at for t, at in self._arrived.items() if t in self._sent and at > since]
                    if came:
                        return min(came) - since
                    await asyncio.sleep(EVERY_S)
        except TimeoutError:
            return None

    def gap_s(self, since: float) -> float:
        """The longest time, from just before a moment until now, in which no message came."""
        times = [at for text, at in self._arrived.items() if text in self._sent]
        return longest_gap(times, since, time.perf_counter())

    async def stop(self) -> None:
        """Send no more."""
        self._task.cancel()
        for task in self._sending:
            task.cancel()
        await asyncio.gather(self._task, *self._sending, return_exceptions=True)
