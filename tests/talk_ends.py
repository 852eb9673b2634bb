"""Voice processes that talk in a group, as a tree that the test grows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from voice_ends import Station

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.talk_paths import TalkChoice, Worst
from appliance.media.talk_sender import SpurtSender
from appliance.model.secret import Secret
from appliance.model.talk_media import (
    OpenTalk,
    SetTalk,
    TalkFailed,
    TalkHop,
    TalkOpened,
    TalkStarted,
    TalkStats,
)

HOST = "127.0.0.1"
UNHEARD = Worst()
"""Nobody has reported yet."""


def sender_of(key: Secret, now: float, *, ssrc: int, worst: Worst = UNHEARD) -> SpurtSender:
    """As a spurt begins, with what is known of the ways."""
    return SpurtSender(AES_GCM, key, ssrc=ssrc, now=now, wanted=TalkChoice().decide(worst, now))


@dataclass(frozen=True)
class Key:
    """One time of holding the key."""

    spurt: str = field(default_factory=lambda: secrets.token_hex(16))
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    key: Secret = field(default_factory=lambda: new_key(AES_GCM))


class Talker:
    """A station in the group, and how its talk is wanted."""

    def __init__(self, station: Station, port: int) -> None:
        self.station, self.port = station, port
        self.wanted = SetTalk("all", None)

    @classmethod
    async def open(cls, station: Station, *, after: int = 0) -> Talker:
        """``after``: the port of the talk that was there before."""
        await station.client.send(OpenTalk("all", HOST))
        opened = await station.events.first(TalkOpened, lambda e: e.port != after)
        return cls(station, opened.port)

    @property
    def hop(self) -> TalkHop:
        return TalkHop(HOST, HOST, self.port)

    async def set(self, **changes: object) -> None:
        self.wanted = replace(self.wanted, **changes)  # type: ignore[arg-type]
        await self.station.client.send(self.wanted)

    async def speak(self, key: Key, *children: Talker) -> None:
        await self.set(
            spurt=key.spurt, speaking=True, listening=True, suite=AES_GCM, key=key.key,
            ssrc=key.ssrc, upstream=None, children=tuple(child.hop for child in children),
        )  # fmt: skip

    async def hear(self, key: Key, upstream: Talker | None, *children: Talker) -> None:
        await self._follow(key, upstream, children, secret=key.key)

    async def relay(self, key: Key, upstream: Talker | None, *children: Talker) -> None:
        await self._follow(key, upstream, children, secret=None)

    async def _follow(
        self, key: Key, upstream: Talker | None, children: tuple[Talker, ...], secret: Secret | None
    ) -> None:
        await self.set(
            spurt=key.spurt, speaking=False, listening=secret is not None, suite=AES_GCM,
            key=secret, ssrc=key.ssrc, upstream=upstream and upstream.hop,
            children=tuple(child.hop for child in children),
        )  # fmt: skip

    async def rest(self) -> None:
        await self.set(spurt=None, speaking=False, key=None, upstream=None, children=())

    async def began(self, key: Key, *, speaking: bool) -> float:
        """When it was first spoken or heard here."""
        event = await self.station.events.first(
            TalkStarted, lambda e: (e.spurt, e.speaking) == (key.spurt, speaking)
        )
        return event.at_s

    async def failed(self, word: str) -> TalkFailed:
        """It was said that something can't be."""
        return await self.station.events.first(TalkFailed, lambda e: word in e.detail)

    def stats(self) -> TalkStats:
        """The newest."""
        return [event for event in self.station.events.all if isinstance(event, TalkStats)][-1]
