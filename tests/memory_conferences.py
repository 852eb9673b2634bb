"""Conferences in memory: the fake of the `ConferenceBackend` port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from appliance.api.backend import ApiError
from appliance.api.calls import CallInfo
from appliance.api.conferences import ConferenceBackend, ConferenceInfo, ConferenceMember
from appliance.api.event_log import EventLog


class MemoryConferences(ConferenceBackend):
    """Whoever is added is being called from then on."""

    def __init__(
        self, log: EventLog, calls: dict[str, CallInfo], named: Callable[[str], str]
    ) -> None:
        self._log, self._calls, self._named = log, calls, named

    async def add(self, call: str, to: str) -> None:
        if call not in self._calls:
            raise ApiError(404, "unknown-call", "There is no such call.", "List them.")
        one, whom = self._calls[call], self._named(to)
        room = one.conference or ConferenceInfo(
            "ab" * 16, "", (ConferenceMember(one.station, one.name, "in", False),), False
        )
        if whom in {member.station for member in room.members}:
            raise ApiError(409, "call-refused", "That station is in this call already.")
        members = (*room.members, ConferenceMember(whom, to, "calling", False))
        self._calls[call] = replace(one, conference=replace(room, members=members))
        self._log.publish("call", self._calls[call])


class WithConferences:
    """A backend that has them."""

    log: EventLog
    call_list: dict[str, CallInfo]
    named: Callable[[str], str]

    @cached_property
    def conferences(self) -> MemoryConferences:
        return MemoryConferences(self.log, self.call_list, self.named)
