"""The record of calls in the daemon: what is stored of them, and what clients ask of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from appliance.api.calls import CallInfo, CallPage, SeeCalls, SeenCalls
from appliance.api.schema import WallTime
from appliance.daemon.lookup import Lookup
from appliance.model.call import Call, CallState
from appliance.model.identity import StationId
from appliance.node.call_record import CallRecord
from appliance.node.directory import Trust
from appliance.node.ports.calling import CountMissed, GetCalls, RecordedCall
from appliance.node.ports.calling import SeeCalls as NoteSeen

if TYPE_CHECKING:
    from appliance.daemon.runtime import Runtime
    from appliance.daemon.views import Views


class CallHistory:
    """Notes the calls, and gives them back."""

    def __init__(self, runtime: Runtime, views: Views, *, changed: Callable[[], None]) -> None:
        """`changed`: how many missed calls nobody has looked at is another number."""
        self._runtime, self._views, self._changed = runtime, views, changed
        self._record = CallRecord(is_known=self._is_known)
        self._lookup = Lookup(runtime)
        self.missed = 0
        """Calls that were missed, and nobody has looked at."""

    def _is_known(self, station: StationId) -> bool:
        return self._runtime.station.directory.get(station).trust is not Trust.NEW

    def begin(self) -> None:
        """After a start: end what was going on, but for what was taken up again, and count."""
        running = tuple(call.id for call in self._runtime.station.calls.active)
        self._runtime.carry_out(self._record.cut(running, self._recount))

    def changed(self, call: Call) -> None:
        """Take a call as it is now."""
        now = self._runtime.time.now()
        quality = self._runtime.sound.quality
        effects = self._record.changed(
            call,
            now.monotonic,
            now.moment,
            quality=quality.over_all(call.id),
            done=self._recount,
        )
        self._runtime.carry_out(effects)
        if call.state is CallState.ENDED:
            quality.forget(call.id)

    def _recount(self) -> None:
        def counted(count: int) -> None:
            if count != self.missed:
                self.missed = count
                self._changed()

        self._runtime.store.submit(CountMissed(), on_durable=counted)

    # -- What clients ask

    async def page(
        self, station: str | None, *, missed: bool, before: int | None, limit: int
    ) -> CallPage:
        """See `HistoryBackend`."""
        whom = self._lookup.find(station) if station is not None else None
        found = await self._lookup.perform(GetCalls(whom, missed, before, limit + 1))
        return CallPage(tuple(map(self._past, found[:limit])), more=len(found) > limit)

    async def see(self, wanted: SeeCalls) -> SeenCalls:
        """See `HistoryBackend`."""
        whom = self._lookup.find(wanted.station) if wanted.station is not None else None
        seen = await self._lookup.perform(NoteSeen(whom, wanted.up_to))
        self._recount()
        return SeenCalls(seen)

    def _past(self, call: RecordedCall) -> CallInfo:
        return CallInfo(
            id=call.id,
            station=call.station.text,
            line=call.line,
            name=self._views.name_of(call.station),
            outgoing=call.outgoing,
            state=CallState.ENDED.value,
            end_reason=call.reason,
            detail=call.detail,
            started_at=WallTime(call.begun_ms, call.begun_sure),
            talking_s=call.talked_s,
            muted=False,
            volume_pct=100,
            problems=(),
            quality=call.quality,
            loss_pct=0.0,
            level_in_db=-100.0,
            level_out_db=-100.0,
            digits=None,
            verification=None,
            missed=call.missed,
            seen=call.seen,
            number=call.number,
        )
