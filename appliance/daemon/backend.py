"""What clients may ask of the daemon (`api.backend.Backend`), answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

import appliance
from appliance.adapters.store.ballast import Ballast
from appliance.api.backend import ApiError
from appliance.api.requests import ChangeCall, SetSound
from appliance.api.schema import (
    EVERYONE,
    CallInfo,
    Check,
    Event,
    Link,
    MediaStatus,
    Mesh,
    MeshPath,
    Message,
    SoundSettings,
    SoundTest,
    Station,
    Status,
    WallTime,
)
from appliance.api.schema import Precedence as PrecedenceName
from appliance.daemon import namefile
from appliance.daemon.announcer import Announcer
from appliance.daemon.attachment_desk import AttachmentDesk
from appliance.daemon.comparing import Comparing
from appliance.daemon.conferences import DaemonConferences
from appliance.daemon.doctor import examine
from appliance.daemon.group_backend import DaemonGroups
from appliance.daemon.hops import Hops
from appliance.daemon.importing import Importing
from appliance.daemon.joining import add_peer
from appliance.daemon.keeping import Keeping
from appliance.daemon.lookup import Lookup, call_error, check_files, fail, sentence, succeed
from appliance.daemon.mesh_views import MeshViews
from appliance.daemon.paths import find_path
from appliance.daemon.recordings import Recordings
from appliance.daemon.runtime import Runtime
from appliance.daemon.settings import Settings
from appliance.daemon.sound_desk import SoundDesk
from appliance.daemon.talking import DaemonTalk
from appliance.daemon.views import PRECEDENCES, Views, sort_key
from appliance.model.call import Call
from appliance.model.identity import IdentityError
from appliance.model.record import Precedence
from appliance.node.calls import CallError
from appliance.node.ports import (
    GetValue,
    SetValue,
    StoredMessage,
)
from appliance.node.writing import Draft, MessageRefusedError

MAX_DRAFT_CHARS: Final = 16_000
MEDIA_ANSWER_S: Final = 5.0

R = TypeVar("R")


class DaemonBackend(Comparing, Keeping):
    """The daemon, as its clients see it."""

    def __init__(self, runtime: Runtime, announcer: Announcer, settings: Settings) -> None:
        self._station = runtime.station
        self._settings = settings
        hops = Hops(runtime, announcer.station_changed)
        runtime.spawn(hops.run())
        self._mesh = MeshViews(runtime, hops)
        self.views = Views(runtime, announcer.unread, self._mesh)
        ballast = Ballast(settings.directory)
        super().__init__(runtime, announcer, Lookup(runtime), self.views, ballast)
        announcer.attach(runtime, self.views)
        self.history = announcer.history
        self.groups = announcer.groups = DaemonGroups(
            runtime, self._lookup, unread=announcer.unread, name_of=self.views.name_of
        )
        self.conferences = DaemonConferences(runtime, self._lookup)
        self.talk = announcer.talk = DaemonTalk(
            runtime, self._lookup, self.groups, name_of=self.views.name_of
        )
        self._sound = SoundDesk(runtime, settings, on_key=self._key)
        runtime.spawn(self._sound.run())
        self.recordings = Recordings(
            settings.directory / "recordings",
            runtime.sound,
            publish=announcer.log.publish,
            awake_s=lambda: runtime.time.moment().awake_s,
            in_call=lambda: bool(self._station.calls.active),
        )
        self.attachments = AttachmentDesk(
            runtime.attachments, self._lookup, self.views, self.recordings
        )
        runtime.spawn(self.recordings.run())
        self.records = Importing(runtime)
        runtime.spawn(self.keep())

    # -- Ourselves and others

    def status(self) -> Status:
        """See `Backend`."""
        runtime, sid = self._runtime, self._station.id
        now = runtime.time.now()
        ready = runtime.sound.ready
        media = (
            MediaStatus(True, ready.realtime, ready.opus)
            if ready is not None
            else MediaStatus(False, False, "The voice process does not run.")
        )
        return Status(
            version=appliance.__version__,
            id=sid.text,
            spoken_id=sid.spoken,
            tag=sid.tag,
            name=self._station.name,
            name_is_default=self._station.name == sid.default_name,
            number=sid.number(),
            address=sid.host,
            boot=self._settings.boot.hex(),
            uptime_s=now.uptime_s,
            port=runtime.sessions.port,
            reach=self._mesh.reach(),
            missed_calls=self.history.missed,
            unread=sum(self._announcer.unread.values()),
            clock=WallTime(now.moment.wall_ms, now.moment.sure),
            media=media,
            problems=tuple(self._announcer.problems.values()),
            mesh=self._mesh.status(),
            clock_source=runtime.time.source,
        )

    async def set_name(self, name: str) -> Status:
        """See `Backend`."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            effects = self._station.set_name(
                name,
                self._runtime.time.now(),
                done=lambda: succeed(done, None),
                failed=lambda why: fail(done, why),
            )
        except IdentityError as error:
            raise ApiError(422, "bad-name", f"{sentence(error)}.", "Choose another name.") from None
        self._runtime.carry_out(effects)
        await done
        own = self._station
        await asyncio.to_thread(namefile.keep, self._settings.directory, own.id, own.name)
        self._announcer.log.publish("status", self.status())
        return self.status()

    def stations(self) -> tuple[Station, ...]:
        """See `Backend`."""
        found = [self.views.station(contact) for contact in self._station.directory.all()]
        return tuple(sorted(found, key=sort_key))

    def station(self, station: str) -> Station:
        """See `Backend`."""
        return self.views.station(self._station.directory.get(self._lookup.find(station)))

    async def add_peer(self, host: str, port: int | None, timeout_s: float) -> Station:
        """See `Backend`."""
        peer = await add_peer(self._runtime, self._settings, host, port, timeout_s)
        return self.views.station(self._station.directory.get(peer))

    def links(self) -> tuple[Link, ...]:
        """See `Backend`."""
        return self._mesh.links()

    async def path(self, station: str) -> MeshPath:
        """See `Backend`."""
        return await find_path(self._mesh, self._lookup.find(station))

    def mesh(self) -> Mesh:
        """See `Backend`."""
        now = self._runtime.time.now().monotonic
        askable = self._mesh.askable()
        self._runtime.carry_out(self._station.map.ask(askable, now))
        return self._mesh.mesh(askable)

    async def doctor(self) -> tuple[Check, ...]:
        """See `Backend`."""
        return await examine(self._runtime, self._settings.directory)

    def events(self, cursor: str | None) -> AsyncIterator[Event]:
        """See `Backend`."""
        return self._announcer.log.follow(cursor)

    # -- Messages

    async def send_message(
        self,
        to: str,
        text: str,
        *,
        line: str,
        precedence: PrecedenceName,
        lifetime_s: int | None,
        attachments: tuple[str, ...] = (),
    ) -> Message:
        """See `Backend`."""
        address = self._lookup.destination(to, line)
        async with self.attachments.with_message(text, attachments) as attached:
            draft = Draft(
                to=address,
                text=text,
                precedence=Precedence(PRECEDENCES.index(precedence)),
                lifetime_s=lifetime_s or 0,
                attachments=attached,
            )
            return self.views.message(await self._write(draft))

    async def _write(self, draft: Draft) -> StoredMessage:
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[StoredMessage] = loop.create_future()

        def done(message: StoredMessage) -> None:
            loop.call_soon(succeed, stored, message)  # it leaves before the client is answered

        try:
            effects = self._station.write(
                draft,
                self._runtime.time.now(),
                done=done,
                failed=lambda why: fail(stored, why),
            )
        except MessageRefusedError as error:
            status = 413 if error.code == "too-long" else 422
            raise ApiError(status, error.code, str(error), error.fix) from None
        self._runtime.carry_out(effects)
        return await stored

    async def mark_read(self, conversation: str, *, up_to: int) -> int:
        """See `Backend`."""
        marked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        now = self._runtime.time.now()
        effects = self._station.mailbox.mark_read(
            self._lookup.conversation(conversation),
            up_to,
            now.moment,
            uptime_s=now.uptime_s,
            done=lambda count: succeed(marked, count),
            failed=lambda why: fail(marked, why),
        )
        self._runtime.carry_out(effects)
        return await marked

    async def draft(self, conversation: str) -> str:
        """See `Backend`."""
        data = await self._lookup.perform(GetValue(self._draft_name(conversation)))
        return data.decode() if data is not None else ""

    async def set_draft(self, conversation: str, text: str) -> None:
        """See `Backend`."""
        if len(text) > MAX_DRAFT_CHARS:
            raise ApiError(413, "too-long", f"A draft has at most {MAX_DRAFT_CHARS} characters.")
        data = text.encode(errors="replace") if text else None
        await self._lookup.perform(SetValue(self._draft_name(conversation), data))

    def _draft_name(self, conversation: str) -> str:
        station = self._lookup.conversation(conversation)
        return f"draft/{station.text if station is not None else EVERYONE}"

    # -- Calls

    def calls(self) -> tuple[CallInfo, ...]:
        """See `Backend`."""
        calls = self._station.calls
        return tuple(self._call(call) for call in (*calls.active, *reversed(calls.history)))

    async def place_call(
        self, to: str, *, line: str, play: str | None, record: str | None
    ) -> CallInfo:
        """See `Backend`."""
        address = self._lookup.address(to, line)
        check_files(play, record)
        try:
            call, effects = self._station.call(
                address, self._runtime.time.now(), play=play, record=record
            )
        except CallError as error:
            raise call_error(error) from None
        self._runtime.carry_out(effects)
        return self._call_by_id(call)

    async def answer(self, call: str, *, play: str | None, record: str | None) -> CallInfo:
        """See `Backend`."""
        check_files(play, record)
        now = self._runtime.time.now().monotonic
        return self._command_call(
            call, lambda: self._station.calls.answer(call, play=play, record=record, now=now)
        )

    async def hang_up(self, call: str) -> CallInfo:
        """See `Backend`."""
        now = self._runtime.time.now().monotonic
        return self._command_call(call, lambda: self._station.calls.hangup(call, now=now))

    async def set_call(self, call: str, change: ChangeCall) -> CallInfo:
        """See `Backend`."""
        now = self._runtime.time.now().monotonic

        def carry_out() -> None:
            calls = self._station.calls
            if change.muted is not None:
                calls.mute(call, muted=change.muted)
            if change.volume_pct is not None:
                calls.set_volume(call, volume_pct=change.volume_pct)
                self._announcer.volumes[call] = change.volume_pct
            if change.push_to_talk is not None or change.talking is not None:
                calls.key(call, used=change.push_to_talk, held=change.talking, now=now)

        return self._command_call(call, carry_out)

    def _command_call(self, call: str, command: Callable[[], None]) -> CallInfo:
        self._call_by_id(call)
        try:
            command()
        except CallError as error:
            raise call_error(error) from None
        finally:
            self._runtime.carry_out(self._station.call_effects())
        return self._call_by_id(call)

    def _key(self, *, held: bool) -> None:
        """The key that says when it is let go: for a call with push to talk, else a talk group."""
        now = self._runtime.time.now().monotonic
        calls = [call for call in self._station.calls.active if call.push_to_talk]
        for call in calls:
            self._station.calls.key(call.id, used=None, held=held, now=now)
        self._runtime.carry_out(self._station.call_effects())
        # What was begun in a talk group ends, also when a call has come meanwhile.
        if not (calls and held):
            self.talk.hold(held=held)

    def _call_by_id(self, call_id: str) -> CallInfo:
        for call in (*self._station.calls.active, *self._station.calls.history):
            if call.id == call_id:
                return self._call(call)
        raise ApiError(404, "unknown-call", "There is no such call.")

    def _call(self, call: Call) -> CallInfo:
        return self.views.call(call, volume_pct=self._announcer.volumes.get(call.id, 100))

    # -- Sound

    async def sound(self) -> SoundSettings:
        """See `Backend`."""
        return await self._sound.settings()

    async def set_sound(self, chosen: SetSound) -> None:
        """See `Backend`."""
        await self._sound.choose(chosen)

    async def test_sound(self) -> SoundTest:
        """See `Backend`."""
        return await self._sound.test()
