"""A station without groups."""

from __future__ import annotations

from appliance.model.group import GroupId
from appliance.model.record import Record, RecordKind
from appliance.node.writing import MessageRefusedError
from appliance.protocol.sealing import OpenError


class NoGroups:
    """Belongs to none."""

    def is_member(self, _: GroupId, /) -> bool:
        """Tell whether we belong to a group."""
        return False

    def open(self, _: Record, /) -> bytes:
        """Open a message to a group."""
        raise OpenError("message: for a group that is not ours")

    def seal(self, _: GroupId, __: RecordKind, ___: bytes, /) -> tuple[bytes, bytes]:
        """Seal a message to a group."""
        raise MessageRefusedError("no-member", "This station is not in this group.")
