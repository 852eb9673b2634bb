"""The part of the client library that is about talk groups."""

from __future__ import annotations

from appliance.api.calling import Caller, listed, quoted, shaped
from appliance.api.talking import (
    MAX_REPLAY_S,
    Listen,
    Press,
    Replay,
    TalkInfo,
    TalkPrecedence,
)


class TalkingCalls(Caller):
    """Push to talk: a channel is ``everyone``, or a group by its id, the start of it, or name."""

    async def channels(self) -> tuple[TalkInfo, ...]:
        """List channels, everyone's first."""
        return listed(TalkInfo, await self._call("GET", "/v1/talk"))

    async def listen(self, channel: str, *, on: bool = True, record: str | None = None) -> TalkInfo:
        """Hear what is said on a channel, or no more."""
        return await self._talk(channel, "listen", Listen(on, record))

    async def press(
        self, channel: str, *, precedence: TalkPrecedence = "routine", play: str | None = None
    ) -> TalkInfo:
        """Press the key: speak, or wait for our turn."""
        return await self._talk(channel, "press", Press(precedence, play))

    async def release(self, channel: str) -> TalkInfo:
        """Let it go."""
        return await self._talk(channel, "release")

    async def replay(
        self, channel: str, *, on: bool = True, from_s: float = MAX_REPLAY_S
    ) -> TalkInfo:
        """Play again what was said lately, or stop that."""
        return await self._talk(channel, "replay", Replay(on, from_s))

    async def _talk(self, channel: str, what: str, body: object = None) -> TalkInfo:
        target = f"/v1/talk/{quoted(channel)}/{what}"
        return shaped(TalkInfo, await self._call("POST", target, body))
