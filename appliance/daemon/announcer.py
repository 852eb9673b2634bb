"""Tells clients what happened: the station's changes as events of the local API.

It also keeps what only clients want: unread counts, the list of problems, volumes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from appliance.api.event_log import EventLog
from appliance.api.schema import Problem, Station
from appliance.daemon.alerting import Alerting
from appliance.daemon.call_history import CallHistory
from appliance.daemon.group_backend import DaemonGroups
from appliance.daemon.message_news import MessageNews
from appliance.daemon.runtime import Runtime
from appliance.daemon.talking import DaemonTalk
from appliance.daemon.views import Views
from appliance.model.call import Call, CallState
from appliance.model.group import Conversation, GroupId
from appliance.model.identity import StationId
from appliance.model.media import Ring, StreamStats
from appliance.node.directory import Trust
from appliance.node.effects import (
    AlarmOver,
    AlarmRaised,
    Change,
    GroupChanged,
    MessageChanged,
    StationChanged,
    TalkChanged,
    VerificationChanged,
)
from appliance.node.ports import CountUnread, StoredMessage, StoreError
from appliance.node.ports.keeping import GetPage
from appliance.node.verification import VerificationRefusedError

DISK: Final = "disk"
MEDIA: Final = "media"
NO_LINK: Final = "no-network"
REFUSED: Final = "refused-"
"""Begins the codes of problems with those who could not prove a key; their host follows."""

NET: Final = "net-"
"""Begins the codes of what the network helper could not do."""

NET_GONE: Final = Problem(
    f"{NET}gone",
    "The network helper has stopped, so only neighbours can be reached.",
    "It should be started again by itself; if this stays, run: fencewire doctor",
)
MAX_PROBLEMS: Final = 16
MAX_FACES: Final = 2_000
"""Stations of which it is remembered what was told; they can be made up without end."""

REMINDED: Final = 200
"""Of the latest messages, those that are looked at after a start."""

TELL_EVERY_S: Final = 0.25
"""Our own status, and that links changed, are told no more often."""


class Announcer:
    """Publishes events.  `attach` comes before anything happens."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.unread: dict[Conversation, int] = {}
        self.volumes: dict[str, int] = {}
        """Loudness by call, where it was changed."""

        self.groups: DaemonGroups | None = None
        """Describes groups."""

        self.talk: DaemonTalk | None = None
        """Describes channels of talk groups."""

        self.problems: dict[str, Problem] = {}
        """What is wrong now, by code."""

        self._reach: object = None
        """How many are reached, as told last."""
        self._faces: dict[StationId, Station] = {}
        """Stations as told last, without what changes all the time."""
        self._telling: asyncio.Task[None] | None = None
        self._links_differ = False
        self._had_helper = False
        self._compared: set[str] = set()

    def attach(self, runtime: Runtime, views: Views) -> None:
        """Say whose changes these are."""
        self._runtime = runtime
        self._views = views
        self.history = CallHistory(runtime, views, changed=lambda: self.log.publish("status"))
        self._messages = MessageNews(
            runtime.store,
            tell=self._publish_message,
            counted=self._set_unread,
            failed=self._messages_not_read,
        )
        self._alerting = Alerting(
            lambda tone: runtime.sound.command(Ring(tone)),
            lambda: bool(runtime.station.calls.active) or runtime.sound.ready is None,
            asyncio.get_running_loop().call_later,
            is_stranger=lambda author: self._trust(author) is Trust.NEW,
        )

    def _trust(self, station: StationId) -> Trust:
        return self._runtime.station.directory.get(station).trust

    async def load(self) -> None:
        """Read the unread counts."""
        self._set_unread(await self._runtime.store.perform(CountUnread()))

    async def remind(self) -> None:
        """Let sound what nobody has seen since before this start."""
        self.history.begin()
        try:
            latest = await self._runtime.store.perform(GetPage(None, True, None, REMINDED))
        except StoreError as error:
            self.store_failed(str(error))
            return
        for message in latest:
            self._alerting.came(message)

    # -- Watcher

    def changed(self, change: Change) -> None:
        """See `Watcher`."""
        if isinstance(change, StationChanged):
            self._views.mesh.hops.look(change.station)
            self.station_changed(change.station)
        elif isinstance(change, MessageChanged):
            self._messages.changed(change.message)
        elif isinstance(change, GroupChanged):
            self._group_changed(change.group)
        elif isinstance(change, TalkChanged):
            self._talk_changed(change.channel)
        elif isinstance(change, VerificationChanged):
            comparison = self._runtime.station.verifier.get(change.verification)
            if comparison is not None:
                self.log.publish("verification", self._views.verification(comparison))
                for call in self._runtime.station.calls.active:
                    if call.peer.station == comparison.station:
                        self._publish_call(call)
        elif isinstance(change, AlarmRaised):
            self.raise_problem(Problem(change.code, change.text, change.fix), alarm=True)
        elif isinstance(change, AlarmOver):
            self.clear_problem(change.code)

    def may_change(self, message: bytes) -> None:
        """See `Watcher`."""
        self._messages.foreseen(message)

    def call_changed(self, call: Call) -> None:
        """See `Watcher`."""
        self._compare_in_call(call)
        self.history.changed(call)
        self._publish_call(call)
        if call.state is CallState.ENDED:
            self._compared.discard(call.id)
            self.volumes.pop(call.id, None)

    def call_measured(self, stats: StreamStats) -> None:
        """See `Watcher`."""
        for call in self._runtime.station.calls.active:
            if call.id == stats.stream:
                self._publish_call(call)

    def links_changed(self) -> None:
        """See `Watcher`."""
        links = self._runtime.snapshot.interfaces
        if any(one.up and one.carrier and one.addresses for one in links if not one.loopback):
            self.clear_problem(NO_LINK)
        else:
            self.raise_problem(
                Problem(
                    NO_LINK,
                    "This board has no network.",
                    "Plug in a cable or a radio.",
                )
            )
        self.log.publish("links")

    def mesh_changed(self) -> None:
        """See `Watcher`."""
        mesh = self._runtime.station.mesh
        self._had_helper |= mesh.joined
        wrong = {
            f"{NET}{one.code}": Problem(f"{NET}{one.code}", one.text, one.fix)
            for one in mesh.problems
        }
        if self._had_helper and not mesh.joined:
            wrong[NET_GONE.code] = NET_GONE
        for code in [one for one in self.problems if one.startswith(NET) and one not in wrong]:
            self.clear_problem(code)
        for problem in wrong.values():
            self.raise_problem(problem)
        self._links_differ = True
        self._tell_soon()

    def store_failed(self, why: str) -> None:
        """See `Watcher`."""
        self.raise_problem(
            Problem(DISK, why, "Nothing that was confirmed is lost; new messages can't be kept.")
        )

    def store_works(self) -> None:
        """See `Watcher`."""
        self.clear_problem(DISK)

    def media_changed(self) -> None:
        """See `Watcher`."""
        if self._runtime.sound.ready is not None:
            self.clear_problem(MEDIA)
        else:
            self.raise_problem(
                Problem(
                    MEDIA,
                    "The sound of this machine does not work, so calls are not possible.",
                    "Run: fencewire doctor",
                )
            )
        self.log.publish("status")

    def station_refused(self, host: str, code: str, text: str) -> None:
        """See `Watcher`."""
        if code in {"impostor", "relayed", "proof"}:
            self.raise_problem(
                Problem(
                    f"{REFUSED}{host}",
                    f"Somebody at {host} could not prove who it is: {text}.",
                    "It was refused; nothing was sent to it.",
                )
            )

    # -- Problems

    def raise_problem(self, problem: Problem, *, alarm: bool = False) -> None:
        """Note that something is wrong; told once until it is cleared."""
        if self.problems.get(problem.code) == problem:
            return
        self.problems[problem.code] = problem
        while len(self.problems) > MAX_PROBLEMS:
            # Strangers have addresses without number; what they do must hide nothing else.
            refused = (one for one in self.problems if one.startswith(REFUSED))
            del self.problems[next(refused, next(iter(self.problems)))]
        self.log.publish("alarm" if alarm else "status", problem if alarm else None)

    def clear_problem(self, code: str) -> None:
        """Note that something is right again."""
        if self.problems.pop(code, None) is not None:
            self.log.publish("status")

    # -- Parts

    def station_changed(self, station: StationId) -> None:
        """Tell of a station, unless all that changed are figures that always do."""
        self._tell_soon()
        if station == self._runtime.station.id:
            return
        view = self._views.station(self._runtime.station.directory.get(station))
        face = replace(
            view, since_s=None, last_seen=None, rtt_ms=None, metric=None, clock_off_s=None
        )
        if self._faces.get(station) != face:
            self._faces[station] = face
            if len(self._faces) > MAX_FACES:
                del self._faces[next(iter(self._faces))]
            self.log.publish("station", view)

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = self._runtime.spawn(self._tell())

    async def _tell(self) -> None:
        """Tell once what many changes have led to: hundreds of routes may come in a second."""
        try:
            await asyncio.sleep(TELL_EVERY_S)
        finally:
            self._telling = None
        if self._links_differ:
            self._links_differ = False
            self.log.publish("links")
        mesh = self._views.mesh
        reach = (mesh.reach(), mesh.status(), self._runtime.time.source)
        if reach != self._reach:
            self._reach = reach
            self.log.publish("status")

    def _publish_call(self, call: Call) -> None:
        volume = self.volumes.get(call.id, 100)
        self.log.publish("call", self._views.call(call, volume_pct=volume))

    def _publish_message(self, message: StoredMessage) -> None:
        self.log.publish("message", self._views.message(message))
        self._alerting.came(message)

    def _messages_not_read(self, error: StoreError) -> None:
        self.store_failed(str(error))
        # What was to be told can't be read now, so clients have to look for themselves.
        self.log.publish("reset")

    def _set_unread(self, counts: dict[Conversation, int]) -> None:
        changed = {
            conversation
            for conversation in counts.keys() | self.unread.keys()
            if counts.get(conversation, 0) != self.unread.get(conversation, 0)
        }
        self.unread.clear()
        self.unread.update(counts)
        for conversation in changed:
            if isinstance(conversation, StationId):
                self.station_changed(conversation)
            else:
                self.log.publish("status")
            if isinstance(conversation, GroupId):
                self._group_changed(conversation)

    def _group_changed(self, group: GroupId) -> None:
        view = self.groups.changed(group) if self.groups is not None else None
        if view is not None:
            self.log.publish("group", view)

    def _talk_changed(self, channel: GroupId | None) -> None:
        info = self.talk.changed(channel) if self.talk is not None else None
        if info is not None:
            self.log.publish("talk", info)

    def _compare_in_call(self, call: Call) -> None:
        """In a call with somebody who is not verified the digits are shown by themselves."""
        answered = call.state in {CallState.CONNECTING, CallState.TALKING}
        trust = self._trust(call.peer.station)
        if not answered or trust is Trust.VERIFIED or call.id in self._compared:
            return
        self._compared.add(call.id)
        # The caller begins, so that the two do not begin at once.
        if call.outgoing and self._runtime.session_with(call.peer.station) is not None:
            now = self._runtime.time.now().monotonic
            try:
                _, effects = self._runtime.station.verifier.begin(call.peer.station, now)
            except VerificationRefusedError:
                return
            self._runtime.carry_out(effects)
