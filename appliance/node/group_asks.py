"""What of groups a station misses, and whom it asks for it.

Whoever wrote to a group with a key, or upon changes, that have not come here has them.  Mostly they
are on their way, so nobody is asked at once, and after some times no more in this run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from appliance.model.group import GroupId
from appliance.model.group_note import MAX_HEADS, MAX_WANTED, GroupNote
from appliance.model.identity import StationId
from appliance.node.group_state import Group, Standing
from appliance.node.ports import Moment
from appliance.protocol.group_sealing import SHORT_SIZE

FIRST_ASK_S: Final = 20.0
LAST_ASK_S: Final = 3600.0
"""The wait doubles from the one to the other."""

MAX_TRIES: Final = 10
MAX_ASKS: Final = 256
MAX_MISSING: Final = 16

ANSWER_S: Final = 10.0
"""How often the same station is answered about one group."""


@dataclass
class _Ask:
    keys: set[bytes] = field(default_factory=set)
    changes: set[bytes] = field(default_factory=set)
    """The first bytes of their hashes."""

    tries: int = 0
    at: float | None = None
    """When to ask, in seconds of being awake; None: found out just now."""


class GroupAsks:
    """Questions about groups, to whom, and when."""

    def __init__(self) -> None:
        self._asks: dict[tuple[GroupId, StationId], _Ask] = {}
        self._answered: dict[tuple[GroupId, StationId], float] = {}

    def miss(
        self,
        group: GroupId,
        station: StationId,
        *,
        key: bytes | None = None,
        changes: tuple[bytes, ...] = (),
    ) -> None:
        """Note that a station has a key or changes that are not here."""
        if (group, station) not in self._asks and len(self._asks) >= MAX_ASKS:
            over = (one for one, ask in self._asks.items() if ask.tries >= MAX_TRIES)
            if (oldest := next(over, None)) is None:
                return
            del self._asks[oldest]
        ask = self._asks.setdefault((group, station), _Ask())
        missing = {change[:SHORT_SIZE] for change in changes}
        if key is not None and len(ask.keys) < MAX_MISSING:
            ask.keys.add(key)
        if len(ask.changes | missing) <= MAX_MISSING:
            ask.changes |= missing

    def next_wakeup(self) -> float | None:
        """Say when to call `due`, in seconds of being awake."""
        times = [0.0 if ask.at is None else ask.at for ask in self._asks.values()]
        return min((time for time in times if time < float("inf")), default=None)

    def due(
        self, get: Callable[[GroupId], Group | None], moment: Moment
    ) -> list[tuple[GroupId, StationId, bytes]]:
        """Return the questions to be sent now: about which group, to whom, and the notes."""
        found: list[tuple[GroupId, StationId, bytes]] = []
        for (group_id, station), ask in list(self._asks.items()):
            group = get(group_id)
            if group is None or not self._still(group, ask):
                del self._asks[group_id, station]
            elif ask.at is None:
                ask.at = moment.awake_s + FIRST_ASK_S
            elif ask.at <= moment.awake_s:
                ask.tries += 1
                wait = min(FIRST_ASK_S * 2**ask.tries, LAST_ASK_S)
                # Kept all the same: who tells us again of the same does not start it anew.
                ask.at = float("inf") if ask.tries >= MAX_TRIES else moment.awake_s + wait
                heads = group.log.heads[:MAX_HEADS]
                wanted = tuple(sorted(ask.keys))[:MAX_WANTED]
                note = GroupNote(group_id, heads=heads, wanted=wanted)
                found.append((group_id, station, note.encode()))
        return found

    def _still(self, group: Group, ask: _Ask) -> bool:
        """Tell whether something is missing; forgets what has come."""
        if group.standing is Standing.OUT:
            return False
        known = {change.hash[:SHORT_SIZE] for change in group.log.changes}
        ask.keys = {key for key in ask.keys if key not in group.keys and key not in group.gone}
        ask.changes -= known
        return bool(ask.keys or ask.changes)

    def may_answer(self, group: GroupId, station: StationId, moment: Moment) -> bool:
        """Tell whether a station that asks is answered now; if so, not again for a while."""
        last = self._answered.get((group, station))
        if last is not None and moment.awake_s - last < ANSWER_S:
            return False
        self._answered.pop((group, station), None)
        self._answered[group, station] = moment.awake_s
        if len(self._answered) > MAX_ASKS:
            del self._answered[next(iter(self._answered))]
        return True
