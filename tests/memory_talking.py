"""Talk groups that are only memory: the fake of `TalkBackend`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cached_property

from memory_stations import US

from appliance.api.backend import ApiError
from appliance.api.event_log import EventLog
from appliance.api.talking import Listen, Press, Replay, TalkBackend, TalkInfo

QUIET = TalkInfo(
    channel="everyone",
    name="everyone",
    open=True,
    listening=True,
    key="up",
    speaker=None,
    speaker_name="",
    precedence="routine",
    has_key=True,
    talking_s=None,
    sounded_at_s=None,
    level_db=None,
    replaying=False,
    detail="",
)


class MemoryTalk(TalkBackend):
    """One who presses speaks, unless a test has put somebody else on the air."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.on_air = {QUIET.channel: QUIET}
        self.asked: list[object] = []
        self._asked = asyncio.Event()
        self.late = False
        """A replay begins when a test says so."""

    def put(self, info: TalkInfo) -> TalkInfo:
        """Bring a channel into a state."""
        self.on_air[info.channel] = info
        self.log.publish("talk", info)
        return info

    def all(self) -> tuple[TalkInfo, ...]:
        return tuple(self.on_air.values())

    def _find(self, channel: str) -> TalkInfo:
        for one in self.on_air.values():
            if channel in (one.channel, one.name):
                return one
        raise ApiError(404, "unknown-group", f"There is no group {channel!r}.")

    async def listen(self, channel: str, wanted: Listen) -> TalkInfo:
        self.asked.append(wanted)
        return self.put(replace(self._find(channel), listening=wanted.on))

    async def press(self, channel: str, wanted: Press) -> TalkInfo:
        self.asked.append(wanted)
        before = self._find(channel)
        if before.speaker not in (None, US):
            detail = f"{before.speaker_name} is talking."
            return self.put(replace(before, key="waiting", detail=detail))
        spoken = replace(before, key="speaking", speaker=US, speaker_name="us")
        return self.put(replace(spoken, precedence=wanted.precedence))

    async def release(self, channel: str) -> TalkInfo:
        before = self._find(channel)
        ours = before.speaker == US
        after = replace(before, key="up", detail="")
        return self.put(replace(after, speaker=None, speaker_name="") if ours else after)

    def replay(self, channel: str, wanted: Replay) -> TalkInfo:
        self.asked.append(wanted)
        self._asked.set()
        before = self._find(channel)
        return before if self.late else self.put(replace(before, replaying=wanted.on))

    async def was_asked(self) -> None:
        """Return once a replay has been asked for."""
        await self._asked.wait()
        self._asked.clear()


class WithTalk:
    """Adds them to a backend."""

    log: EventLog

    @cached_property
    def talk(self) -> MemoryTalk:
        return MemoryTalk(self.log)
