"""What the screen knows of talk groups: each channel, and who was on it last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.api.schema import EVERYONE
from appliance.api.talking import TalkInfo

LASTS_S: Final = 60.0
"""How long it is shown who spoke last: an answer may be wanted."""


@dataclass(frozen=True)
class Channel:
    """A channel of push to talk."""

    info: TalkInfo
    """As it was told."""

    told_at_s: float
    """When, so that its timer can run on."""

    heard: str = ""
    """Who spoke last; empty: nobody yet."""

    heard_at_s: float = float("-inf")
    """Until when."""

    @property
    def busy(self) -> bool:
        """Something goes on there, or has to be said."""
        info = self.info
        return bool(info.speaker or info.key != "up" or info.replaying)


Channels = Mapping[str, Channel]
"""By what they are called: ``everyone``, or a group's id."""


def told(channels: Channels, info: TalkInfo, now_s: float) -> Channels:
    """Take in what was told of one."""
    before = channels.get(info.channel)
    heard, heard_at_s = (before.heard, before.heard_at_s) if before else ("", float("-inf"))
    if info.speaker is not None:
        heard, heard_at_s = info.speaker, now_s
    elif before is not None and before.info.speaker is not None:
        heard_at_s = now_s
    return {**channels, info.channel: Channel(info, now_s, heard, heard_at_s)}


def loaded(channels: Channels, infos: Iterable[TalkInfo], now_s: float) -> Channels:
    """Take in all that there are; others are gone."""
    found: Channels = {}
    for info in infos:
        before = channels.get(info.channel)
        found = told({**found, **({info.channel: before} if before else {})}, info, now_s)
    return found


def pressed(channels: Channels) -> Channel | None:
    """Where our key is down, or was until it was taken from us."""
    return next((one for one in channels.values() if one.info.key != "up"), None)


def on_air(channels: Channels, now_s: float) -> list[Channel]:
    """What goes on, or did a moment ago, in the order in which it matters."""
    recent = [one for one in channels.values() if one.busy or now_s - one.heard_at_s < LASTS_S]
    return sorted(recent, key=_rank)


def _rank(channel: Channel) -> tuple[bool, bool, bool, float, bool, str]:
    info = channel.info
    return (
        info.key == "up",
        info.precedence != "emergency" or info.speaker is None,
        info.speaker is None and not info.replaying,
        -channel.heard_at_s if info.speaker is None else 0.0,
        info.channel != EVERYONE,
        info.channel,
    )
