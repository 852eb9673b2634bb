"""Conferences, as clients see them (`api.conferences.ConferenceBackend`)."""

from __future__ import annotations

from collections.abc import Callable

from appliance.api.backend import ApiError
from appliance.api.conferences import ConferenceInfo, ConferenceMember
from appliance.daemon.lookup import Lookup, call_error
from appliance.daemon.runtime import Runtime
from appliance.model.conference import Conference
from appliance.model.identity import CONSOLE, StationId
from appliance.node.calls import CallError


class DaemonConferences:
    """What the operator does about conferences."""

    def __init__(self, runtime: Runtime, lookup: Lookup) -> None:
        self._runtime, self._lookup = runtime, lookup

    async def add(self, call: str, to: str) -> None:
        """See `ConferenceBackend`."""
        station = self._runtime.station
        if call not in {one.id for one in station.calls.active}:
            raise ApiError(404, "unknown-call", "There is no such call.")
        address = self._lookup.address(to, CONSOLE)
        try:
            station.calls.add(call, address.station, now=self._runtime.time.now().monotonic)
        except CallError as error:
            raise call_error(error) from None
        finally:
            self._runtime.carry_out(station.call_effects())


def described(
    conference: Conference | None, name_of: Callable[[StationId], str]
) -> ConferenceInfo | None:
    """Return a conference as clients see it."""
    if conference is None:
        return None
    members = tuple(
        ConferenceMember(one.station.text, name_of(one.station), one.state.value, one.talking)
        for one in conference.members
    )
    return ConferenceInfo(conference.id, conference.focus.text, members, conference.searching)
