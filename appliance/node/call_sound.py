"""What the voice process says, and what it means for the station's calls."""

from __future__ import annotations

from math import inf
from typing import Final

from appliance.model.call import CallState, EndReason
from appliance.model.media import (
    FirstSound,
    MediaEvent,
    MediaReady,
    SoundProblem,
    SoundWarning,
    StopStream,
    StreamFailed,
    StreamOpened,
    StreamStats,
)
from appliance.node.active_call import REOPEN_S, ActiveCall
from appliance.node.call_book import CallBook
from appliance.node.call_effects import AskSession
from appliance.node.call_states import ANSWERED, CallStep

MEDIA_GONE_DETAIL: Final = "The voice process stopped; it is being started again."


class CallSound:
    """Takes the events of the voice process."""

    def __init__(self, book: CallBook) -> None:
        self._book = book

    def take(self, event: MediaEvent, now: float) -> None:
        """Act on one event; those that concern no call are ignored."""
        if isinstance(event, MediaReady):
            self._ready(event, now)
        elif isinstance(
            event, StreamOpened | StreamFailed | FirstSound | SoundWarning | StreamStats
        ):
            active = self._book.active.get(event.stream)
            if active is not None:
                self._take(active, event, now)

    def _take(
        self,
        active: ActiveCall,
        event: StreamOpened | StreamFailed | FirstSound | SoundWarning | StreamStats,
        now: float,
    ) -> None:
        if isinstance(event, StreamOpened):
            if active.media.opened(event.port):
                active.refresh_due = True
            if active.media_gone_since is not None:
                active.media_gone_since = None
                self._clear(active, SoundProblem.MEDIA_GONE)
        elif isinstance(event, StreamFailed):
            self._failed(active, event, now)
        elif isinstance(event, FirstSound):
            active.heard_at = now
            self._book.step(active, CallStep.SOUND)
        elif isinstance(event, StreamStats):
            if event.packets_received != active.packets:
                active.packets = event.packets_received
                active.heard_at = now
        else:
            self._warned(active, event, now)

    def _warned(self, active: ActiveCall, event: SoundWarning, now: float) -> None:
        if event.problem is SoundProblem.MEDIA_GONE and not event.over:
            self._gone(active, now)
        elif event.over:
            if event.problem is SoundProblem.NO_SOUND_ARRIVING:
                active.heard_at = now
            self._clear(active, event.problem)
        elif event.problem not in active.call.problems:
            if event.problem is SoundProblem.NO_SOUND_ARRIVING:
                self._ask(active)
            problems = (*active.call.problems, event.problem)
            self._book.change(active, problems=problems, detail=event.detail)

    def _ask(self, active: ActiveCall) -> None:
        """Have the session tried: whoever is only silent sends packets all the same, so either
        something ails the other voice process or the link is down, and then nobody says so."""
        peer = active.call.peer.station
        if active.call.state in ANSWERED and peer in self._book.sessions:
            self._book.emit(AskSession(peer))

    def _clear(self, active: ActiveCall, problem: SoundProblem) -> None:
        left = tuple(p for p in active.call.problems if p is not problem)
        detail = active.call.detail if left else ""
        self._book.change(active, problems=left, detail=detail)

    def _failed(self, active: ActiveCall, event: StreamFailed, now: float) -> None:
        if event.problem is SoundProblem.MEDIA_GONE:
            self._gone(active, now)
        else:
            self._book.end(active, EndReason.FAILED, now, detail=event.detail, code=500)

    def _gone(self, active: ActiveCall, now: float) -> None:
        """Get a new socket as soon as there is a voice process again, and new keys with it."""
        if active.media_gone_since is None:
            active.media_gone_since = now
        active.media.lost()
        active.packets = 0
        active.reopen_at = now + REOPEN_S
        active.refresh_due = active.call.state is not CallState.RINGING_HERE
        problems = active.call.problems
        if SoundProblem.MEDIA_GONE not in problems:
            problems = (*problems, SoundProblem.MEDIA_GONE)
        self._book.change(active, problems=problems, detail=MEDIA_GONE_DETAIL, talking_until=0.0)

    def _ready(self, event: MediaReady, now: float) -> None:
        for stream in event.streams:
            if stream not in self._book.active:  # of a daemon that died before us
                self._book.emit_media(StopStream(stream))
        for active in self._book.active.values():
            known = active.media.is_open() or active.media.is_opening
            if known and active.call.id not in event.streams:
                self._gone(active, now)
            active.reopen_at = inf
