"""The record of calls of the fake daemon."""

from __future__ import annotations

from dataclasses import replace

from appliance.api.errors import RequestError
from appliance.api.schema import CallInfo, CallPage


def as_daemon(call: CallInfo) -> CallInfo:
    """Say of a call whether it was missed, as the daemon does."""
    over = call.state == "ended" and not call.outgoing and call.talking_s is None
    missed = over and call.end_reason != "declined"
    return replace(call, missed=missed, seen=not missed) if missed else call


class FakeHistory:
    """What tests put there."""

    def __init__(self) -> None:
        self.past: list[CallInfo] = []
        """Latest first."""
        self.record_trouble: RequestError | None = None
        """Why the record can't be looked up."""
        self.seen: list[tuple[int, str | None]] = []
        """What was said to have been looked at."""

    async def past_calls(
        self,
        station: str | None = None,
        *,
        missed: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> CallPage:
        if self.record_trouble is not None:
            raise self.record_trouble
        found = [
            one
            for one in self.past
            if station in (None, one.station)
            and (one.missed or not missed)
            and (before is None or one.number < before)
        ]
        return CallPage(tuple(found[:limit]), more=len(found) > limit)

    async def see_calls(self, up_to: int, station: str | None = None) -> int:
        self.seen.append((up_to, station))
        return 0
