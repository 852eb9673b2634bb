"""Talk groups of the daemon in memory."""

from __future__ import annotations

from dataclasses import replace

from memory_talking import QUIET
from shapes import ME

from appliance.api.schema import EVERYONE, EventType
from appliance.api.talking import TalkInfo, TalkPrecedence


def a_channel(channel: str = EVERYONE, name: str = EVERYONE, **more: object) -> TalkInfo:
    """Return a channel on which nothing goes on."""
    quiet = replace(QUIET, channel=channel, name=name, open=channel == EVERYONE)
    return replace(quiet, **more)  # type: ignore[arg-type]  # fields by name


class FakeTalk:
    """One who presses speaks, unless the test has put somebody else on the air."""

    def __init__(self) -> None:
        self.air: dict[str, TalkInfo] = {EVERYONE: a_channel()}
        self.keyed: list[tuple[str, ...]] = []
        """What the screen asked for."""

    def tell(self, kind: EventType, data: object = None) -> None:
        raise NotImplementedError

    def _check(self) -> None:
        raise NotImplementedError

    def on_air(self, changed: TalkInfo) -> TalkInfo:
        """Let something happen on a channel."""
        self.air[changed.channel] = changed
        self.tell("talk", changed)
        return changed

    async def channels(self) -> tuple[TalkInfo, ...]:
        self._check()
        return tuple(self.air.values())

    async def listen(self, channel: str, *, on: bool = True) -> TalkInfo:
        self._check()
        self.keyed.append(("listen", channel, str(on)))
        return self.on_air(replace(self.air[channel], listening=on))

    async def press(self, channel: str, *, precedence: TalkPrecedence = "routine") -> TalkInfo:
        self._check()
        self.keyed.append(("press", channel, precedence))
        before = self.air[channel]
        if before.speaker not in (None, ME) and precedence == before.precedence:
            return self.on_air(replace(before, key="waiting"))
        return self.on_air(
            replace(
                before, key="speaking", speaker=ME, speaker_name="amber-otter",
                precedence=precedence, talking_s=0.0,
            )
        )  # fmt: skip

    async def release(self, channel: str) -> TalkInfo:
        self._check()
        self.keyed.append(("release", channel))
        before = self.air[channel]
        after = replace(before, key="up", detail="")
        if before.speaker == ME:
            after = replace(after, speaker=None, speaker_name="", precedence="routine")
        return self.on_air(after)

    async def replay(self, channel: str, *, on: bool = True) -> TalkInfo:
        self._check()
        self.keyed.append(("replay", channel, str(on)))
        return self.on_air(replace(self.air[channel], replaying=on))
