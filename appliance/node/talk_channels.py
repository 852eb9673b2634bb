"""The channels that our operator may use: everyone's, and those of the groups that we are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from appliance.model.codec import FormatError, decode, encode
from appliance.model.group import Conversation, GroupId, conversation_key, conversation_of
from appliance.model.secret import Secret
from appliance.node.group_book import GroupBook
from appliance.node.group_state import Group, Standing
from appliance.protocol.talk import Claim
from appliance.protocol.talk_keys import OPEN_SECRET, channel_of, spurt_key

EVERYONE: Final = channel_of(None)

TALK_VALUE: Final = "talk"
"""Under which the store keeps what is listened to."""

MAX_KEPT: Final = 64
MAX_NAMES: Final = 1024


@dataclass(frozen=True)
class SendingKey:
    """From what the key of a spurt of ours is made."""

    id: bytes
    """What others know it by; empty: everybody knows it."""

    secret: Secret
    """It."""


class TalkChannels:
    """Who may speak on which channel, and under which key."""

    def __init__(self, book: GroupBook) -> None:
        self._book = book
        self._channels: dict[GroupId, bytes] = {}
        self._groups: dict[bytes, GroupId] = {}
        """Of all groups that were seen here; claims come often and groups are many."""

    def _learn(self) -> None:
        if len(self._groups) > MAX_NAMES:
            self._channels.clear()
            self._groups.clear()
        for group in self._book:
            if group.id not in self._channels:
                channel = self._channels[group.id] = channel_of(group.id)
                self._groups[channel] = group.id

    def _group(self, channel: bytes) -> Group | None:
        if channel not in self._groups:
            self._learn()
        group = self._groups.get(channel)
        known = None if group is None else self._book.get(group)
        return known if known is not None and known.standing is Standing.IN else None

    def all(self) -> Iterator[tuple[bytes, GroupId | None]]:
        """Go through those that there are."""
        self._learn()
        yield EVERYONE, None
        for group in self._book:
            if group.standing is Standing.IN:
                yield self._channels[group.id], group.id

    def of(self, channels: Iterable[bytes]) -> Iterator[tuple[bytes, GroupId | None]]:
        """Go through those of some channels that there are."""
        for channel in channels:
            group = self._group(channel)
            if channel == EVERYONE or group is not None:
                yield channel, None if group is None else group.id

    def admits(self, claim: Claim) -> bool:
        """Tell whether a speaker belongs to a channel of ours.

        In the channel of everyone everybody does; in that of a group its members, and none that
        wants to be heard by all.
        """
        if claim.channel == EVERYONE:
            return not claim.key_id
        group = self._group(claim.channel)
        return group is not None and claim.speaker in group.members and bool(claim.key_id)

    def sending_key(self, channel: bytes, awake_s: float) -> SendingKey | None:
        """Return from what to make the key of a spurt; None: there is no such key here now."""
        if channel == EVERYONE:
            return SendingKey(b"", OPEN_SECRET)
        group = self._group(channel)
        found = None if group is None else group.key_to_seal(awake_s)
        return None if found is None else SendingKey(found[0], found[1].key.secret)

    def key_of(self, claim: Claim) -> Secret | None:
        """Return the key of a spurt; None: we can't have it, or its group's key has not come."""
        if claim.channel == EVERYONE:
            return spurt_key(OPEN_SECRET, claim)
        group = self._group(claim.channel)
        held = None if group is None else group.keys.get(claim.key_id)
        return None if held is None else spurt_key(held.key.secret, claim)

    def is_alone(self, channel: bytes) -> bool:
        """Tell whether a group has no other member."""
        group = self._group(channel)
        return group is not None and not group.others


def listened_value(channels: Iterable[Conversation]) -> bytes:
    """Return what the store keeps of the channels that are listened to."""
    return encode(sorted(conversation_key(channel) for channel in channels))


def read_listened(value: bytes | None) -> tuple[Conversation, ...]:
    """Read it; raises FormatError.

    At first it is the channel of everyone: a radio that is off is no help to those who call.
    """
    if value is None:
        return (None,)
    keys = decode(value, limit=64 * MAX_KEPT)
    if type(keys) is not list or len(keys) > MAX_KEPT:
        raise FormatError("talk: not a list of channels")
    if not all(type(key) is bytes for key in keys):
        raise FormatError("talk: a channel is named by bytes")
    return tuple(conversation_of(key) for key in keys)
