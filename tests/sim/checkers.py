"""What must hold, at each step and in the end.

A checker is told of everything that happens (`sim.happenings`) and raises FaultError for what must
never be.  In the end the world waits until `unsettled` of all of them is empty; what is still there
when its patience is over is a fault.  A new checker is a class here and a place in `ALL`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from appliance.adapters.store.reading import MAX_SHOWN
from appliance.model.group import GroupId
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from appliance.node.group_state import Standing
from sim.happenings import (
    Alarmed,
    Changed,
    Confirmed,
    Died,
    Ended,
    FaultError,
    Happening,
    Letter,
    Restored,
    Started,
    Wrote,
)

if TYPE_CHECKING:
    from sim.board import Board
    from sim.world import World


States: TypeAlias = dict[StationId, DeliveryState]
"""How far a message has come, by recipient."""


class Checker:
    """Something that must hold."""

    def __init__(self, world: World) -> None:
        self.world = world

    def saw(self, happening: Happening) -> None:
        """Take note of something; raises FaultError if it must not be."""

    def unsettled(self) -> Iterable[str]:
        """Say what is not yet as it must be in the end."""
        return ()


class NothingIsLost(Checker):
    """What an operator wrote stays on the author's disk, and in the end whom it is for has it and
    the author knows.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._by_author: dict[int, list[Letter]] = {}

    def saw(self, happening: Happening) -> None:
        """Look for everything that was written, at each start."""
        if isinstance(happening, Wrote):
            self._by_author.setdefault(happening.board.index, []).append(happening.letter)
        elif isinstance(happening, Restored):
            board = happening.board
            kept = self._by_author.get(board.index, [])
            kept[:] = [letter for letter in kept if board.message(letter.id) is not None]
        elif isinstance(happening, Started):
            board = happening.board
            for letter in self._by_author.get(board.index, ()):
                if board.message(letter.id) is None:
                    raise FaultError(f"{board.name} has lost what was written: {letter.text:.40}")
            for message in board.disk.kept:
                if board.message(message) is None:
                    raise FaultError(f"{board.name} has lost a message that it had stored")

    def unsettled(self) -> Iterator[str]:
        """Look for what has not arrived."""
        for letter in self.world.people.letters.values():
            if not letter.forever:
                continue
            readers = list(self.world.readers(letter))
            who = [reader.id for reader in readers]
            what = f"{letter.text:.40} ({letter.id.hex()[:8]}, written at {letter.at:.1f})"
            for reader in readers:
                if not reader.disk.had(letter.id):
                    yield f"lost: {what} is not at {reader.name}"
            author = self.world.boards[letter.author]
            stored = author.message(letter.id) if readers else None
            if stored is None:
                continue
            sure = stored.delivered_to
            if letter.group is not None:
                sure = sum(
                    one.station in who and one.state >= DeliveryState.DELIVERED
                    for one in stored.recipients
                )
            if sure < len(readers):
                yield (
                    f"not confirmed: {author.name} knows of {sure} of the"
                    f" {len(readers)} that have {what}"
                )


class NothingTwice(Checker):
    """Nobody has a message twice, or one that nobody wrote."""

    def unsettled(self) -> Iterable[str]:
        """Look at everybody's messages; what is wrong with these does not get better."""
        for board in self.world.boards:
            seen: set[str] = set()
            for message in board.messages():
                if message.text in seen:
                    raise FaultError(f"{board.name} has twice: {message.text:.40}")
                if message.notice:
                    seen.add(message.text)
                    continue
                if message.text not in self.world.people.attempted:
                    raise FaultError(f"{board.name} has what nobody wrote: {message.text:.40}")
                seen.add(message.text)
        return ()


class StatesNeverLie(Checker):
    """What the author is shown never goes back, and who is said to have a message does.

    A receipt is shown before the author's disk has it, since it will come again.  So what was shown
    can be gone after a crash, but for what had been on disk; in the end it is there again.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._told: dict[tuple[int, bytes], States] = {}
        """What was shown since the start, by the author's index and the message."""

        self._ever: dict[tuple[int, bytes], States] = {}
        """The most that was ever shown."""

        self._stored: dict[tuple[int, bytes], States] = {}
        """What was on the author's disk."""

    def saw(self, happening: Happening) -> None:
        """Compare with what the author was shown before."""
        if isinstance(happening, Confirmed):
            for message in happening.messages:
                states = self._stored.setdefault((happening.board.index, message), {})
                _raise(states, {happening.recipient: happening.state})
        elif isinstance(happening, Restored):
            # It has forgotten how far its messages came, and is told again.
            for seen in (self._told, self._ever, self._stored):
                for key in [key for key in seen if key[0] == happening.board.index]:
                    del seen[key]
        elif isinstance(happening, Died):
            board = happening.board
            for key in [key for key in self._told if key[0] == board.index]:
                self._told[key] = self._states(board, key[1])
                self._compare(board, key[1], self._stored.get(key, {}), "over a crash ")
        elif isinstance(happening, Changed) and happening.message.outgoing:
            self._changed(happening.board, happening.message.id)

    def unsettled(self) -> Iterator[str]:
        """Look for what was shown and has not come back."""
        for letter in self.world.people.letters.values():
            author = self.world.boards[letter.author]
            ever = self._ever.get((letter.author, letter.id))
            if not ever or author.gone or not letter.forever:
                continue
            now = self._states(author, letter.id)
            for station, state in ever.items():
                hidden = station not in now and len(now) >= MAX_SHOWN
                if hidden or self.world.by_id[station].gone:
                    continue
                if now.get(station, DeliveryState.QUEUED) < state:
                    yield f"{author.name}: {letter.id.hex()[:8]} was shown as {state.name} before"

    def _changed(self, board: Board, message: bytes) -> None:
        self._compare(board, message, self._told.get((board.index, message), {}), "")
        now = self._told[board.index, message] = self._states(board, message)
        _raise(self._ever.setdefault((board.index, message), {}), now)
        for station, state in now.items():
            recipient = self.world.by_id[station]
            if state >= DeliveryState.DELIVERED and not recipient.disk.had(message):
                raise FaultError(
                    f"{board.name}: {message.hex()[:8]} is shown as {state.name},"
                    f" but {recipient.name} does not have it"
                )

    def _compare(self, board: Board, message: bytes, before: States, how: str) -> None:
        now = self._states(board, message)
        for station, state in before.items():
            if station not in now and len(now) >= MAX_SHOWN:
                continue
            if now.get(station, DeliveryState.QUEUED) < state:
                what = f"{message.hex()[:8]} went back {how}from {state.name}"
                raise FaultError(f"{board.name}: {what}")

    @staticmethod
    def _states(board: Board, message: bytes) -> States:
        stored = board.message(message)
        return {one.station: one.state for one in stored.recipients} if stored else {}


def _raise(states: States, seen: States) -> None:
    for station, state in seen.items():
        states[station] = max(states.get(station, DeliveryState.QUEUED), state)


class AllAgree(Checker):
    """In the end all that hang together have each other's latest card."""

    def unsettled(self) -> Iterator[str]:
        """Look for old cards."""
        alive = [board for board in self.world.boards if board.alive]
        # One that the disk would not take is shown to nobody.
        cards = [(other, other.id, other.station.card.shown) for other in alive]
        for board in alive:
            known = board.station.directory.get
            for other, station, shown in cards:
                card = known(station).card
                has = card.sequence if card is not None else 0
                if shown is not None and has == shown[0]:
                    continue
                if other is not board and self.world.together(board, other):
                    yield f"{board.name} has card {has} of {other.name}, not {shown and shown[0]}"


class DisksAreBounded(Checker):
    """No database grows beyond its bound, nor far beyond what there is to be stored."""

    EMPTY: Final = 512 * 1024
    """What a database without messages may take, and ..."""

    STATION: Final = 4 * 1024
    """... for each station, and ..."""

    MESSAGE: Final = 8 * 1024
    """... for each message beside its text, with all its receipts, and ..."""

    RECEIPT: Final = 2 * 1024
    """... for each receipt."""

    NOTICES: Final = 4
    """For each member of a group it is told about so often."""

    def unsettled(self) -> Iterable[str]:
        """Look at all databases, which do not shrink."""
        bound = min(self.world.scenario.max_database, self._needed())
        for board in self.world.boards:
            size = board.disk.size()
            if size > bound:
                raise FaultError(f"{board.name} has a database of {size} bytes, above {bound}")
        return ()

    def _needed(self) -> int:
        world = self.world
        receipts = sum(
            2 if letter.to is not None else 2 * len(world.boards)
            for letter in world.people.letters.values()
        )
        groups = sum(len(gathering.members) for gathering in world.groups.all)
        return (
            self.EMPTY
            + self.STATION * len(world.boards)
            + self.MESSAGE * (len(world.people.attempted) + self.NOTICES * groups)
            + self.RECEIPT * receipts
            + 8 * sum(len(text) for text in world.people.attempted)
        )


class NobodyIsBlamed(Checker):
    """Among honest stations there is no alarm, and nobody takes another's words for an attack."""

    BLAMES: Final = frozenset({"protocol-error", "self"})

    def saw(self, happening: Happening) -> None:
        """Look for alarms."""
        if isinstance(happening, Alarmed):
            alarm = happening.alarm
            raise FaultError(f"{happening.board.name}: false alarm {alarm.code}: {alarm.text}")
        if isinstance(happening, Ended) and happening.reason in self.BLAMES:
            raise FaultError(f"{happening.board.name} ends a session: {happening.reason}")


class InOrder(Checker):
    """What was written later stands later, on all screens and whatever their clocks show."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._orders: dict[bytes, int] = {}
        self._last: dict[int, int] = {}
        """Where the last message of an author stands, by index."""

    def saw(self, happening: Happening) -> None:
        """Compare with what the author had before it."""
        if isinstance(happening, Wrote):
            letter = happening.letter
            stored = happening.board.message(letter.id)
            if stored is None or stored.order <= letter.after:
                raise FaultError(f"{happening.board.name}: too high up: {letter.text:.40}")
            # What it has forgotten counts too; not what others wrote who had stepped ahead as well.
            forgotten = self._last.get(letter.author, 0) if self.world.faults.restored < 2 else 0
            if stored.order <= forgotten:
                raise FaultError(
                    f"{happening.board.name}: before what it forgot: {letter.text:.40}"
                )
            self._orders[letter.id] = self._last[letter.author] = stored.order

    def unsettled(self) -> Iterable[str]:
        """Look where everybody has it."""
        for board in self.world.boards:
            for message in board.messages():
                if message.order != self._orders.get(message.id, message.order):
                    raise FaultError(f"{board.name} has elsewhere: {message.text:.40}")
        return ()


class GroupsAgree(Checker):
    """In the end all members know who is in; whoever is out reads nothing by those who know."""

    def saw(self, happening: Happening) -> None:
        """Look at what comes to a station."""
        if not isinstance(happening, Changed) or happening.message.notice:
            return
        board, message = happening.board, happening.message
        if not isinstance(message.conversation, GroupId) or message.outgoing:
            return
        if board.index not in self.world.people.attempted[message.text]:
            raise FaultError(f"{board.name} reads what was not for it: {message.text:.40}")

    def unsettled(self) -> Iterator[str]:
        """Look at what everybody knows."""
        for gathering in self.world.groups.all:
            founder = self.world.boards[gathering.founder]
            wanted = {self.world.boards[index].id for index in gathering.inside}
            for index in sorted(gathering.members):
                board = self.world.boards[index]
                if not board.alive or not self.world.together(founder, board):
                    continue
                known = board.group(gathering.id)
                inside = index in gathering.inside
                if known is None or (known.standing is Standing.IN) is not inside:
                    yield f"{board.name} is {'not ' if inside else ''}in the group"
                elif set(known.members) != wanted:
                    yield f"{board.name} knows of {len(known.members)} members, not {len(wanted)}"


ALL: Final[tuple[type[Checker], ...]] = (
    NothingIsLost,
    AllAgree,
    StatesNeverLie,
    NobodyIsBlamed,
    DisksAreBounded,
    GroupsAgree,
    NothingTwice,
    InOrder,
)
"""What takes long is asked last, when nothing else is unsettled any more."""
