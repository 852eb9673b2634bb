"""Blobs that are wanted: whom to ask for which chunks, and when again.

Whoever has a blob can be asked for it, since each chunk is checked on its own: its author, who
brought the record that names it, and any neighbour.  Most urgent first, then what is for our own
operator, then the smallest; a second station is asked for the rest of what takes long.  What breaks
off goes on where it was, from whoever is there next.

What stays out: what a blob is for and who may still need it (the store), and all bytes (`Part`).
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from appliance.model.attachment import CHUNK
from appliance.model.identity import StationId
from appliance.node.ports.blobs import (
    BlobArrived,
    BlobEffect,
    BlobProgress,
    BlobTrouble,
    Fetch,
    Finish,
    Leave,
    Look,
    NeedHolder,
    RunEnd,
    StopFetch,
)
from appliance.node.under_way import Room, UnderWay
from appliance.node.wanted import (
    AGAIN_S,
    RUNS_PER_BLOB,
    SLOW_S,
    STALLED_S,
    Holder,
    Rank,
    Run,
    Transfer,
    Want,
)

MAX_WANTED: Final = 1024
"""Blobs that are wanted at a time; of more, the least urgent are left out."""

MAX_OF_STRANGERS: Final = MAX_WANTED // 4
"""Of these, what only strangers name: keys are free to make, and so are small blobs."""

MAX_HOLDERS: Final = 64
"""Stations of which is known how they answered when asked for a blob, once their session ended."""

MAX_OPEN: Final = 8
"""Blobs that are looked through and open, fetched or waiting for somebody to go on with; half of
them at most of what only strangers name."""

NEED_S: Final = (30.0, 900.0)
"""When a session with a holder is asked for again."""

TELL_EVERY_S: Final = 0.5


class Transfers:
    """All blobs that are wanted here."""

    def __init__(self, own: StationId, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 to 1, for jitter."""
        self._own, self._random = own, random
        self._all: dict[bytes, Transfer] = {}
        self._order: list[tuple[Rank, bytes]] = []
        """Ranks and roots, most urgent first."""

        self._of_strangers: set[bytes] = set()
        """Those that only strangers name."""

        self._sessions: dict[StationId, float | None] = {}
        """Bytes a second that came from whom a session stands with, if that was seen."""

        self._lies: Counter[StationId] = Counter()
        self._need: dict[StationId, tuple[float, float]] = {}
        """When a session with somebody may be asked for again, and the pause after that."""

        self._room = Room()
        self._next = math.inf

    # -- What others ask

    def in_use(self, peer: StationId) -> bool:
        """Tell whether something is being fetched from a station."""
        return any(peer in each.runs for each in self._all.values())

    def roots(self) -> set[bytes]:
        """Return what is wanted."""
        return set(self._all)

    def fetching(self, root: bytes) -> bool:
        """Tell whether a blob is being sent, or worked on here."""
        transfer = self._all.get(root)
        return transfer is not None and (
            bool(transfer.runs) or transfer.state in {"looking", "finishing"}
        )

    def progress(self, root: bytes) -> tuple[int, int] | None:
        """Return how many bytes of how many are here of a blob that is wanted."""
        transfer = self._all.get(root)
        return (transfer.have, transfer.want.size) if transfer is not None else None

    def next_wakeup(self) -> float | None:
        """When to call `wakeup`; None: not at all."""
        return self._next if self._next < math.inf else None

    def waits_its_turn(self, root: bytes, now: float) -> bool:
        """Tell whether somebody who may have a blob can be asked for it, and is not yet."""
        transfer = self._all.get(root)
        return transfer is not None and any(transfer.may_ask(peer, now) for peer in self._sessions)

    # -- What is wanted

    def wanted(self, want: Want, now: float) -> list[BlobEffect]:
        """A blob is to be here; again, when somebody else is known to have it or it is urgent."""
        transfer = self._all.get(want.root)
        if transfer is None:
            if want.size <= 0 or not self._make_room(want):
                return []
            transfer = Transfer(want)
            self._note(transfer)
        elif want.rank < transfer.want.rank and want.size == transfer.want.size:
            self._forget(want.root)
            transfer.want = want
            self._note(transfer)
        for source in want.sources:
            if source != self._own:
                transfer.hint(source)
        return self._go(now)

    def _make_room(self, want: Want) -> bool:
        """Let go what is less urgent, where there is too much; what strangers name for its like."""
        too_many = not want.trusted and len(self._of_strangers) >= MAX_OF_STRANGERS
        if not too_many and len(self._all) < MAX_WANTED:
            return True
        for rank, root in reversed(self._order):
            if rank <= want.rank:
                return False
            other = self._all[root]
            if other.state == "waiting" and not (too_many and other.want.trusted):
                self._forget(root)
                return True
        return False

    def _note(self, transfer: Transfer) -> None:
        want = transfer.want
        self._all[want.root] = transfer
        insort(self._order, (want.rank, want.root))
        if not want.trusted:
            self._of_strangers.add(want.root)

    def dropped(self, root: bytes, now: float) -> list[BlobEffect]:
        """A blob is not needed any more, whether it is here or not."""
        transfer = self._all.get(root)
        effects: list[BlobEffect] = []
        if transfer is not None:
            effects += [StopFetch(root, peer) for peer in transfer.runs]
            self._forget(root)
        return [*effects, Leave(root, drop=True), *self._go(now)]

    def _forget(self, root: bytes) -> None:
        transfer = self._all.pop(root)
        self._order.remove((transfer.want.rank, root))
        self._of_strangers.discard(root)

    # -- Sessions

    def session_up(self, peer: StationId, now: float) -> list[BlobEffect]:
        """A session stands; what failed before may well work now."""
        self._sessions[peer] = None
        self._need.pop(peer, None)
        for transfer in self._all.values():
            holder = transfer.holders.get(peer)
            transfer.look_at = 0.0
            if holder is not None:
                holder.is_well()
        return self._go(now)

    def session_down(self, peer: StationId, now: float) -> list[BlobEffect]:
        """A session ended, and its token with it: what is under way may come to its end."""
        self._sessions.pop(peer, None)
        for transfer in self._all.values():
            transfer.look_at = 0.0
            holder = transfer.holders.get(peer)
            keep = peer in transfer.runs or len(transfer.holders) <= MAX_HOLDERS
            if holder is not None and not (keep and (holder.hinted or holder.lied)):
                del transfer.holders[peer]
        return self._go(now)

    # -- Answers

    def looked(
        self, root: bytes, missing: Iterable[int] | None, now: float, *, whole: bool = False
    ) -> list[BlobEffect]:
        """What is missing of a blob; None: nothing is known of it yet.  `whole`: it is here."""
        transfer = self._all.get(root)
        if transfer is None:
            return []
        if whole:
            self._forget(root)
            return [BlobArrived(root), *self._go(now)]
        transfer.state = "open"
        transfer.missing = set(missing) if missing is not None else None
        return [*self._finish(transfer), *self._go(now)]

    def stored(self, root: bytes, peer: StationId, index: int, now: float) -> list[BlobEffect]:
        """A chunk has come, was checked and is with the disk."""
        transfer = self._all.get(root)
        if transfer is None or transfer.missing is None:
            return []
        transfer.missing.discard(index)
        if peer in transfer.runs:
            transfer.runs[peer].heard_at = now
        if now - transfer.told_at < TELL_EVERY_S:
            return []
        transfer.told_at = now
        return [BlobProgress(root, transfer.have, transfer.want.size)]

    def over(
        self, root: bytes, peer: StationId, end: RunEnd, now: float, *, stored: int = 0
    ) -> list[BlobEffect]:
        """A fetch has ended, after so many chunks."""
        transfer = self._all.get(root)
        run = transfer.runs.pop(peer, None) if transfer is not None else None
        if transfer is None or run is None:
            return self._go(now)
        if stored and peer in self._sessions:
            self._sessions[peer] = stored * CHUNK / max(now - run.began, 0.001)
        holder = transfer.holders.setdefault(peer, Holder())
        keep = end is RunEnd.LIED and len(transfer.holders) <= MAX_HOLDERS
        if not (peer in self._sessions or holder.hinted or keep):
            del transfer.holders[peer]  # its session has ended meanwhile
        news: list[BlobEffect] = []
        if stored:
            holder.is_well()
        if end in AGAIN_S:
            holder.pause(end, now, self._random(), mine=transfer.want.mine)
        if end is RunEnd.LIED:
            self._lies[peer] += 1
            if len(self._lies) > MAX_WANTED:
                del self._lies[min(self._lies, key=lambda liar: self._lies[liar])]
        elif end is RunEnd.NO_ROOM:
            self._room.lacks(transfer, now)
            news = [BlobTrouble(root, end)]
        elif end is RunEnd.REFUSED:
            self._forget(root)
            return [BlobTrouble(root, end), Leave(root, drop=True), *self._go(now)]
        transfer.look_at = 0.0
        return [*news, *self._finish(transfer), *self._go(now)]

    def _finish(self, transfer: Transfer) -> list[BlobEffect]:
        if transfer.state != "open" or transfer.missing is None or transfer.missing:
            return []
        transfer.state = "finishing"
        return [
            *(StopFetch(transfer.want.root, peer) for peer in transfer.runs),
            Finish(transfer.want.root),
        ]

    def finished(self, root: bytes, now: float, *, kept: bool) -> list[BlobEffect]:
        """A blob is whole and on disk; or the disk did not take it, and nothing of it is there."""
        transfer = self._all.get(root)
        if transfer is None:
            return []
        if kept:
            self._forget(root)
            return [BlobArrived(root), *self._go(now)]
        transfer.state, transfer.missing = "waiting", None
        self._room.lacks(transfer, now)
        return [BlobTrouble(root, RunEnd.NO_ROOM), *self._go(now)]

    # -- Whom to ask for what

    def wakeup(self, now: float) -> list[BlobEffect]:
        """It is time to try again."""
        under_way = UnderWay(self._all.values())
        stalled: list[BlobEffect] = []
        for root, transfer in self._all.items():
            if not transfer.runs:
                continue
            others = any(
                transfer.may_ask(peer, now) and under_way.is_free(transfer, peer)
                for peer in self._sessions
            )
            most_s = SLOW_S if others else STALLED_S
            stalled += [
                StopFetch(root, peer)
                for peer, run in transfer.runs.items()
                if now - run.heard_at >= most_s
            ]
        return [*stalled, *self._go(now)]

    def _go(self, now: float) -> list[BlobEffect]:
        effects: list[BlobEffect] = []
        under_way = UnderWay(self._all.values())
        self._next = min(
            (run.look_at(now) for each in under_way.opened for run in each.runs.values()),
            default=math.inf,
        )
        for _, root in self._order:
            transfer = self._all[root]
            at = max(transfer.look_at, self._room.try_at(transfer))
            if at > now:
                self._next = min(self._next, at)
                continue
            if not under_way.has_place(transfer):
                break
            if not transfer.want.trusted and under_way.strangers_are_full:
                continue
            effects += self._serve(transfer, under_way, now)
        return effects

    def _serve(self, transfer: Transfer, under_way: UnderWay, now: float) -> list[BlobEffect]:
        """Let a blob have what it can get now."""
        want = transfer.want
        if transfer.state in {"looking", "finishing"} or len(transfer.runs) >= RUNS_PER_BLOB:
            return []
        askable = [peer for peer in self._sessions if transfer.may_ask(peer, now)]
        if not askable and not transfer.runs:
            return self._wait(transfer, now)
        free = [peer for peer in askable if under_way.is_free(transfer, peer)]
        if transfer.state == "waiting":
            return self._look(transfer, under_way, now) if free else []
        effects: list[BlobEffect] = []
        most = RUNS_PER_BLOB if want.trusted and transfer.missing is not None else 1
        for peer in sorted(free, key=lambda p: self._merit(transfer, p, under_way)):
            if len(transfer.runs) >= most:
                break
            chunks = transfer.next_chunks(self._sessions[peer])
            if not chunks:
                break
            transfer.runs[peer] = Run(chunks, now, now)
            under_way.begin(transfer, peer)
            self._next = min(self._next, now + SLOW_S)
            effects.append(Fetch(want.root, want.size, peer, chunks.start, len(chunks)))
        return effects

    def _merit(
        self, transfer: Transfer, peer: StationId, under_way: UnderWay
    ) -> tuple[int, bool, int, float]:
        holder = transfer.holders.get(peer)
        hinted = holder is not None and holder.hinted
        return (self._lies[peer], not hinted, under_way.from_(peer), self._random())

    def _look(self, transfer: Transfer, under_way: UnderWay, now: float) -> list[BlobEffect]:
        """Open a blob, in the place of one that waits for somebody to go on with, or its turn."""
        opened, most = under_way.opened, MAX_OPEN
        strangers = [each for each in opened if not each.want.trusted]
        if not transfer.want.trusted and len(strangers) >= MAX_OPEN // 2:
            opened, most = strangers, MAX_OPEN // 2
        effects: list[BlobEffect] = []
        if len(opened) >= most:
            idle = [
                each
                for each in opened
                if each.state == "open"
                and not each.runs
                and (
                    each.want.rank > transfer.want.rank
                    or not any(each.may_ask(peer, now) for peer in self._sessions)
                )
            ]
            if not idle:
                return []
            last = max(idle, key=lambda each: each.want.rank)
            last.state, last.missing = "waiting", None
            under_way.opened.remove(last)
            effects = [Leave(last.want.root)]
        transfer.state = "looking"
        under_way.opened.append(transfer)
        return [*effects, Look(transfer.want.root, transfer.want.size)]

    def _wait(self, transfer: Transfer, now: float) -> list[BlobEffect]:
        """Nobody can be asked now: note when somebody can, and seek those who likely have it."""
        effects: list[BlobEffect] = []
        again = math.inf
        for peer, holder in transfer.holders.items():
            if peer in self._sessions:
                again = min(again, max(holder.ask_at, now + 0.01))
            elif holder.hinted and transfer.want.mine and not holder.lied:
                need_at, wait_s = self._need.get(peer, (now, NEED_S[0]))
                if need_at <= now:
                    effects.append(NeedHolder(peer))
                    need_at = now + wait_s * (1 + self._random() / 4)
                    self._need[peer] = (need_at, min(2 * wait_s, NEED_S[1]))
                    if len(self._need) > MAX_WANTED:
                        del self._need[next(iter(self._need))]
                again = min(again, need_at)
        transfer.look_at = again
        self._next = min(self._next, again)
        return effects
