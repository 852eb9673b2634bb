"""The record of calls: what is noted of each, and when.

One commit when a call begins, so that a missed one is known even if the station dies while it
rings, and one when it is over.  That it was answered is noted with whatever is committed next; so
are all calls of strangers, within half a second, since whoever makes up keys must not wear a card.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.model.call import Call, CallState, EndReason
from appliance.model.identity import StationId
from appliance.node.effects import Effect, Transact
from appliance.node.ports import Moment
from appliance.node.ports.calling import CutCalls, RecordedCall, SaveCall

_STEPS: Final = {CallState.CONNECTING: 1, CallState.TALKING: 1, CallState.ENDED: 2}
"""What is noted of a call: that it is there, that it was answered, that it is over."""


def is_missed(call: Call) -> bool:
    """Tell whether they called and our operator may not know of it."""
    if call.outgoing or call.state is not CallState.ENDED or call.answered_at is not None:
        return False
    return call.end_reason is not EndReason.DECLINED


class CallRecord:
    """Says what is to be stored of the calls of this station."""

    def __init__(self, *, is_known: Callable[[StationId], bool]) -> None:
        """`is_known`: our operator has to do with a station."""
        self._is_known = is_known
        self._noted: dict[str, tuple[int, RecordedCall]] = {}
        """By call, while it goes on: the step that is noted, and what."""

    def changed(
        self, call: Call, now: float, moment: Moment, *, quality: str, done: Callable[[], None]
    ) -> list[Effect]:
        """Take a call as it is now; `done` is called when it is over and on disk.

        `now` and `moment` are the same time; `quality` is how it has sounded so far, in a word.
        """
        step, known = _STEPS.get(call.state, 0), self._noted.get(call.id)
        if known is not None and known[0] >= step:
            return []
        over = call.state is CallState.ENDED
        begun = known[1] if known is not None else None
        note = self._note(call, begun, now, moment, quality if over else "none")
        if over:
            self._noted.pop(call.id, None)
        else:
            self._noted[call.id] = (step, note)

        def stored(_: None) -> list[Effect]:
            if over:
                done()
            return []

        lazy = not note.known or (known is not None and not over)
        return [Transact(SaveCall(note), stored, lazy=lazy)]

    def _note(
        self, call: Call, begun: RecordedCall | None, now: float, moment: Moment, quality: str
    ) -> RecordedCall:
        over, answered = call.state is CallState.ENDED, call.answered_at is not None
        talked_s = None
        if over and call.answered_at is not None:
            talked_s = max((call.ended_at or now) - call.answered_at, 0.0)
        missed = is_missed(call)
        station = call.peer.station
        begun_ms = max(moment.wall_ms - int((now - call.created_at) * 1000), 0)
        return RecordedCall(
            id=call.id,
            station=station,
            line=call.peer.line if call.outgoing else call.line,
            outgoing=call.outgoing,
            known=begun.known if begun is not None else call.outgoing or self._is_known(station),
            begun_ms=begun.begun_ms if begun is not None else begun_ms,
            begun_sure=begun.begun_sure if begun is not None else moment.sure,
            answered=answered,
            talked_s=talked_s,
            reason=call.end_reason.value if over and call.end_reason is not None else None,
            detail=call.detail if over else "",
            quality=quality,
            missed=missed,
            seen=not missed,
        )

    def cut(self, running: tuple[str, ...], done: Callable[[], None]) -> list[Effect]:
        """At a start: what went on before is over, but for what was taken up again."""

        def stored(_: None) -> list[Effect]:
            done()
            return []

        return [Transact(CutCalls(EndReason.CUT_OFF.value, running), stored)]
