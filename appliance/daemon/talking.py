"""Talk groups, as clients see them (`api.talking.TalkBackend`)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from appliance.api.backend import ApiError
from appliance.api.schema import EVERYONE
from appliance.api.talking import Listen, Press, Replay, TalkInfo
from appliance.daemon.group_backend import DaemonGroups
from appliance.daemon.lookup import Lookup, check_files
from appliance.daemon.runtime import Runtime
from appliance.daemon.views import PRECEDENCES
from appliance.model.group import GroupId
from appliance.model.identity import StationId
from appliance.model.record import Precedence
from appliance.model.talk import TalkView
from appliance.model.talk_media import TalkTone
from appliance.node.beginnings import Now
from appliance.node.call_effects import Media
from appliance.node.effects import Effect
from appliance.node.ports import SetValue
from appliance.node.talk_board import TalkRefusedError
from appliance.node.talk_channels import TALK_VALUE, listened_value

logger = logging.getLogger(__name__)

_STATUS: Final = {"no-such-channel": 404}


class DaemonTalk:
    """The channels of this station."""

    def __init__(
        self,
        runtime: Runtime,
        lookup: Lookup,
        groups: DaemonGroups,
        *,
        name_of: Callable[[StationId], str],
    ) -> None:
        self._runtime, self._lookup, self._name_of = runtime, lookup, name_of
        self._groups = groups
        self._talk = runtime.station.talk
        self._last: GroupId | None = None
        """The channel that was used last."""
        self._holding = False

    def all(self) -> tuple[TalkInfo, ...]:
        """See `TalkBackend`."""
        return tuple(self._info(view) for view in self._talk.views())

    def changed(self, channel: GroupId | None) -> TalkInfo | None:
        """Describe a channel of which something is new; None: it is gone."""
        found = (view for view in self._talk.views() if view.channel == channel)
        return next((self._info(view) for view in found), None)

    async def listen(self, channel: str, wanted: Listen) -> TalkInfo:
        """See `TalkBackend`."""
        check_files(None, wanted.record)
        group = self._channel(channel)
        self._act(lambda now: self._talk.listen(group, now, on=wanted.on, record=wanted.record))
        await self._keep()
        return self._told(group)

    async def press(self, channel: str, wanted: Press) -> TalkInfo:
        """See `TalkBackend`."""
        check_files(wanted.play, None)
        group = self._channel(channel)
        precedence = Precedence(PRECEDENCES.index(wanted.precedence))
        # What can fail comes first: nobody shall be told of an error while the microphone is open.
        if group not in self._talk.listened():
            self._act(lambda now: self._talk.listen(group, now, on=True))
            await self._keep()
        if group is not None and self._talk.needs_key(group, self._runtime.time.now()):
            await self._groups.renew_key(group)
        self._act(lambda now: self._talk.press(group, now, precedence=precedence, play=wanted.play))
        self._last = group
        return self._told(group)

    async def release(self, channel: str) -> TalkInfo:
        """See `TalkBackend`."""
        group = self._channel(channel)
        self._act(lambda now: self._talk.release(group, now))
        return self._told(group)

    def hold(self, *, held: bool) -> None:
        """The key that says when it is let go: of the channel used last, everyone's at first."""
        if not held and not self._holding:
            return  # It was pressed for something else.
        self._holding = held
        now = self._runtime.time.now()
        try:
            if held:
                effects = self._talk.press(self._last, now)
            else:
                effects = self._talk.release(self._last, now)
        except TalkRefusedError as error:
            logger.info("The talk key did nothing: %s", error.text)
            effects = [Media(TalkTone("talk-busy"))]  # Nobody may be looking at a screen.
            if error.code == "no-such-channel":
                self._last = None
        self._runtime.carry_out(effects)

    def replay(self, channel: str, wanted: Replay) -> TalkInfo:
        """See `TalkBackend`."""
        group = self._channel(channel)
        self._act(lambda _: self._talk.replay(group, on=wanted.on, from_s=wanted.from_s))
        return self._told(group)

    def _channel(self, channel: str) -> GroupId | None:
        return None if channel == EVERYONE else self._lookup.group(channel)

    def _act(self, wish: Callable[[Now], list[Effect]]) -> None:
        try:
            effects = wish(self._runtime.time.now())
        except TalkRefusedError as error:
            status = _STATUS.get(error.code, 409)
            raise ApiError(status, error.code, error.text, error.fix) from None
        self._runtime.carry_out(effects)

    async def _keep(self) -> None:
        """Have what is listened to on disk, also over a restart."""
        value = listened_value(self._talk.listened())
        await self._lookup.perform(SetValue(TALK_VALUE, value))

    def _told(self, group: GroupId | None) -> TalkInfo:
        told = self.changed(group)
        if told is None:
            raise ApiError(404, "no-such-channel", "You are not in this group any more.")
        return told

    def _info(self, view: TalkView) -> TalkInfo:
        own = self._runtime.station
        name = EVERYONE
        if view.channel is not None:
            group = own.post.groups.groups.book.get(view.channel)
            name = group.name if group is not None else view.channel.tag
        speaker = view.speaker
        now = self._runtime.time.now().monotonic
        return TalkInfo(
            channel=EVERYONE if view.channel is None else view.channel.text,
            name=name,
            open=view.channel is None,
            listening=view.listening,
            key=view.key.value,
            speaker=None if speaker is None else speaker.text,
            speaker_name=(
                "" if speaker is None else own.name if speaker == own.id else self._name_of(speaker)
            ),
            precedence=PRECEDENCES[view.precedence],
            has_key=view.has_key,
            talking_s=None if view.began_at is None else max(0.0, now - view.began_at),
            sounded_at_s=view.sounded_at,
            level_db=view.level_db,
            replaying=view.replaying,
            detail=view.detail,
        )
