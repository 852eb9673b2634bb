"""One station: the board that lasts, and the process that comes and goes on it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from prekey_disk import PrekeyDisk

from appliance.adapters.store.operations import READS
from appliance.daemon.timekeeper import AWAKE_VALUE
from appliance.model.group import GroupId
from appliance.model.identity import StationKey
from appliance.node.beginnings import Identity, Memory, Now
from appliance.node.call_effects import AskSession, CallChanged, Media, NeedSession, SendSip
from appliance.node.effects import (
    AlarmOver,
    AlarmRaised,
    AvoidRoute,
    Dial,
    Effect,
    EndSession,
    GroupChanged,
    MessageChanged,
    Send,
    StationChanged,
    Transact,
    VerificationChanged,
)
from appliance.node.group_state import Group, Standing, read_group
from appliance.node.own_card import CARD_VALUE, RESTORED_VALUE, highest_order
from appliance.node.ports import (
    GetMessage,
    GetMessages,
    GetStations,
    GetValue,
    Moment,
    SetValue,
    StoredMessage,
)
from appliance.node.ports.carrying import GetCargo
from appliance.node.ports.grouping import GetGroups
from appliance.node.ports.prekeys import KeptPrekey
from appliance.node.station import Station
from appliance.protocol.frames import Channel
from sim.chance import key_of
from sim.disk import Disk, new_database
from sim.happenings import Alarmed, Changed, Died, Ended, FaultError, Restored, Started

if TYPE_CHECKING:
    from sim.sessions import Session
    from sim.world import World

EPOCH_MS: Final = 1_790_000_000_000
"""What a right wall clock shows when the world begins."""

KEEP_AWAKE_S: Final = 60.0
"""How often the daemon notes for how long it has been awake."""

BUSY_S: Final = 0.05
"""Until a backup is tried again."""

EARLY_S: Final = 1e-6
"""A timer that fires by a rounding too early would find nothing due, for ever."""

MAX_WAKEUPS: Final = 400
"""In one second."""


class DeathError(Exception):
    """The process ends here, in the middle of what it does."""


class Board:
    """A station, its disk and its clocks."""

    def __init__(self, world: World, index: int, db: sqlite3.Connection) -> None:
        self.world, self.index = world, index
        seed = world.scenario.seed
        self.rng = random.Random(f"board/{seed}/{index}")
        self.key = StationKey.from_bytes(key_of("key", seed, index))
        self.id = self.key.id
        secret = key_of("prekey", seed, index)
        self.prekeys = PrekeyDisk(secret[:8], secret)
        """In files of their own, which no fault of the database touches."""

        self.disk = Disk(self, db, fsync_s=self.rng.choice((0.002, 0.02, 0.2)))
        self.wall_off_ms = 0
        """How wrong the wall clock is."""

        self.sure = False
        """The clock says that it is right, be it so or not."""

        self.alive = False
        """The process runs."""

        self.gone = False
        """For good."""

        self.life = 0
        """Counts starts and ends, so that nothing planned for one process reaches the next."""

        self.starts = 0
        self.shown_order = 0
        """Where the latest message stands that its operator can see."""

        self.sessions: dict[int, Session] = {}
        """By handle, those that the station was told of."""

        self._backup: tuple[bytes, dict[bytes, KeptPrekey]] | None = None
        """The database and the prekeys."""

        self._fuse: int | None = None
        self._cut = False
        self._wake_at: float | None = None
        self._to_be_armed = False
        self._next_at: float | None = None
        """What the station said when it was last asked for the time; the same until an input."""

        self._wakeups = (0, 0)

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"s{self.index}"

    # -- Life

    def start(self) -> None:
        """Start the process with what the disk has."""
        if self.alive or self.gone:
            return
        self.life += 1
        self.starts += 1
        self.alive, self._fuse, self._wake_at = True, None, None
        self._to_be_armed = False
        self._started_at = self.world.time.now
        self._monotonic_off = self.rng.uniform(10.0, 1e6) - self.world.time.now
        awake = self.disk.read(GetValue(AWAKE_VALUE))
        self._awake_before_s = int(awake) / 1000 if awake is not None else 0.0
        self.boot = self.rng.randbytes(8)
        self.shown_order = self._latest_order()
        self.station = Station(
            Identity(self.key, self.boot, self.prekeys.ring(self.rng.randbytes)),
            self._memory(),
            random=self.rng.random,
            random_bytes=self.rng.randbytes,
        )
        self.world.tell(Started(self))
        self.feed(lambda station, now: station.start(now))
        self.later(KEEP_AWAKE_S, self._keep_awake)
        self.world.network.started(self)

    def _memory(self) -> Memory:
        card = self.disk.read(GetValue(CARD_VALUE))
        restored = self.disk.read(GetValue(RESTORED_VALUE)) is not None
        return Memory(
            stations=self.disk.read(GetStations()),
            highest_order=highest_order(self.shown_order, card, restored=restored),
            card=card,
            cargo=self.disk.read(GetCargo()),
            groups=self.disk.read(GetGroups()),
            restored=restored,
        )

    def _keep_awake(self) -> None:
        awake_ms = int(self.now.moment.awake_s * 1000)
        operation = SetValue(AWAKE_VALUE, str(awake_ms).encode())
        self.disk.submit(Transact(operation, lambda _: (), lazy=True))
        self.later(KEEP_AWAKE_S, self._keep_awake)

    def die_within(self, boundaries: int, *, power: bool) -> None:
        """End the process after so many more effects and steps of the disk; `power`: by a cut."""
        self._fuse, self._cut = boundaries, power

    def boundary(self) -> None:
        """Here the process can end; raises DeathError when it does."""
        if self._fuse is not None:
            if self._fuse <= 0:
                raise DeathError
            self._fuse -= 1

    def die(self, *, power: bool) -> None:
        """End the process now."""
        if not self.alive:
            return
        self.life += 1
        self.alive = False
        self.disk.cut()
        self.world.network.died(self, power=power)
        self.world.tell(Died(self, power))

    # -- Backups

    def back_up(self) -> None:
        """Copy what is on disk, as soon as there is nothing else in the database."""
        if self.disk.db.in_transaction:
            self.world.time.after(BUSY_S, self.back_up)
            return
        self._backup = self.disk.db.serialize(), dict(self.prekeys.kept)
        self.world.note(f"{self.name}: backup")

    def was_in(self, group: GroupId) -> bool:
        """Tell whether this station was in a group when the backup was made."""
        if self._backup is None:
            return False
        with closing(new_database(self._backup[0])) as db:
            states = dict(READS[GetGroups](db, GetGroups()))
        state = states.get(group)
        return state is not None and read_group(self.id, state).standing is Standing.IN

    def restore(self) -> bool:
        """Put the backup, if there is one, in the place of all that is on disk."""
        if self._backup is None:
            return False
        database, self.prekeys.kept = self._backup
        self._backup = None
        self.die(power=True)
        self.disk.restore(database)
        self.world.tell(Restored(self))
        return True

    # -- Time

    @property
    def now(self) -> Now:
        """The time as the board sees it."""
        at = self.world.time.now
        uptime = at - self._started_at
        wall_ms = max(EPOCH_MS + int(at * 1000) + self.wall_off_ms, 0)
        moment = Moment(wall_ms, self.sure, self._awake_before_s + uptime)
        return Now(at + self._monotonic_off, uptime, moment)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Let the process do something, if it still runs then."""
        life = self.life
        self.world.time.after(seconds, lambda: self._guard(life, what))

    def _guard(self, life: int, what: Callable[[], None]) -> None:
        if life != self.life:
            return
        try:
            what()
            if life == self.life and not self._to_be_armed:
                self._to_be_armed = True
                self.world.time.after(self.world.scenario.arm_s, lambda: self._arm(life))
        except DeathError:
            self.die(power=self._cut)
        except FaultError:
            raise
        except Exception as error:
            raise FaultError(f"{self.name} failed: {type(error).__name__}: {error}") from error

    def feed(self, what: Callable[[Station, Now], Iterable[Effect]]) -> None:
        """Give the station an input and carry out what it wants."""
        if self.alive:
            self._guard(self.life, lambda: self.carry_out(what(self.station, self.now)))

    def _arm(self, life: int) -> None:
        if life != self.life:
            return
        self._to_be_armed = False
        at = self._next_at = self.station.next_wakeup(self.now)
        if at is None:
            return
        due = max(at - self._monotonic_off + EARLY_S, self.world.time.now)
        if self._wake_at is None or due < self._wake_at:
            self._wake_at = due
            self.later(due - self.world.time.now, lambda: self._wake(due))

    def _wake(self, due: float) -> None:
        if self._wake_at != due:
            return
        self._wake_at = None
        second = int(due)
        count = self._wakeups[1] + 1 if self._wakeups[0] == second else 1
        self._wakeups = (second, count)
        if count > MAX_WAKEUPS:
            raise FaultError(f"{self.name} spins: {count} wakeups in a second")
        now = self.now
        at = self.station.next_wakeup(now) if self._to_be_armed else self._next_at
        if at is not None and at <= now.monotonic:
            self.carry_out(self.station.wakeup(now))

    # -- Effects

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """Do what the station wants, in order."""
        for effect in effects:
            self.boundary()
            self._one(effect)

    def _one(self, effect: Effect) -> None:
        match effect:
            case Send(peer, channel, data, urgent):
                self._send(peer, channel, data, urgent=urgent)
            case SendSip(peer, data):
                self._send(peer, Channel.SIP, data)
            case Transact() if self.prekeys.perform(effect.operation):
                self.carry_out(effect.then(None))
            case Transact():
                self.disk.submit(effect)
            case Dial():
                self.world.network.dial(self, effect)
            case EndSession(handle, reason):
                self.world.tell(Ended(self, reason))
                session = self.sessions.get(handle)
                if session is not None:
                    session.end(self, reason)
            case MessageChanged(message):
                stored = self.message(message)
                if stored is not None:
                    self.shown_order = max(self.shown_order, stored.order)
                    self.world.tell(Changed(self, stored))
            case AlarmRaised():
                self.world.tell(Alarmed(self, effect))
            case NeedSession(peer):
                self.carry_out(self.station.peers.need(peer, self.now.monotonic))
            case StationChanged() | GroupChanged() | VerificationChanged() | AlarmOver():
                pass
            case AskSession() | CallChanged() | Media() | AvoidRoute():
                pass
            case _:
                raise AssertionError(effect)

    def _send(self, peer: Any, channel: Channel, data: bytes, *, urgent: bool = False) -> None:
        info = self.station.peers.session(peer)
        session = self.sessions.get(info.handle) if info is not None else None
        if session is not None:
            session.send(self, channel, data, urgent=urgent)

    # -- What its operator sees

    def message(self, message: bytes) -> StoredMessage | None:
        """Return a message as the store has it."""
        found: StoredMessage | None = self.disk.read(GetMessage(message))
        return found

    def _latest_order(self) -> int:
        latest = self.disk.read(GetMessages(None, True, None, 1))
        return latest[-1].order if latest else 0

    def group(self, group: GroupId) -> Group | None:
        """Return what the station knows of a group."""
        return self.station.post.groups.groups.book.get(group)

    def messages(self) -> tuple[StoredMessage, ...]:
        """Return all messages that the store has."""
        found: tuple[StoredMessage, ...] = self.disk.read(GetMessages(None, True, None, 1_000_000))
        return found
