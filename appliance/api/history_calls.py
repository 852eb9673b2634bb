"""The part of the client library that is about the record of calls."""

from __future__ import annotations

from urllib.parse import urlencode

from appliance.api import requests as ask
from appliance.api.calling import Caller, shaped
from appliance.api.calls import CallPage, SeeCalls, SeenCalls


class HistoryCalls(Caller):
    """Calls that are over, also those of before the daemon's start."""

    async def past_calls(
        self,
        station: str | None = None,
        *,
        missed: bool = False,
        before: int | None = None,
        limit: int = ask.DEFAULT_PAGE,
    ) -> CallPage:
        """Page back through calls with a station, or with all (None), latest first.

        `before` is the `number` of the earliest that is here.
        """
        asked = {
            "with": station,
            "missed": "1" if missed else None,
            "before": before,
            "limit": limit,
        }
        query = urlencode({key: value for key, value in asked.items() if value is not None})
        return shaped(CallPage, await self._call("GET", f"/v1/calls/history?{query}"))

    async def see_calls(self, up_to: int, station: str | None = None) -> int:
        """Note that missed calls up to a `number` were looked at; returns how many were new."""
        answer = await self._call("POST", "/v1/calls/seen", SeeCalls(up_to, station))
        return shaped(SeenCalls, answer).seen
