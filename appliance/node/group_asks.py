"""What of groups a station misses, and whom it asks for it.

Whoever wrote to a group with a key, or upon changes, that have not come here has them.  Mostly they
are on their way, so nobody is asked at once, and after some times no more in this run.  A key that
nobody has given us by then is destroyed there too: what was sealed to it has to be sealed again.
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
ASKED: Final = 8
"""Members whom a restored station asks for what it has forgotten."""

MAX_VAIN: Final = 1024
"""Keys that nobody has given us, and that are not asked for again."""

ANSWER_S: Final = 10.0
"""How soon the same station is answered again about one group; each time the wait doubles, as it
does with who asks, up to LAST_ASK_S: an answer waits on our disk until the station has it."""

MAX_ANSWERED: Final = 4096
"""Members of all groups that we can be in."""


@dataclass
class _Ask:
    keys: set[bytes] = field(default_factory=set)
    changes: set[bytes] = field(default_factory=set)
    """The first bytes of their hashes."""

    all: bool = False
    """Whatever was done in the group: this station may have forgotten it."""

    tries: int = 0
    at: float | None = None
    """When to ask, in seconds of being awake; None: found out just now."""


class GroupAsks:
    """Questions about groups, to whom, and when."""

    def __init__(self) -> None:
        self._asks: dict[tuple[GroupId, StationId], _Ask] = {}
        self._answered: dict[tuple[GroupId, StationId], tuple[float, float]] = {}
        """When, and for how long not again."""
        self._vain: dict[tuple[GroupId, bytes], None] = {}
        self._given_up: set[GroupId] = set()

    def miss(
        self,
        group: GroupId,
        station: StationId,
        *,
        key: bytes | None = None,
        changes: tuple[bytes, ...] = (),
    ) -> None:
        """Note that a station has a key or changes that are not here."""
        ask = self._ask(group, station)
        if ask is None:
            return
        missing = {change[:SHORT_SIZE] for change in changes}
        if key is not None and len(ask.keys) < MAX_MISSING:
            ask.keys.add(key)
        if len(ask.changes | missing) <= MAX_MISSING:
            ask.changes |= missing

    def forgot(self, group: GroupId, station: StationId) -> None:
        """Note that a station may know more of a group than is here; it is asked at once.

        Who knows no more does not answer, and a full disk may lose the question, so it is asked as
        often as others.
        """
        ask = self._ask(group, station)
        if ask is not None:
            ask.all, ask.at = True, 0.0

    def _ask(self, group: GroupId, station: StationId) -> _Ask | None:
        if (group, station) not in self._asks and len(self._asks) >= MAX_ASKS:
            over = (one for one, ask in self._asks.items() if ask.tries >= MAX_TRIES)
            if (oldest := next(over, None)) is None:
                return None
            del self._asks[oldest]
        return self._asks.setdefault((group, station), _Ask())

    def next_wakeup(self) -> float | None:
        """Say when to call `due`, in seconds of being awake."""
        if not self._asks:
            return None
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
                if ask.tries >= MAX_TRIES:
                    self._give_up(group_id, ask)
                    continue
                ask.tries += 1
                ask.at = moment.awake_s + min(FIRST_ASK_S * 2**ask.tries, LAST_ASK_S)
                heads = group.log.heads[:MAX_HEADS]
                wanted = tuple(sorted(ask.keys))[:MAX_WANTED]
                note = GroupNote(group_id, heads=heads, wanted=wanted)
                found.append((group_id, station, note.encode()))
        return found

    def _give_up(self, group: GroupId, ask: _Ask) -> None:
        # Kept all the same: who tells us again of the same changes does not start it anew.
        ask.at, ask.all = float("inf"), False
        if ask.keys:
            self._given_up.add(group)
        for key in ask.keys:
            self._vain[group, key] = None
        ask.keys.clear()
        for oldest in list(self._vain)[:-MAX_VAIN]:
            del self._vain[oldest]

    def given_up(self) -> set[GroupId]:
        """Return groups of which keys were asked for in vain since the last call."""
        found, self._given_up = self._given_up, set()
        return found

    def in_vain(self, group: GroupId, key: bytes) -> bool:
        """Tell whether a key was asked for often enough."""
        return (group, key) in self._vain

    def _still(self, group: Group, ask: _Ask) -> bool:
        """Tell whether something is missing; forgets what has come."""
        if group.standing is Standing.OUT:
            return False
        known = {change.hash[:SHORT_SIZE] for change in group.log.changes}
        ask.keys = {key for key in ask.keys if key not in group.keys and key not in group.gone}
        ask.changes -= known
        return bool(ask.all or ask.keys or ask.changes)

    def may_answer(self, group: GroupId, station: StationId, moment: Moment) -> bool:
        """Tell whether a station that asks is answered now; if so, not again for a while."""
        last, wait = self._answered.get((group, station), (moment.awake_s, 0.0))
        since = moment.awake_s - last
        if since < wait:
            return False
        self._answered.pop((group, station), None)
        again = since >= 2 * LAST_ASK_S
        wait = ANSWER_S if again else min(max(2 * wait, ANSWER_S), LAST_ASK_S)
        self._answered[group, station] = (moment.awake_s, wait)
        if len(self._answered) > MAX_ANSWERED:
            del self._answered[next(iter(self._answered))]
        return True
