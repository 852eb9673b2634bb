"""Two live boards with one key are an alarm on both and everywhere; one that forgot is not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import pytest

from appliance.model.card import Prekey, read_card
from appliance.model.identity import StationKey
from appliance.model.record import (
    Certainty,
    RecordKind,
    Stamp,
    make_record,
    read_record,
)
from appliance.node.beginnings import Memory
from appliance.node.clock import MAX_JUMP, ORDER_BITS
from appliance.node.copies import (
    ANSWERS_S,
    ASK_EVERY_S,
    ASKS,
    COPIED_KEY,
    SILENT_S,
    card_says_copied,
)
from appliance.node.effects import AlarmOver, AlarmRaised, Effect, Transact
from appliance.node.own_card import (
    CARD_VALUE,
    RESTORED_ORDERS,
    RESTORED_STEP,
    RESTORED_VALUE,
    OwnCard,
    highest_order,
)
from appliance.node.ports import SetValue

OVER_S = ASK_EVERY_S + ASKS * SILENT_S

KEY = StationKey.from_bytes(b"k" * 32)
PREKEY = Prekey(b"prekeyid", b"p" * 32)


@cache
def newness(raw: bytes) -> tuple[int, bytes]:
    return read_card(read_record(raw)).sequence, raw


@dataclass
class Board:
    """A board with the key: its disk, its start, and what its operator is told."""

    rng: random.Random
    disk: dict[str, bytes] = field(default_factory=dict)
    full: bool = False
    now_s: float = 0.0
    said: list[Effect] = field(default_factory=list)
    cards: list[bytes] = field(default_factory=list)
    """All that it has shown."""

    def start(self) -> None:
        self.boot, self.now_s = self.rng.randbytes(8), 0.0
        self.own = OwnCard(
            KEY,
            PREKEY,
            self.disk.get(CARD_VALUE),
            published=self.publish,
            restored=RESTORED_VALUE in self.disk,
        )
        self.do(self.own.start(self.stamp))

    def publish(self, raw: bytes) -> Sequence[Effect]:
        self.cards.append(raw)
        return ()

    def stamp(self) -> Stamp:
        return Stamp(1, self.boot, int(self.now_s * 1000), 0, Certainty.UNSET)

    def do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Transact):
                self.said.append(effect)
            elif self.full:
                self.do(effect.failed("full"))
            else:
                operation = effect.operation
                assert isinstance(operation, SetValue)
                if operation.value is None:
                    self.disk.pop(operation.name, None)
                else:
                    self.disk[operation.name] = operation.value
                self.do(effect.then(None))

    def hear(self, raw: bytes) -> None:
        self.do(self.own.came_back(read_record(raw), self.stamp))

    def run(self, seconds: float) -> None:
        until = self.now_s + seconds
        while (at := self.own.next_wakeup()) <= until:
            self.now_s = max(self.now_s, at)
            self.do(self.own.wakeup(self.now_s, self.stamp))
        self.now_s = until

    @property
    def alarmed(self) -> bool:
        codes = [e for e in self.said if isinstance(e, AlarmRaised | AlarmOver)]
        return bool(codes) and isinstance(codes[-1], AlarmRaised)


def new_board(seed: int = 1, disk: dict[str, bytes] | None = None) -> Board:
    board = Board(random.Random(seed), disk if disk is not None else {})
    board.start()
    return board


def settle(*boards: Board) -> int:
    """Let each hear the newest card until there is none that it has not heard; returns how many."""
    cards = 0
    while True:
        before = sum(len(board.cards) for board in boards)
        newest = max((raw for board in boards for raw in board.cards), key=newness)
        for board in boards:
            board.hear(newest)
        cards += sum(len(board.cards) for board in boards) - before
        assert cards < 100, "they race"
        if before == sum(len(board.cards) for board in boards):
            return cards


def newest_of(*boards: Board) -> bytes:
    return max((raw for board in boards for raw in board.cards), key=newness)


# -- One board, whatever it has been through


@pytest.mark.parametrize("seed", range(30))
def test_one_board_at_a_time_is_never_taken_for_two(seed: int) -> None:
    """Restarts, backups that are restored, lost state; and old cards come late, in any order."""
    rng = random.Random(seed)
    board = new_board(seed)
    backups = [dict(board.disk)]
    for _ in range(60):
        match rng.choice(("restart", "rename", "backup", "restore", "lose", "late", "newest")):
            case "restart":
                board.start()
            case "rename":
                board.do(board.own.start(board.stamp))
            case "backup":
                backups.append(dict(board.disk))
            case "restore":
                board.disk.clear()
                board.disk.update(rng.choice(backups) | {RESTORED_VALUE: b"{}"})
                board.start()
                assert RESTORED_VALUE not in board.disk
            case "lose" if rng.random() < 0.2:
                board.disk.clear()
                board.start()
                board.hear(newest_of(board))  # who lost its state is told what the others have
            case "late":
                board.hear(rng.choice(board.cards))
            case "newest":
                board.hear(newest_of(board))
        board.run(rng.choice((0.0, 10.0, 5000.0)))
    board.hear(newest_of(board))
    assert not board.said
    assert not any(card_says_copied(read_card(read_record(raw))) for raw in board.cards)
    assert newest_of(board) == board.own.raw


def test_a_restored_board_is_ahead_of_all_that_it_has_forgotten_before_it_hears_of_it() -> None:
    board = new_board()
    backup = dict(board.disk)
    for _ in range(50):
        board.start()
    forgotten = newest_of(board)
    for seed in (2, 3):  # a backup can be restored twice
        restored = new_board(seed, backup | {RESTORED_VALUE: b"{}"})
        assert RESTORED_VALUE not in restored.disk
        ahead = newness(restored.cards[0])[0] - newness(forgotten)[0]
        assert RESTORED_STEP // 2 < ahead < 3 * RESTORED_STEP
        before = list(restored.cards)
        for raw in board.cards:
            restored.hear(raw)
        assert restored.cards == before
        restored.start()
        assert newness(restored.cards[-1])[0] - newness(before[-1])[0] < RESTORED_STEP // 2, "once"


def test_a_restored_board_whose_disk_is_full_steps_ahead_when_there_is_room() -> None:
    board = Board(random.Random(1), {RESTORED_VALUE: b"{}"}, full=True)
    board.start()
    assert not board.cards
    assert RESTORED_VALUE in board.disk
    board.full = False
    board.do(board.own.start(board.stamp))
    assert newness(board.cards[0])[0] > RESTORED_STEP
    assert RESTORED_VALUE not in board.disk


def test_what_a_restored_station_writes_comes_after_what_it_has_forgotten() -> None:
    stamp = Stamp(900, b"bootboot", 0, 0, Certainty.UNSET)
    board = new_board()
    raw = make_record(KEY, RecordKind.CARD, read_record(board.cards[0]).content, stamp=stamp).raw
    assert highest_order(5 << ORDER_BITS, None, restored=False) == 5 << ORDER_BITS
    assert highest_order(5 << ORDER_BITS, raw, restored=False) == 900 << ORDER_BITS
    ahead = highest_order(5 << ORDER_BITS, raw, restored=True) - (900 << ORDER_BITS)
    assert 1000 << ORDER_BITS < ahead == RESTORED_ORDERS < MAX_JUMP << ORDER_BITS
    assert highest_order(0, b"damaged", restored=False) == 0
    assert not Memory(stations=(), highest_order=0, card=None).restored


# -- Two boards


def test_boards_that_go_on_from_one_state_give_different_numbers() -> None:
    """Neighbours that meet later compare numbers alone."""
    original = new_board()
    boards = [new_board(seed, dict(original.disk)) for seed in range(2, 22)]
    for _ in range(3):
        numbers = {newness(board.cards[-1])[0] for board in boards}
        assert len(numbers) == len(boards)
        newest = newest_of(*boards)
        for board in boards:
            board.hear(newest)


def copies(seed: int = 1) -> tuple[Board, Board]:
    original = new_board(seed)
    copy = Board(random.Random(seed + 1000), dict(original.disk))
    copy.start()
    original.start()
    return original, copy


def test_two_live_boards_prove_it_to_each_other_with_few_cards() -> None:
    for seed in range(10):
        one, other = copies(seed)
        assert settle(one, other) <= 4
        assert one.alarmed
        assert other.alarmed
        card = read_card(read_record(newest_of(one, other)))
        assert card_says_copied(card)
        assert settle(one, other) == 0, "and are silent then"
        for board in (one, other):
            assert board.own.shown == newness(newest_of(one, other)), "both show the same"


def test_a_restored_board_and_the_one_that_still_runs_are_two() -> None:
    original = new_board(4)
    restored = new_board(5, dict(original.disk) | {RESTORED_VALUE: b"{}"})
    assert settle(original, restored) <= 4
    assert original.alarmed
    assert restored.alarmed


def test_what_a_full_disk_keeps_from_being_said_is_said_later() -> None:
    one, other = copies()
    one.full = True
    settle(one, other)
    assert one.alarmed, "its operator knows"
    assert len(one.cards) == 2
    one.run(ANSWERS_S)
    one.full = False
    one.run(ANSWERS_S)
    settle(one, other)
    assert other.alarmed
    assert card_says_copied(read_card(read_record(newest_of(one, other))))


def test_four_boards_settle_too() -> None:
    boards = [*copies(7), *copies(8)]
    for _ in range(120):
        settle(*boards)
        for board in boards:
            board.run(SILENT_S / 2)
    assert all(board.alarmed for board in boards)
    assert not any(isinstance(said, AlarmOver) for board in boards for said in board.said)
    assert card_says_copied(read_card(read_record(newest_of(*boards))))
    assert sum(len(board.cards) for board in boards) < 20 + 5 * 20


def test_it_is_over_when_one_is_stopped_and_not_before() -> None:
    one, other = copies()
    settle(one, other)
    for _ in range(120):
        for board in (one, other):
            board.run(SILENT_S / 2)
        settle(one, other)
        assert one.alarmed
        assert other.alarmed
    hours = 120 * SILENT_S / 2 / 3600
    assert len(one.cards) + len(other.cards) < 10 + 6 * hours
    settle(one, other)
    one.run(OVER_S)  # the other is off
    assert one.said[-1] == AlarmOver(COPIED_KEY)
    assert read_card(read_record(one.cards[-1])).services == ()
    assert newest_of(one, other) == one.cards[-1]
    settle(one, other)  # and on again
    assert one.alarmed
    assert other.alarmed


def test_a_restart_of_one_of_two_is_found_out_again() -> None:
    one, other = copies()
    settle(one, other)
    one.said.clear()
    one.start()
    assert settle(one, other) <= 4
    assert one.alarmed
    assert card_says_copied(read_card(read_record(newest_of(one, other))))
