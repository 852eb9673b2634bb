"""The record of calls, in memory: the fake of the `HistoryBackend` port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from appliance.api.calls import CallInfo, CallPage, SeeCalls, SeenCalls


class MemoryHistory:
    """What tests put into it."""

    def __init__(self, named: Callable[[str], str]) -> None:
        self._named = named
        self.past: list[CallInfo] = []
        """Oldest first."""

    @property
    def missed(self) -> int:
        return sum(not one.seen for one in self.past)

    async def page(
        self, station: str | None, *, missed: bool, before: int | None, limit: int
    ) -> CallPage:
        whom = self._named(station) if station is not None else None
        found = [
            one
            for one in reversed(self.past)
            if whom in (None, one.station)
            and (one.missed or not missed)
            and (before is None or one.number < before)
        ]
        return CallPage(tuple(found[:limit]), more=len(found) > limit)

    async def see(self, wanted: SeeCalls) -> SeenCalls:
        whom = self._named(wanted.station) if wanted.station is not None else None
        before = self.missed
        self.past = [
            replace(one, seen=True)
            if one.number <= wanted.up_to and whom in (None, one.station)
            else one
            for one in self.past
        ]
        return SeenCalls(before - self.missed)


class WithHistory:
    """A backend that has one."""

    named: Callable[[str], str]

    @cached_property
    def history(self) -> MemoryHistory:
        return MemoryHistory(self.named)
