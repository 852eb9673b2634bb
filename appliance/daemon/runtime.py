"""The pump between the station and the world: inputs in, effects out, timers.

This is the only place that knows both the station's parts and the adapters.  Inputs are handled one
at a time on the event loop; effects are carried out in the order in which the station gives them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from appliance.adapters.blobs import Blobs
from appliance.adapters.links import LinkSnapshot
from appliance.adapters.prekey_files import PrekeyFiles
from appliance.adapters.session import Session
from appliance.adapters.sessions import Hooks, Sessions
from appliance.adapters.store import Store
from appliance.daemon.attachments import Attachments
from appliance.daemon.call_note import CallNote
from appliance.daemon.cut_links import CutLinks
from appliance.daemon.finding import Finding
from appliance.daemon.sound import Sound
from appliance.daemon.storing import Storing
from appliance.daemon.timekeeper import Timekeeper
from appliance.daemon.watcher import Watcher
from appliance.model.identity import StationId
from appliance.model.media import MediaEvent, StreamStats
from appliance.node.call_effects import (
    AskSession,
    CallChanged,
    KeepCalls,
    Media,
    NeedSession,
    SendSip,
)
from appliance.node.effects import (
    AlarmRaised,
    AvoidRoute,
    Change,
    Dial,
    Effect,
    EndSession,
    Send,
    StationChanged,
    Transact,
)
from appliance.node.station import Station
from appliance.node.suspects import IMPOSTOR
from appliance.node.usage import SessionInfo
from appliance.protocol.frames import Channel

log = logging.getLogger(__name__)

REACH_WITHIN_S: Final = 6.0
"""For a session with somebody who is far away."""

MESH_NEWS_S: Final = 1.0
"""How long changes of the mesh are gathered before clients are told."""

ARM_WITHIN_S: Final = 0.001
"""How long after something happened the next timer is looked for."""

AFTER_FAULT_S: Final = 1.0
"""When a timer is tried again that has failed, so that a fault does not take all the time."""


class Runtime:
    """Runs one station."""

    def __init__(
        self,
        station: Station,
        store: Store,
        timekeeper: Timekeeper,
        prekeys: PrekeyFiles,
        blobs: Blobs,
        *,
        watcher: Watcher,
        make_sessions: Callable[[Hooks], Sessions],
        call_note: CallNote,
    ) -> None:
        self.station = station
        self.store = store
        self.time = timekeeper
        timekeeper.changed = self.mesh_changed
        self._watcher = watcher
        self.sessions = make_sessions(
            Hooks(
                on_open=self._session_opened,
                on_message=self._message,
                on_close=self._session_closed,
                on_refused=self._refused,
                on_bulk=self._asked_for_bulk,
                clock=timekeeper,
            )
        )
        self.sound = Sound(on_event=self._media_event, on_change=watcher.media_changed)
        """The voice process."""

        self.finding = Finding(self)
        """The ways to others."""

        self.attachments = Attachments(self, blobs)
        """The files that come with messages."""

        self._cut_links = CutLinks()
        self._storing = Storing(self, prekeys, watcher)
        self._call_note = call_note
        self._handles: dict[int, Session] = {}
        self._numbers: dict[Session, int] = {}
        self._last_handle = 0
        self._awaited: dict[StationId, asyncio.Event] = {}
        """Stations with which somebody waits for a session."""

        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._arming: asyncio.TimerHandle | None = None
        self._mesh_news: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def snapshot(self) -> LinkSnapshot:
        """The network interfaces as they are now."""
        return self.finding.snapshot

    @property
    def discovering(self) -> bool:
        """Whether announcements are sent and heard."""
        return self.finding.discovering

    # -- Life

    async def start(self, *, boot: bytes, interfaces: tuple[str, ...]) -> None:
        """Begin to announce, listen for others and carry out what the station wants."""
        self.carry_out(self.station.start(self.time.now()))
        self.finding.start(boot=boot, interfaces=interfaces)
        self.spawn(self.sound.run())
        self.spawn(self.time.keep_looking())
        self._storing.start()
        self.spawn(self.attachments.run())
        self._take_up_calls()

    def _take_up_calls(self) -> None:
        """Go on with the calls in which this station was a moment ago, before it died."""
        kept, age_s = self._call_note.find()
        now = self.time.now().monotonic
        self.station.calls.restore(kept, lost_at=now - age_s, now=now)
        self.carry_out(self.station.call_effects())
        self.spawn(self._call_note.keep_alive())

    async def stop(self) -> None:
        """Say goodbye to all, and leave the store complete."""
        self._stopping = True
        for timer in (self._timer, self._arming, self._mesh_news):
            if timer is not None:
                timer.cancel()
        self.station.calls.hang_up_all(now=self.time.now().monotonic)
        self.carry_out([*self.station.call_effects(), *self.station.talk.stop(self.time.now())])
        await asyncio.sleep(0.05)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.finding.stop()
        await self.attachments.close()
        await self.sessions.close()
        await self.sound.stop()
        await self._storing.stop()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside; it is cancelled at the end."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a part of the daemon failed", exc_info=error)
            self._loop.call_exception_handler({"message": "part failed", "exception": error})

    # -- Effects

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """Do what the station wants, in order, and have the next timer set."""
        for effect in effects:
            try:
                self._carry_out(effect)
            except Exception:
                # A fault of ours, in what clients are shown perhaps, must not lose the others.
                log.exception("%s was not carried out", type(effect).__name__)
        if self._arming is None:  # once for all that happens now, and in nobody's way
            self._arming = self._loop.call_later(ARM_WITHIN_S, self._arm)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(peer, channel, data, urgent):
                self._send(peer, channel, data, urgent=urgent)
            case SendSip(peer, data):
                self._send(peer, Channel.SIP, data)
            case Transact():
                self._storing.transact(effect)
            case Dial() if self._stopping:
                pass
            case Dial():
                self.spawn(self.finding.dial(effect))
            case EndSession(handle, reason):
                session = self._handles.get(handle)
                if session is not None:
                    session.end(reason)
            case Media(command):
                self.sound.command(command)
            case CallChanged(call):
                self._watcher.call_changed(call)
            case KeepCalls(calls):
                self._call_note.keep(calls)
            case NeedSession(peer):
                self.carry_out(self.station.peers.need(peer, self.time.now().monotonic))
            case AskSession(peer):
                asked = self.session_with(peer)
                if asked is not None:
                    asked.ask()
            case AvoidRoute():
                self.finding.avoid(effect)
            case _:
                self._note(effect)

    def _note(self, change: Change) -> None:
        if isinstance(change, AlarmRaised):
            log.warning("alarm %s: %s", change.code, change.text)
        elif isinstance(change, StationChanged):
            self.attachments.station_changed(change.station)
        self._watcher.changed(change)

    def _send(
        self, peer: StationId, channel: Channel, data: bytes, *, urgent: bool = False
    ) -> None:
        info = self.station.peers.session(peer)
        session = self._handles.get(info.handle) if info is not None else None
        if session is not None and not session.send(channel, data, urgent=urgent):
            log.warning("session with %s: too much waits; a %s was dropped", peer.tag, channel.name)

    def _arm(self) -> None:
        self._arming = None
        if self._timer is not None:
            self._timer.cancel()
        if self._stopping:
            return
        at = self.station.next_wakeup(self.time.now())
        self._timer = self._loop.call_at(at, self._wakeup) if at is not None else None

    def _wakeup(self) -> None:
        try:
            effects = self.station.wakeup(self.time.now())
        except Exception:
            log.exception("a timer of the station failed")
            self._timer = self._loop.call_later(AFTER_FAULT_S, self._wakeup)
            return
        self.carry_out(effects)

    # -- Links

    def links_changed(self, snapshot: LinkSnapshot) -> None:
        """The network interfaces are different."""
        self._cut_links.look(snapshot, self._handles.values())
        self.carry_out(self.station.peers.links_changed(self.time.now().monotonic))
        self._watcher.links_changed()

    def mesh_changed(self) -> None:
        """The network helper said something; clients hear of it once a second at most."""
        if self._mesh_news is None:
            self._mesh_news = self._loop.call_later(MESH_NEWS_S, self._tell_mesh)

    def _tell_mesh(self) -> None:
        self._mesh_news = None
        self._watcher.mesh_changed()

    def _refused(self, host: str, code: str, text: str) -> None:
        if code != IMPOSTOR or self.station.mesh.station_at(host) is None:
            # Of those in the mesh the station tells itself, and also when it is over.
            self._watcher.station_refused(host, code, text)
        self.carry_out(self.station.whereabouts.refused(host, code, self.time.now()))

    # -- Sessions

    def session_with(self, peer: StationId) -> Session | None:
        """Return the session in use with a station."""
        info = self.station.peers.session(peer)
        return self._handles.get(info.handle) if info is not None else None

    async def reach(self, peer: StationId) -> bool:
        """Open a session with a station if none stands; tells whether one does then."""
        if self.session_with(peer) is not None:
            return True
        if not self.station.peers.is_around(peer):
            return False
        self.carry_out(self.station.peers.need(peer, self.time.now().monotonic))
        waiting = self._awaited.setdefault(peer, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REACH_WITHIN_S):
                await waiting.wait()
        return self.session_with(peer) is not None

    def _session_opened(self, session: Session) -> None:
        self._last_handle += 1
        handle = self._last_handle
        self._handles[handle] = session
        self._numbers[session] = handle
        now = self.time.now()
        proved, path = session.proved, session.path
        log.info("session with %s at %s", proved.peer.tag, path.remote_host)
        info = SessionInfo(
            handle=handle,
            peer=proved.peer,
            boot=proved.peer_boot,
            outgoing=session.outgoing,
            local_host=path.local_host,
            remote_host=path.remote_host,
            opened_at=now.monotonic,
            version=proved.version,
        )
        self._cut_links.look(self.finding.snapshot, (session,))
        self._tell(session, lambda: self.station.session_opened(info, now))
        self.attachments.session_changed(proved.peer)
        awaited = self._awaited.pop(proved.peer, None)
        if awaited is not None:
            awaited.set()

    def _session_closed(self, session: Session, reason: str) -> None:
        handle = self._numbers.pop(session)
        del self._handles[handle]
        self._cut_links.forget(session)
        peer = session.proved.peer
        log.info("session with %s ended: %s", peer.tag, reason)
        now, heard_at = self.time.now(), session.heard_at
        self.carry_out(self.station.session_closed(handle, peer, now, reason, heard_at=heard_at))
        self.attachments.session_changed(peer)

    def _asked_for_bulk(self, session: Session) -> None:
        self.station.peers.said_something(session.proved.peer, self.time.now().monotonic)

    def _message(self, session: Session, channel: Channel, data: bytes) -> None:
        handle = self._numbers[session]
        peer = session.proved.peer
        now = self.time.now()
        self._tell(session, lambda: self.station.message_received(handle, peer, channel, data, now))

    def _tell(self, session: Session, what: Callable[[], list[Effect]]) -> None:
        """Let the station decide; a fault of ours that a session brings out ends that session."""
        try:
            effects = what()
        except Exception:
            log.exception("session with %s: a fault", session.proved.peer.tag)
            session.end("fault")
            return
        self.carry_out(effects)

    def _media_event(self, event: MediaEvent) -> None:
        if isinstance(event, StreamStats):
            self._watcher.call_measured(event)
        self.carry_out(self.station.media_event(event, self.time.now()))
