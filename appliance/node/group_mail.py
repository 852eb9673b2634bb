"""Groups and the mail: what came of something in a group is stored in one step, then sent.

What is known of a group changes in memory at once and is on disk a little later.  Whatever else is
stored about the group meanwhile takes all of it along, so that nothing on disk, and no receipt,
goes beyond what is known there, be it that the process dies or that the disk refused the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from appliance.model.card import Prekey
from appliance.model.codec import FormatError
from appliance.model.group import GroupId
from appliance.model.identity import CONSOLE, Address, StationId, StationKey
from appliance.model.record import (
    Certainty,
    Precedence,
    Record,
    RecordKind,
    make_record,
    read_record,
)
from appliance.node.clock import LamportClock, order_of
from appliance.node.delivery import Delivery
from appliance.node.effects import AlarmRaised, Effect, GroupChanged, MessageChanged, Transact
from appliance.node.group_news import GroupNotice, GroupResult
from appliance.node.group_records import news_of
from appliance.node.group_state import Group, Standing
from appliance.node.group_words import words
from appliance.node.groups import Groups
from appliance.node.ports import Moment, Operation, OutboxDone, StoredMessage
from appliance.node.ports.grouping import GetKept, GetNotes, SaveGroup, SaveGroupNews, WithNews
from appliance.protocol.sealing import OpenError

R = TypeVar("R")

NEWS: Final = Precedence.PRIORITY
"""Of what is said about a group by itself: messages are sealed to keys that it brings."""

KEPT: Final = 32
"""Records that had to wait and are looked at together."""

LOOK_AGAIN_S: Final = 10.0
"""After the store could not be asked for them."""


@dataclass(frozen=True)
class Along:
    """What has to be stored together with something else, and what follows from that."""

    news: SaveGroupNews
    """It."""

    stored: Callable[[], list[Effect]]
    """To be called when it is on disk."""

    undo: Callable[[], None]
    """To be called when it could not be stored."""

    def together_with(self, operation: Operation[R]) -> Operation[R]:
        """Return an operation that does both."""
        return WithNews(self.news, operation)


class GroupMail:
    """The groups of this station, as the mail needs them."""

    def __init__(
        self,
        key: StationKey,
        clock: LamportClock,
        delivery: Delivery,
        *,
        trusts: Callable[[StationId], bool],
        prekey_of: Callable[[StationId], Prekey | None],
        label: Callable[[StationId], str],
        random_bytes: Callable[[int], bytes],
        reopen: Callable[[Record, Moment, float], list[Effect]],
    ) -> None:
        """`trusts` tells whether our operator knows a station, `label` what it is called.

        `reopen` takes a record that had to wait; it raises what opening does.
        """
        self._key, self._clock, self._delivery = key, clock, delivery
        self._prekey_of, self._label, self._reopen = prekey_of, label, reopen
        self.groups = Groups(
            key,
            trusts=trusts,
            has_card=lambda station: prekey_of(station) is not None,
            random_bytes=random_bytes,
        )
        """What is known."""
        self._kept: dict[GroupId, Group] = {}
        """What of it is on disk."""
        self._damaged: list[GroupId] = []
        self._looking: dict[GroupId, bool] = {}
        """Where what had to wait is looked at, and whether that is wanted once more."""
        self._look_at: float | None = 0.0
        """When to look at all of it: at the start, and when the store was too busy."""
        self._rest_until = 0.0
        """Nothing is done unasked before: a full disk would have it tried without end."""

    def load(self, states: Iterable[tuple[GroupId, bytes]]) -> None:
        """Take what was stored."""
        for group_id, state in states:
            try:
                self.groups.load(group_id, state)
            except FormatError:
                self._damaged.append(group_id)
                continue
            known = self.groups.book.get(group_id)
            if known is not None:
                self._kept[group_id] = known

    # -- Time, in seconds of being awake

    def next_wakeup(self) -> float:
        """Say when to call `wakeup`."""
        due = self.groups.next_wakeup()
        times = (None if due is None else max(due, self._rest_until), self._look_at)
        return min((at for at in times if at is not None), default=math.inf)

    def wakeup(self, moment: Moment, *, uptime_s: float) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        effects += [_alarm(group_id) for group_id in self._damaged]
        self._damaged.clear()
        if self._look_at is not None and self._look_at <= moment.awake_s:
            self._look_at = None
            for group in self.groups.book:
                effects += self._look(group.id, moment, uptime_s)
        if moment.awake_s < self._rest_until:
            return effects

        def broken(_: str) -> Sequence[Effect]:
            self._rest_until = moment.awake_s + LOOK_AGAIN_S
            return ()

        for result in self.groups.wakeup(moment):
            effects += self._carry_out(result, moment, uptime_s, failed=broken)
        return effects

    # -- What our operator does

    def act(
        self,
        wish: Callable[[Groups], GroupResult],
        moment: Moment,
        *,
        uptime_s: float,
        done: Callable[[GroupId], None],
        failed: Callable[[str], None],
    ) -> list[Effect]:
        """Carry out a wish; `done` is called when it is on disk.  Raises GroupRefusedError."""
        result = wish(self.groups)

        def stored() -> Sequence[Effect]:
            done(result.group)
            return ()

        def not_stored(why: str) -> Sequence[Effect]:
            failed(why)
            return ()

        return self._carry_out(result, moment, uptime_s, stored=stored, failed=not_stored)

    # -- What others do

    def received(
        self,
        author: StationId,
        content: bytes,
        moment: Moment,
        *,
        uptime_s: float,
        receipt: Record | None,
        stored: Callable[[], Sequence[Effect]],
        failed: Callable[[str], Sequence[Effect]],
    ) -> list[Effect]:
        """Take a note, opened; `receipt` waits for its author from then on.

        Raises KeyToComeError when it has to wait, FormatError when it is of no use.
        """
        result = self.groups.received(author, content, moment)
        more = () if receipt is None else ((author, receipt),)
        return self._carry_out(result, moment, uptime_s, more=more, stored=stored, failed=failed)

    def learned(self, station: StationId, moment: Moment, *, uptime_s: float) -> list[Effect]:
        """A station's card has come."""
        results = self.groups.learned(station, moment)
        told = [self._carry_out(result, moment, uptime_s) for result in results]
        return [effect for effects in told for effect in effects]

    def unopened(
        self, station: StationId, records: tuple[bytes, ...], moment: Moment, *, uptime_s: float
    ) -> list[Effect]:
        """A station can't open records of ours: what notes about groups said, it is told anew."""

        def found(notes: tuple[bytes, ...]) -> Sequence[Effect]:
            return tell(self.groups.tell_again(station, moment), notes) if notes else ()

        def tell(rest: list[GroupResult], notes: tuple[bytes, ...]) -> list[Effect]:
            if not rest:  # only now: what takes their place is on disk
                return [Transact(OutboxDone(station, notes), lambda _: (), lazy=True)]
            return self._carry_out(rest[0], moment, uptime_s, stored=lambda: tell(rest[1:], notes))

        return [Transact(GetNotes(station, records), found)]

    # -- Stored, then sent

    def along(
        self,
        group_id: GroupId,
        result: GroupResult | None,
        precedence: Precedence,
        moment: Moment,
        uptime_s: float,
        more: tuple[tuple[StationId, Record], ...] = (),
    ) -> Along | None:
        """Return what has to be stored with something about a group; None: nothing."""
        if result is None:
            now = self.groups.book.get(group_id)
            result = GroupResult(group_id, now, now)
        news = news_of(
            result,
            self._key,
            prekey_of=self._prekey_of,
            stamp=lambda: self._clock.stamp(moment, uptime_s=uptime_s),
            precedence=precedence,
        )
        records = more + (news.records if news is not None else ())
        save, share = self._unsaved(group_id), result.share
        notices = tuple(self._noted(result, notice, moment, uptime_s) for notice in result.notices)
        if save is None and not records and not share and not notices:
            return None
        now = self.groups.book.get(group_id)

        def stored() -> list[Effect]:
            if save is not None and now is not None:
                self._kept[group_id] = now
            elif save is not None:
                self._kept.pop(group_id, None)
            effects: list[Effect] = [MessageChanged(message.id) for message, _ in notices]
            if save is not None:
                effects.append(GroupChanged(group_id))
            for station, record in records[len(more) :]:
                effects += self._delivery.dispatch((station,), record, moment)
            for one in share:
                effects += self._delivery.outbox.look(one.station, moment)
            if result.retry:
                effects += self._look(group_id, moment, uptime_s)
            return effects

        together = SaveGroupNews(save, records, share, notices)
        return Along(together, stored, lambda: self.groups.book.undo(result))

    def _carry_out(
        self,
        result: GroupResult,
        moment: Moment,
        uptime_s: float,
        *,
        more: tuple[tuple[StationId, Record], ...] = (),
        stored: Callable[[], Sequence[Effect]] = lambda: (),
        failed: Callable[[str], Sequence[Effect]] = lambda _: (),
    ) -> list[Effect]:
        along = self.along(result.group, result, NEWS, moment, uptime_s, more)
        if along is None:
            look = self._look(result.group, moment, uptime_s) if result.retry else []
            return [*look, *stored()]

        def durable(_: None) -> Sequence[Effect]:
            return [*along.stored(), *stored()]

        def broken(why: str) -> Sequence[Effect]:
            along.undo()
            return failed(why)

        return [Transact(along.news, durable, broken)]

    def _unsaved(self, group_id: GroupId) -> SaveGroup | None:
        """Return what the disk does not have, or may not."""
        now, kept = self.groups.book.get(group_id), self._kept.get(group_id)
        if now is kept:
            return None
        if now is None:
            return SaveGroup(group_id, None)
        return None if now == kept else now.saved()

    def _noted(
        self, result: GroupResult, notice: GroupNotice, moment: Moment, uptime_s: float
    ) -> tuple[StoredMessage, Record]:
        """Return what the conversation shows.  Its record is signed by us and goes nowhere."""
        own, after = self._key.id, result.after
        assert after is not None
        stamp = self._clock.stamp(moment, uptime_s=uptime_s)
        record = make_record(
            self._key, RecordKind.GROUP, notice.change, stamp=stamp, to=(Address(own),)
        )
        text = words(
            notice,
            own,
            label=self._label,
            group_name=after.name,
            waits=after.standing is Standing.INVITED,
        )
        message = StoredMessage(
            id=record.id,
            conversation=result.group,
            author=notice.by,
            outgoing=False,
            text=text,
            line=CONSOLE,
            precedence=Precedence.ROUTINE,
            order=order_of(stamp.lamport, record.id),
            written_ms=stamp.wall_ms,
            written_sure=stamp.certainty is not Certainty.UNSET,
            received_ms=moment.wall_ms,
            received_sure=moment.sure,
            unread=notice.by != own,
            notice=True,
        )
        return message, record

    # -- What had to wait

    def _look(self, group_id: GroupId, moment: Moment, uptime_s: float) -> list[Effect]:
        """Look again at what is carried and could not be opened; once at a time, since it costs."""
        if group_id in self._looking:
            self._looking[group_id] = True
            return []
        self._looking[group_id] = False
        return self._look_on(group_id, moment, uptime_s, 0)

    def _look_on(
        self, group_id: GroupId, moment: Moment, uptime_s: float, after: int
    ) -> list[Effect]:
        def found(kept: tuple[tuple[int, bytes], ...]) -> Sequence[Effect]:
            effects: list[Effect] = []
            for _, raw in kept:
                try:
                    effects += self._reopen(read_record(raw), moment, uptime_s)
                except (FormatError, OpenError):
                    continue  # it is somebody else's, and goes on as before
            if len(kept) == KEPT:
                return [*effects, *self._look_on(group_id, moment, uptime_s, kept[-1][0])]
            if self._looking.pop(group_id):
                effects += self._look(group_id, moment, uptime_s)
            return effects

        def broken(_: str) -> Sequence[Effect]:
            del self._looking[group_id]
            self._look_at = moment.awake_s + LOOK_AGAIN_S
            return ()

        return [Transact(GetKept(group_id, self._key.id, after, KEPT), found, broken)]


def _alarm(group_id: GroupId) -> Effect:
    return AlarmRaised(
        f"group-{group_id.tag}",
        f"What was kept of the group ·{group_id.tag} is damaged, so this station is not in it"
        " any more.",
        "Ask an admin of the group to remove this station and to invite it again.",
    )
