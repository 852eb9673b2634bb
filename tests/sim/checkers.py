"""What must hold, at each step and in the end.

A checker is told of everything that happens (`sim.happenings`) and raises FaultError for what must
never be.  In the end the world waits until `unsettled` of all of them is empty; what is still there
when its patience is over is a fault.  A new checker is a class here and a place in `ALL`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from appliance.adapters.store.reading import MAX_SHOWN
from appliance.model.identity import StationId
from appliance.model.message import DeliveryState
from sim.happenings import (
    Alarmed,
    Changed,
    Confirmed,
    Died,
    Ended,
    FaultError,
    Happening,
    Letter,
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
            what = f"{letter.text:.40} ({letter.id.hex()[:8]}, written at {letter.at:.1f})"
            for reader in readers:
                if letter.id not in reader.disk.kept:
                    yield f"lost: {what} is not at {reader.name}"
            author = self.world.boards[letter.author]
            stored = author.message(letter.id) if readers else None
            if stored is not None and stored.delivered_to < len(readers):
                yield (
                    f"not confirmed: {author.name} knows of {stored.delivered_to} of the"
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
            if state >= DeliveryState.DELIVERED and message not in recipient.disk.kept:
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
        for board in self.world.boards:
            if not board.alive:
                continue
            for other in self.world.boards:
                if other is board or not other.alive or not self.world.together(board, other):
                    continue
                # One that the disk would not take is shown to nobody.
                shown = other.station.card.shown
                card = board.station.directory.get(other.id).card
                has = card.sequence if card is not None else 0
                if shown is None or has != shown[0]:
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
        return (
            self.EMPTY
            + self.STATION * len(world.boards)
            + self.MESSAGE * len(world.people.attempted)
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


ALL: Final[tuple[type[Checker], ...]] = (
    NothingIsLost,
    AllAgree,
    StatesNeverLie,
    NobodyIsBlamed,
    DisksAreBounded,
    NothingTwice,
)
"""What takes long is asked last, when nothing else is unsettled any more."""
