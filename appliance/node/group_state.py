"""What a station knows of one group, and how that is kept.

Keys are used for a week and destroyed 37 days later, the same as prekeys and for the same reason: a
message may be carried for 30 days.  Both count the time that this station is awake from when the
key came, so a clock that jumps destroys nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Final

from appliance.model.codec import Fields, FormatError, decode, encode
from appliance.model.group import GROUP_SIZE, GroupId
from appliance.model.group_change import HASH_SIZE, Change, History, read_change
from appliance.model.group_note import GroupKey, audience_of, hashes
from appliance.model.identity import StationId
from appliance.model.record import PREKEY_ID_SIZE
from appliance.node.group_log import GroupLog, Member, View
from appliance.node.ports.grouping import SaveGroup

USE_S: Final = 7 * 24 * 3600.0
"""For how long a key seals: after that whoever writes makes a new one."""

GRACE_S: Final = 37 * 24 * 3600.0
"""For how long it opens after that."""

MAX_KEYS: Final = 128
"""Of a group; the oldest are destroyed first ..."""

MAX_KEYS_OF_ONE: Final = 32
"""... and of those that one member handed over, so that none can push out those of others."""

MAX_GONE: Final = 128
"""Destroyed keys of a group that are remembered by their ids."""

MAX_ORPHANS: Final = 64
"""Changes that wait for others upon which they were made."""

MAX_STATE: Final = 1 << 20


class Standing(StrEnum):
    """What this station is in a group."""

    IN = "in"
    """A member."""

    INVITED = "invited"
    """A member by the others' account; our operator has not said yes yet."""

    OUT = "out"
    """Removed, or it has left."""


@dataclass(frozen=True)
class HeldKey:
    """A key that is here."""

    key: GroupKey
    """It."""

    source: StationId
    """Who made it or handed it over."""

    came_awake_s: float
    """When it came here or was made, in seconds of being awake."""


@dataclass(frozen=True)
class Group:
    """All that is known of a group.  Never altered, only replaced."""

    own: StationId
    """This station."""

    log: GroupLog
    """All changes."""

    keys: Mapping[bytes, HeldKey] = field(default_factory=dict)
    """By id, in the order in which they came."""

    gone: tuple[bytes, ...] = ()
    """Ids of destroyed keys, newest last."""

    accepted: bytes = b""
    """Which invitation of ours counts: the change's hash."""

    owed: frozenset[StationId] = frozenset()
    """Who has to get our notes and has no card here yet, so that nothing can be sealed to it."""

    out_awake_s: float | None = None
    """Since when we are out, in seconds of being awake."""

    orphans: Mapping[bytes, Change] = field(default_factory=dict)
    """By hash: changes that miss others upon which they were made."""

    @property
    def id(self) -> GroupId:
        """Which group it is."""
        return self.log.group

    @property
    def view(self) -> View:
        """What its changes come to."""
        return self.log.view

    @property
    def name(self) -> str:
        """A label."""
        return self.view.name

    @property
    def history(self) -> History:
        """What new members get of what was written before."""
        return self.view.history

    @property
    def members(self) -> Mapping[StationId, Member]:
        """Who is in."""
        return self.view.members

    @property
    def others(self) -> tuple[StationId, ...]:
        """All members but us, in order."""
        return tuple(sorted(member for member in self.members if member != self.own))

    @cached_property
    def standing(self) -> Standing:
        """What we are in it."""
        member = self.members.get(self.own)
        if member is None:
            return Standing.OUT
        return Standing.IN if member.joined == self.accepted else Standing.INVITED

    @property
    def inviter(self) -> StationId | None:
        """Who has brought us in; None: we are not in."""
        member = self.members.get(self.own)
        brought = None if member is None else self.log.get(member.joined)
        return None if brought is None else brought.maker

    @cached_property
    def audience(self) -> bytes:
        """Whom a key has to be made for now."""
        members = ((station, one.joined) for station, one in self.members.items())
        return audience_of(members, self.log.moves())

    def may_have(self, station: StationId, key: GroupKey) -> bool:
        """Tell whether a member may have a key: by the group's choice, or since it was for it."""
        return self.history is History.ALL or key.made_for(station, self.log.brought(station))

    def key_to_seal(
        self, awake_s: float, *, avoid: bytes | None = None
    ) -> tuple[bytes, HeldKey] | None:
        """Return a key that all members were to have and nobody else, and that is fresh enough.

        The lowest of several, so that all come to use the same one; never one from somebody who is
        out: who expects to be removed can make a key for those who remain.  Who has `avoid` no
        more has none that came before it either.
        """
        ids = list(self.keys)
        if avoid is not None and avoid in self.keys:
            ids = ids[ids.index(avoid) + 1 :]
        fit = [
            (key_id, held)
            for key_id, held in ((one, self.keys[one]) for one in ids)
            if held.key.audience == self.audience
            and held.source in self.members
            and awake_s - held.came_awake_s < USE_S
        ]
        return min(fit, key=lambda one: one[0], default=None)

    def with_keys(self, keys: tuple[GroupKey, ...], source: StationId, awake_s: float) -> Group:
        """Return the group with more keys; those beyond the bounds are destroyed."""
        held = dict(self.keys)
        for key in keys:
            key_id = key.id_in(self.id)
            if key_id not in self.gone:
                held.setdefault(key_id, HeldKey(key, source, awake_s))
        theirs = [key_id for key_id, one in held.items() if one.source == source]
        for key_id in theirs[:-MAX_KEYS_OF_ONE]:
            del held[key_id]
        for key_id in list(held)[:-MAX_KEYS]:
            del held[key_id]
        return self._keeping(held)

    def without_old_keys(self, awake_s: float) -> Group:
        """Return the group without the keys whose time is over."""
        until = awake_s - USE_S - GRACE_S
        return self._keeping(
            {one: key for one, key in self.keys.items() if key.came_awake_s > until}
        )

    def without_keys(self) -> Group:
        """Return the group without any key."""
        return self._keeping({})

    def _keeping(self, held: Mapping[bytes, HeldKey]) -> Group:
        gone = tuple(key_id for key_id in self.keys if key_id not in held)
        if not gone and len(held) == len(self.keys):
            return self
        return replace(self, keys=held, gone=(*self.gone, *gone)[-MAX_GONE:])

    @cached_property
    def next_end(self) -> float | None:
        """When the next key has to be destroyed, in seconds of being awake."""
        ends = [held.came_awake_s + USE_S + GRACE_S for held in self.keys.values()]
        if not ends and self.out_awake_s is not None:
            # By then no invitation to it can be opened that somebody plays back.
            return self.out_awake_s + USE_S + GRACE_S
        return min(ends, default=None)

    def encode(self) -> bytes:
        """Return all that is kept."""
        fields: dict[int, object] = {
            0: self.id.value,
            1: [change.raw for change in self.log.changes],
            2: [
                [*held.key.as_list(), held.source.key, max(0, int(held.came_awake_s * 1000))]
                for held in self.keys.values()
            ],
            3: list(self.gone),
            4: self.accepted,
            5: sorted(station.key for station in self.owed),
        }
        if self.out_awake_s is not None:
            fields[6] = max(0, int(self.out_awake_s * 1000))
        if self.orphans:
            fields[7] = [change.raw for change in self.orphans.values()]
        return encode(fields)

    def saved(self) -> SaveGroup:
        """Return the operation that keeps it."""
        return SaveGroup(self.id, self.encode())


def read_group(own: StationId, state: bytes) -> Group:
    """Read what was kept; raises FormatError."""
    fields = Fields(decode(state, limit=MAX_STATE), "group")
    log = GroupLog(GroupId(fields.data(0, size=GROUP_SIZE)))
    read = _changes(fields.items(1, limit=1024))
    log, orphans, refused = log.with_good_changes(read, limit=MAX_STATE)
    if orphans or refused or not len(log):
        raise FormatError("group: its changes are not whole")
    keys: dict[bytes, HeldKey] = {}
    for item in fields.items(2, limit=MAX_KEYS):
        if type(item) is not list or len(item) != 4 or type(item[3]) is not int:
            raise FormatError("group: a key without its time")
        (source,) = hashes([item[2]], 1)
        key = GroupKey.from_list(item[:2])
        keys[key.id_in(log.group)] = HeldKey(key, StationId(source), item[3] / 1000)
    gone = hashes(fields.items(3, limit=MAX_GONE), MAX_GONE, size=PREKEY_ID_SIZE)
    accepted = fields.data(4, limit=HASH_SIZE)
    owed = frozenset(StationId(key) for key in hashes(fields.items(5, limit=1024), 1024))
    out_ms = fields.uint(6) if fields.has(6) else None
    waiting = _changes(fields.items(7, limit=MAX_ORPHANS)) if fields.has(7) else []
    fields.end()
    return Group(
        own,
        log,
        keys,
        gone,
        accepted,
        owed,
        None if out_ms is None else out_ms / 1000,
        {change.hash: change for change in waiting},
    )


def _changes(raws: list[object]) -> list[Change]:
    read = [read_change(raw, signature_checked=True) for raw in raws if type(raw) is bytes]
    if len(read) != len(raws):
        raise FormatError("group: its changes are not whole")
    return read
