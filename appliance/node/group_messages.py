"""What is written in groups, sealed and opened.

A message is sealed to a key that was made for just those who are members by all that its author
knows.  Whoever writes and has none, since somebody has left, two were removed at once, or a week is
over, makes one and sends it along; so that needs no admin, and who is out has no key that is used
by anybody who has heard of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.model.codec import FormatError
from appliance.model.group import GroupId
from appliance.model.group_note import GroupKey
from appliance.model.identity import StationId
from appliance.model.record import Record, RecordKind
from appliance.node.call_gate import CallGate
from appliance.node.group_asks import GroupAsks
from appliance.node.group_book import GroupBook, NotYetError
from appliance.node.group_news import GroupResult
from appliance.node.group_rules import GroupRefusedError, check_member
from appliance.node.group_state import Group, Standing
from appliance.node.opening import UnknownKeyError
from appliance.node.ports import Moment
from appliance.protocol.group_sealing import (
    NONCE_SIZE,
    SHORT_SIZE,
    open_to_group,
    seal_to_group,
)
from appliance.protocol.sealing import OpenError

KEYS_FOR_READERS: Final = 16
KEYS_FOR_READERS_S: Final = 3600.0
"""Keys that are made in a row since a reader has lost those that there are, and seconds until there
is one more: each goes to all members."""


@dataclass(frozen=True)
class SealedToGroup:
    """A content, sealed, with all that has to be done so that its readers can open it."""

    key: bytes
    """Id of the key, for the record."""

    content: bytes
    """Sealed."""

    recipients: tuple[StationId, ...]
    """All members but us."""

    result: GroupResult | None
    """If a key had to be made: to be carried out in the same breath."""


class GroupMessages:
    """Seals and opens."""

    def __init__(self, book: GroupBook, asks: GroupAsks) -> None:
        self._book, self._asks = book, asks
        self._made_for_readers = CallGate(burst=KEYS_FOR_READERS, refill_s=KEYS_FOR_READERS_S)

    def is_member(self, group_id: GroupId) -> bool:
        """Tell whether messages to a group are for us: we are in, or can read what is older."""
        group = self._book.get(group_id)
        if group is None or group.standing is Standing.INVITED:
            return False
        return group.standing is Standing.IN or bool(group.keys)

    def seal(
        self, group_id: GroupId, content: bytes, moment: Moment, *, avoid: bytes | None = None
    ) -> SealedToGroup:
        """Seal a message's content; raises GroupRefusedError, ValueError when it is too long.

        `avoid` is the id of a key that a reader has no more, and asks to seal to another.
        """
        group = self._book.known(group_id)
        check_member(group)
        if not group.others:
            raise GroupRefusedError("alone", "Nobody else is in this group.", "Invite somebody.")
        result = None
        found = group.key_to_seal(moment.awake_s, avoid=avoid)
        if found is None:
            if avoid is not None and not self._made_for_readers.allows(group.own, moment.awake_s):
                raise GroupRefusedError("sealed-again", "This was sealed again just now.")
            result = self._book.set(group, group, moment, new_key=True)
            group = self._book.known(group_id)
            found = group.key_to_seal(moment.awake_s, avoid=avoid)
            assert found is not None
        key_id, held = found
        try:
            sealed = seal_to_group(
                content,
                author=group.own,
                group=group_id,
                kind=RecordKind.MESSAGE,
                key=held.key,
                heads=group.log.heads,
                nonce=self._book.random_bytes(NONCE_SIZE),
            )
        except ValueError:
            if result is not None:  # nobody is told of this key, so nothing may be sealed to it
                self._book.undo(result)
            raise
        return SealedToGroup(key_id, sealed, group.others, result)

    def open(self, record: Record) -> bytes:
        """Return the content of a message to a group of ours.

        Raises NotYetError when it has to wait (also when the group is unknown here), else
        UnknownKeyError (its author can seal it again), OpenError or FormatError.
        """
        if record.group is None or record.to or record.prekey is None:
            raise FormatError("message: not sealed to a group")
        group = self._book.get(GroupId(record.group))
        if group is None or group.standing is Standing.INVITED:
            raise NotYetError("the group is not ours, or not yet")
        author, held = record.author, group.keys.get(record.prekey)
        if held is None:
            if author in group.members and group.standing is Standing.IN:
                if record.prekey in group.gone:
                    raise UnknownKeyError("sealed to a key that was destroyed here")
                if self._asks.in_vain(group.id, record.prekey):
                    raise UnknownKeyError("sealed to a key that nobody gives us")
                self._asks.miss(group.id, author, key=record.prekey)
            raise NotYetError("sealed to a key that has not come")
        content, heads = open_to_group(
            record.content, author=author, group=group.id, kind=record.kind, key=held.key
        )
        known = {change.hash[:SHORT_SIZE] for change in group.log.changes}
        missing = tuple(head for head in heads if head not in known)
        if missing:
            self._asks.miss(group.id, author, changes=missing)
        if author not in group.members and not _wrote_before_it_left(group, author, held.key):
            if missing:
                raise NotYetError("by somebody of whom we do not know that it is a member")
            raise OpenError("by somebody who is not a member")
        return content


def _wrote_before_it_left(group: Group, author: StationId, key: GroupKey) -> bool:
    """Tell whether somebody has left, and not been removed, and was to have the key that it used.

    That it has left may arrive before what it wrote last.
    """
    return author in group.view.entries and key.made_for(author, group.log.brought(author))
