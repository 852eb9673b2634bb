"""What the conversation of a group says of what happened in it, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from appliance.model.group_change import ChangeKind, History
from appliance.model.identity import StationId
from appliance.node.group_news import GroupNotice

_HISTORY = {
    History.ALL: "new members get what was written before",
    History.NONE: "new members get only what is written from then on",
}


def words(
    notice: GroupNotice,
    own: StationId,
    *,
    label: Callable[[StationId], str],
    group_name: str,
    waits: bool,
) -> str:
    """Return a sentence; `waits`: we are invited, and our operator has not said yes."""

    def of(stations: Iterable[StationId]) -> str:
        names = ["you" if one == own else label(one) for one in stations]
        return " and ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)

    by = "You" if notice.by == own else label(notice.by)
    whom = of(notice.subjects)
    match notice.kind:
        case ChangeKind.FOUND:
            return f"{by} made the group {notice.name}."
        case ChangeKind.INVITE if waits and own in notice.subjects:
            return f"{by} invited you to the group {group_name}. Accept or decline."
        case ChangeKind.INVITE if own in notice.subjects:
            return f"{by} brought you into the group {group_name}."
        case ChangeKind.INVITE:
            return f"{by} brought in {whom}."
        case ChangeKind.REMOVE:
            return f"{by} removed {whom}."
        case ChangeKind.LEAVE:
            return f"{by} left the group."
        case ChangeKind.RENAME:
            return f"{by} named the group {notice.name}."
        case ChangeKind.APPOINT:
            return f"{by} made {whom} an admin."
        case ChangeKind.DISMISS if notice.subjects == (notice.by,):
            return f"{by} gave up being an admin."
        case ChangeKind.DISMISS:
            return f"{by} made {whom} a plain member."
        case ChangeKind.POLICY:
            return f"{by} chose that {_HISTORY[notice.history]}."
