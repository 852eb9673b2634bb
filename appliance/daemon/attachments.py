"""Keeps the blobs that are needed, fetches those that are not here, and drops what nobody needs.

The store says which those are (`blob_uses`).  They are looked up when something that names one was
stored, all of them at the start and now and then; so whatever a crash, a full disk or a message
that made room leaves behind is put right.  A blob goes only after the store has said, later than
all that was given to it by then, that nothing names it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from appliance.adapters.blobs import BlobLimits, Blobs
from appliance.adapters.bulk import BulkClient
from appliance.daemon.attachment_limits import load_limits
from appliance.daemon.attachment_uses import roots_of, trusted_by
from appliance.daemon.transfers import BlobTransfers
from appliance.model.identity import StationId
from appliance.node.attached import Attached, Verdict
from appliance.node.effects import MessageChanged
from appliance.node.ports import (
    Operation,
    StoreError,
)
from appliance.node.ports.attaching import GetUses, ScanUses
from appliance.node.ports.blobs import (
    BlobArrived,
    BlobNews,
    BlobProgress,
    BlobTrouble,
    NeedHolder,
    RunEnd,
)
from appliance.node.transfers import MAX_WANTED, TELL_EVERY_S, Transfers

if TYPE_CHECKING:
    from appliance.adapters.session import Session
    from appliance.daemon.runtime import Runtime

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

LOOK_EVERY_S: Final = 600.0
"""How often all that is needed is compared with what is here."""

REST_S: Final = 5.0
RESTS: Final = 20
"""For how long nothing is compared afterwards unless our operator asks for it: at least, and how
many times as long as it took.  Whoever names many blobs must not keep us busy with it."""

TELL_AFTER_S: Final = 1.0
"""After the end of a session, by when what was under way has come to its end."""

AFTER_FAULT_S: Final = 5.0
SCANNED: Final = 64
"""Blobs that are looked up at a time."""

MAX_WAITING: Final = 4096
"""Blobs that are to be looked up; of more, all are."""

MAX_NOTED: Final = 2048
"""Blobs of which it is known which messages need them, or what went wrong, and stations that are
waited for."""


class Attachments:
    """The files that come with messages, and those that are carried for others."""

    def __init__(self, runtime: Runtime, blobs: Blobs) -> None:
        self._runtime, self.blobs = runtime, blobs
        own = runtime.station.id
        self.core = Transfers(own, Random().random)  # noqa: S311 (jitter only)
        self.rules = Attached(own, each=blobs.limits.each, total=blobs.limits.total)
        self._transfers = BlobTransfers(self.core, blobs, client=self._client, tell=self._told)
        runtime.station.bulk_in_use = self._in_use
        self._up: dict[StationId, Session] = {}
        self._sought: dict[StationId, None] = {}
        """Who has something that is wanted, and can't be reached."""

        self._messages: dict[bytes, tuple[bytes, ...]] = {}
        """Which messages wait for a blob."""

        self._of_strangers: dict[bytes, tuple[StationId, ...]] = {}
        """Who has sent what is not fetched by itself."""

        self._told_at: dict[bytes, float] = {}
        """When it was told last that a message has changed."""

        self._left_out = False
        """More is needed than can be wanted at a time."""

        self._telling: asyncio.TimerHandle | None = None
        self._no_room: dict[bytes, None] = {}
        self._waiting: dict[bytes, None] = {}
        self._all = True
        """Everything is to be looked through."""

        self._soon = False
        """The same, but there is no hurry."""

        self._news = asyncio.Event()
        self._watched: list[set[bytes]] = []
        """Blobs that were named by what was given to the store, since some moments."""

    # -- Life

    async def run(self) -> None:
        """Keep what is here as the store wants it, until cancelled."""
        self._limit(await load_limits(self._runtime.store))
        loop = asyncio.get_running_loop()
        look_at = rested_at = loop.time()
        while True:
            try:
                async with asyncio.timeout_at(look_at):
                    await self._news.wait()
            except TimeoutError:
                self._all = True
            self._news.clear()
            if self._soon:
                self._soon, look_at = False, min(look_at, rested_at)
            try:
                if self._all:
                    began = loop.time()
                    look_at = began + LOOK_EVERY_S
                    await self._look_through()
                    rested_at = loop.time() + max(REST_S, RESTS * (loop.time() - began))
                    look_at = max(look_at, rested_at)
                await self._catch_up()
            except (StoreError, OSError) as error:
                log.warning("which attachments are needed can't be found out: %s", error)
                self._all = True
                look_at = loop.time() + AFTER_FAULT_S

    async def close(self) -> None:
        """Leave everything as it is; it goes on at the next start."""
        if self._telling is not None:
            self._telling.cancel()
        await self._transfers.close()

    # -- What the operator allows

    @property
    def limits(self) -> BlobLimits:
        """How large one file may be, and all together."""
        return self.blobs.limits

    def limit(self, limits: BlobLimits) -> None:
        """Allow so much from now on; what is here stays."""
        self._limit(limits)
        self.look_again()

    @property
    def count(self) -> int:
        """How many there are, whole or in part."""
        return len(self.blobs.roots())

    def _limit(self, limits: BlobLimits) -> None:
        self.blobs.limits = limits
        self.rules.each, self.rules.total = limits.each, limits.total

    # -- What happens elsewhere

    def submitted(self, operation: Operation[Any]) -> None:
        """Something is about to be stored: what it names must not be dropped meanwhile."""
        if self._watched:
            for root in roots_of(operation):
                for those in self._watched:
                    those.add(root)

    def stored(self, operation: Operation[Any]) -> None:
        """Something is on disk."""
        for root in roots_of(operation):
            self.look_at(root)
        trusted = trusted_by(operation)
        if trusted:
            for root, authors in list(self._of_strangers.items()):
                if not trusted.isdisjoint(authors):
                    del self._of_strangers[root]
                    self.look_at(root)

    def look_at(self, root: bytes) -> None:
        """Find out once more what is to become of a blob."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting[root] = None
        else:
            self._soon = True
        self._news.set()

    def look_again(self) -> None:
        """Find out what is to become of all."""
        self._all = True
        self._news.set()

    def session_changed(self, peer: StationId) -> None:
        """A session with a station began or ended."""
        before, now = self._up.get(peer), self._runtime.session_with(peer)
        if now is before:
            return
        if before is not None:
            del self._up[peer]
            self._transfers.do(partial(self.core.session_down, peer))
            if self._messages and self._telling is None:
                loop = asyncio.get_running_loop()
                self._telling = loop.call_later(TELL_AFTER_S, self._tell_all)
        if now is not None:
            self._up[peer] = now
            self._sought.pop(peer, None)
            self._transfers.do(partial(self.core.session_up, peer))

    def station_changed(self, peer: StationId) -> None:
        """There may be a way to a station now."""
        if peer in self._sought and self._runtime.station.peers.is_around(peer):
            del self._sought[peer]
            self._seek(peer)

    # -- What clients ask

    def has(self, root: bytes, size: int) -> bool:
        """Tell whether a blob is here."""
        return self.blobs.size(root) == size

    def lacks_room(self, root: bytes) -> bool:
        """Tell whether the disk could not take a blob the last time."""
        return root in self._no_room

    def waits_its_turn(self, root: bytes) -> bool:
        """Tell whether a blob could be asked for now, but for others that come first."""
        return self.core.waits_its_turn(root, asyncio.get_running_loop().time())

    async def make_room(self, size: int) -> bool:
        """Drop what is carried, for so many bytes of our operator's; False: there was nothing."""
        gone = self._make_room(size)
        await self._transfers.settled(gone)
        return bool(gone)

    def _make_room(self, size: int) -> tuple[bytes, ...]:
        gone = self.rules.make_room(size)
        for root in gone:
            self._transfers.do(partial(self.core.dropped, root))
        if gone:
            self.look_again()
        return gone

    async def settle(self, root: bytes) -> None:
        """Find out now what is to become of a blob; raises StoreError."""
        self._waiting.pop(root, None)
        await self._look_up(root)

    # -- The transfers

    def _in_use(self, peer: StationId) -> bool:
        """Tell whether a session is needed: on a slow link a chunk takes longer than one idles."""
        return self.core.in_use(peer) or self._runtime.sessions.sends_to(peer)

    def _client(self, peer: StationId) -> BulkClient | None:
        session = self._up.get(peer)
        return self._runtime.sessions.bulk(session) if session is not None else None

    def _told(self, news: BlobNews) -> None:
        match news:
            case NeedHolder(peer):
                self._seek(peer)
                return
            case BlobTrouble(root, RunEnd.NO_ROOM):
                _note(self._no_room, root, None)
                wanted = self.core.progress(root)
                if wanted is not None and root in self._messages:
                    self._make_room(wanted[1])
            case _:
                self._no_room.pop(news.root, None)
        self._tell(news.root, often=isinstance(news, BlobProgress))
        if isinstance(news, BlobArrived):
            self._messages.pop(news.root, None)
            if self._left_out and len(self.core.roots()) < MAX_WANTED // 2:
                self._soon = True
                self._news.set()

    def _tell(self, root: bytes, *, often: bool = False) -> None:
        """Say that a message has changed; of what happens often, twice a second at most."""
        now = asyncio.get_running_loop().time()
        for message in self._messages.get(root, ()):
            if often and now - self._told_at.get(message, -1.0) < TELL_EVERY_S:
                continue
            _note(self._told_at, message, now)
            self._runtime.carry_out([MessageChanged(message)])

    def _tell_all(self) -> None:
        """What is waited for may not be on its way any more."""
        self._telling = None
        for root in self._messages:
            self._tell(root)

    def _seek(self, peer: StationId) -> None:
        peers = self._runtime.station.peers
        if peers.is_around(peer):
            self._runtime.carry_out(peers.need(peer, self._runtime.time.now().monotonic))
        else:
            _note(self._sought, peer, None)

    # -- What is to be here

    async def _catch_up(self) -> None:
        while self._waiting:
            root = next(iter(self._waiting))
            del self._waiting[root]
            await self._look_up(root)

    async def _look_up(self, root: bytes) -> None:
        with self._watch() as named:
            uses = await self._runtime.store.perform(GetUses(root))
            verdict = self.rules.judge(root, uses, self.blobs.size(root))
            # What is named meanwhile is looked up once more when that is stored.
            self._apply(root, verdict, drop=root not in named)

    async def _look_through(self) -> None:
        """Compare all that is needed with all that is here."""
        self._all = self._left_out = False
        with self._watch() as named:
            before = self.blobs.roots() | self.core.roots() | self.rules.roots()
            used: set[bytes] = set()
            after = b""
            while True:
                part = await self._runtime.store.perform(ScanUses(after, SCANNED))
                for root, uses in part:
                    verdict = self.rules.judge(root, uses, self.blobs.size(root))
                    self._apply(root, verdict, drop=False)
                    if verdict.needed and root in before:
                        used.add(root)
                if len(part) < SCANNED:
                    break
                after = part[-1][0]
            for root in (before & (self.core.roots() | self.rules.roots())) - used - named:
                self._drop(root)
            used |= named
            await asyncio.to_thread(self.blobs.collect, before, used)
        for root in named:
            self.look_at(root)

    def _apply(self, root: bytes, verdict: Verdict, *, drop: bool = True) -> None:
        want = verdict.want
        if want is not None:
            wanted = self.core.progress(root)
            if wanted is not None and wanted[1] != want.size:
                self._transfers.do(partial(self.core.dropped, root))  # somebody has lied
            if not self.has(root, want.size) or self._transfers.at_work(root):
                self._transfers.do(partial(self.core.wanted, want))
                self._left_out |= self.core.progress(root) is None
                if verdict.messages and self._messages.get(root) != verdict.messages:
                    _note(self._messages, root, verdict.messages)
                    self._tell(root)
        elif verdict.needed:
            _note(self._of_strangers, root, verdict.authors)
        elif drop:
            self._drop(root)
        for other in verdict.others:
            self.look_at(other)

    def _drop(self, root: bytes) -> None:
        self.rules.unused(root)
        self._messages.pop(root, None)
        if not self.blobs.is_fresh(root):
            self._transfers.do(partial(self.core.dropped, root))

    @contextmanager
    def _watch(self) -> Iterator[set[bytes]]:
        """Collect what is named by all that is given to the store from now on."""
        named: set[bytes] = set()
        self._watched.append(named)
        try:
            yield named
        finally:
            self._watched = [those for those in self._watched if those is not named]


def _note(notes: dict[K, V], key: K, value: V) -> None:
    """Note something; the oldest note makes room."""
    notes.pop(key, None)
    notes[key] = value
    if len(notes) > MAX_NOTED:
        del notes[next(iter(notes))]
