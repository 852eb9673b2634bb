"""Conferences of the daemon in memory."""

from __future__ import annotations

from dataclasses import replace

from appliance.api.conferences import ConferenceInfo, ConferenceMember
from appliance.api.schema import CallInfo


class FakeConferences:
    """Whoever is added is being called from then on."""

    all_calls: dict[str, CallInfo]

    def change_call(self, call: CallInfo) -> CallInfo:
        raise NotImplementedError

    async def add_to_call(self, call: str, to: str) -> CallInfo:
        one = self.all_calls[call]
        room = one.conference or ConferenceInfo(
            "ab" * 16, "us", (ConferenceMember(one.station, one.name, "in", False),), False
        )
        members = (*room.members, ConferenceMember(to, to, "calling", False))
        return self.change_call(replace(one, conference=replace(room, members=members)))
