"""The channels as they are now: who has the floor, under which key, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.model.group import GroupId
from appliance.model.identity import StationId
from appliance.model.secret import Secret
from appliance.model.talk import KeyState, TalkView
from appliance.model.talk_media import (
    TalkEvent,
    TalkFailed,
    TalkOpened,
    TalkReplayState,
    TalkStarted,
    TalkStats,
)
from appliance.node.talk_channels import TalkChannels
from appliance.node.talk_key import TalkKey
from appliance.node.talk_spurts import Spurt, Spurts

TOO_THIN_HERE = "The link to here is too slow for sound. Ask for a written message."
TOO_THIN_THERE = "Not all hear you: a link is too slow for sound. Write to them as well."


class TalkRefusedError(Exception):
    """It can't be done: a code for programs, a sentence, and what to do."""

    def __init__(self, code: str, text: str, fix: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.fix = code, text, fix


@dataclass
class _Heard:
    """What the voice process says of a channel."""

    spurt: str = ""
    sounded_at: float | None = None
    level_db: float | None = None
    detail: str = ""
    replaying: bool = False
    packets_in: int = 0
    without: int = 0
    thin: str = ""


@dataclass(frozen=True)
class Files:
    """What stands in for sound devices on a channel; they go on over all spurts."""

    play: str | None = None
    """For the microphone."""

    record: str | None = None
    """For the speaker."""


class TalkBoard:
    """What is known, in the operator's terms."""

    def __init__(
        self,
        own: StationId,
        channels: TalkChannels,
        spurts: Spurts,
        key: TalkKey,
        *,
        name_of: Callable[[StationId], str],
    ) -> None:
        self._own, self._channels, self._spurts, self._key = own, channels, spurts, key
        self._name_of = name_of
        self.listening: dict[bytes, Files] = {}
        """Channels that are listened to."""

        self._keys: dict[bytes, Secret] = {}
        self._heard: dict[bytes, _Heard] = {}
        self._shown: dict[bytes, TalkView] = {}

    def floor(self, channel: bytes) -> Spurt | None:
        """Return the spurt that has the floor of a channel of ours."""
        fit = (one for one in self._spurts.on(channel) if self._channels.admits(one.flood.claim))
        return next(fit, None)

    def active(self) -> list[tuple[bytes, GroupId | None]]:
        """Return the channels of ours on which there is anything; on all others it is quiet."""
        channels = {one.flood.claim.channel for one in self._spurts}
        channels.update(self.listening, self._shown, self._heard)
        if self._key.channel is not None:
            channels.add(self._key.channel)
        return list(self._channels.of(sorted(channels)))

    def who_talks(self, channel: bytes) -> str:
        """Say who has it, in a sentence."""
        floor = self.floor(channel)
        return "" if floor is None else f"{self._name_of(floor.speaker)} is talking."

    def key_of(self, spurt: Spurt) -> Secret | None:
        """Return the key of a spurt; None: it can't be heard here."""
        if spurt.id not in self._keys:
            key = self._channels.key_of(spurt.flood.claim)
            if key is None:
                return None
            self._keys[spurt.id] = key
        return self._keys[spurt.id]

    def keep_key(self, spurt: bytes, key: Secret) -> None:
        """Note the key of a spurt of ours."""
        self._keys[spurt] = key

    def forget_keys(self) -> None:
        """Destroy the keys of spurts that are over."""
        self._keys = {one.id: self._keys[one.id] for one in self._spurts if one.id in self._keys}

    # -- What the voice process says

    def take(self, event: TalkEvent) -> None:
        """Note it; of what is only passed on nothing is shown."""
        found = (one for one, group in self._channels.all() if talk_name(group) == event.talk)
        channel = next(found, None)
        if channel is None:
            return
        heard = self._heard.setdefault(channel, _Heard())
        match event:
            case TalkOpened():
                heard.detail = ""
            case TalkFailed():
                heard.detail = event.detail
            case TalkStarted():
                heard.spurt, heard.sounded_at = event.spurt, event.at_s
            case TalkStats():
                heard.level_db = event.level_db
                heard.without = event.without
                if event.packets_in != heard.packets_in:
                    heard.packets_in, heard.thin = event.packets_in, ""
                if heard.spurt != event.spurt:
                    heard.spurt, heard.sounded_at = event.spurt, None
            case TalkReplayState():
                heard.replaying, heard.detail = event.playing, event.detail

    def too_thin(self, spurt: bytes) -> None:
        """The way here takes no sound: nothing of this spurt comes."""
        found = self._spurts.get(spurt)
        for channel, _ in [] if found is None else self._channels.of([found.flood.claim.channel]):
            self._heard.setdefault(channel, _Heard()).thin = spurt.hex()

    def asks_anew(self, channel: bytes) -> None:
        """What was wrong before is no answer to what our operator wants now."""
        if channel in self._heard:
            self._heard[channel].detail = ""

    def silence(self) -> None:
        """The voice process is another."""
        self._heard.clear()

    # -- What is shown

    def view(self, channel: bytes, group: GroupId | None) -> TalkView:
        """Return a channel of ours as it is now."""
        spurt = self.floor(channel)
        pressed = self._key.channel == channel
        heard = self._heard.get(channel, _Heard())
        view = TalkView(
            channel=group,
            listening=channel in self.listening,
            key=self._key.state if pressed else KeyState.UP,
            replaying=heard.replaying,
            detail=(self._key.detail if pressed else "") or heard.detail,
        )
        if spurt is None:
            return view
        is_heard = heard.spurt == spurt.id.hex()
        detail = view.detail
        if not detail and heard.thin == spurt.id.hex() and view.listening:
            detail = TOO_THIN_HERE
        elif not detail and is_heard and heard.without and spurt.speaker == self._own:
            detail = TOO_THIN_THERE
        return replace(
            view,
            speaker=spurt.speaker,
            precedence=spurt.flood.claim.precedence,
            has_key=spurt.speaker == self._own or self.key_of(spurt) is not None,
            began_at=spurt.began_at,
            sounded_at=heard.sounded_at if is_heard else None,
            level_db=heard.level_db if is_heard else None,
            detail=detail,
        )

    def changes(self) -> tuple[list[GroupId | None], bool]:
        """Return the channels that are not as they were, and whether somebody has finished.

        That is for the ear: on a channel that is listened to, and not while our own key is pressed.
        """
        shown: dict[bytes, TalkView] = {}
        changed: list[GroupId | None] = []
        finished = False
        for channel, group in self.active():
            quiet = TalkView(group)
            before, view = self._shown.get(channel, quiet), self.view(channel, group)
            if view != quiet:
                shown[channel] = view
            if view == before:
                continue
            changed.append(group)
            spoke = before.speaker not in {None, self._own} and view.speaker is None
            finished |= spoke and view.listening and view.key is KeyState.UP
        self._shown = shown
        return changed, finished


def talk_name(group: GroupId | None) -> str:
    """Return what the voice process calls a channel."""
    return "everyone" if group is None else group.text
