"""Who has a station's key and says nothing of it: an alarm, and no race."""

from __future__ import annotations

import itertools
import random

from test_twins import KEY, OVER_S, Board, new_board, newest_of, newness

from appliance.model.card import read_card
from appliance.model.record import RecordKind, make_record, read_record
from appliance.node.copies import (
    ANSWERS_S,
    MAX_ANSWERS,
    MAX_MET,
    MET,
    boots_met,
    card_says_copied,
)
from appliance.node.doubled import HOLD_S
from appliance.node.effects import AlarmRaised
from appliance.node.own_card import MAX_SEQUENCE, RESTORED_STEP


class Thief(Board):
    """Has the key, and says nothing of it."""

    def steal(self, above: bytes, *, words: tuple[str, ...] = (), sequence: int = 0) -> bytes:
        card = read_card(read_record(above))
        sequence = sequence or card.sequence + 1
        forged = type(card)(sequence, "thief", card.lines, card.prekey, words)
        return make_record(KEY, RecordKind.CARD, forged.encode(), stamp=self.stamp()).raw


def a_thief() -> Thief:
    thief = Thief(random.Random(99))
    thief.boot = b"thievish"
    return thief


def test_a_thief_that_always_has_a_newer_card_gets_an_alarm_and_no_race() -> None:
    board, thief = new_board(), a_thief()
    shown = []
    for minute in range(6 * 60):
        stolen = thief.steal(newest_of(board))
        board.hear(stolen)
        board.run(60.0)
        shown.append((minute, newest_of(board) > stolen))
    assert board.alarmed
    assert len(board.cards) <= 3 + MAX_ANSWERS * (6 * 3600 / ANSWERS_S + 1)
    # Others hold the alarm for longer than the word is ever missing.
    said = [read_record(r).stamp.uptime_ms / 1000 for r in board.cards if _copied(r)]
    assert max(later - earlier for earlier, later in itertools.pairwise(said)) < HOLD_S


def _copied(raw: bytes) -> bool:
    return card_says_copied(read_card(read_record(raw)))


def test_a_number_that_none_can_follow_is_an_alarm_and_not_followed() -> None:
    board, thief = new_board(), a_thief()
    for sequence in (MAX_SEQUENCE + 1, (1 << 63) - 1):
        board.hear(thief.steal(board.cards[-1], sequence=sequence))
    board.run(10 * OVER_S)
    assert board.alarmed
    board.start()
    assert newness(board.cards[-1])[0] < RESTORED_STEP


def test_words_that_are_none_prove_nothing() -> None:
    board, thief = new_board(), a_thief()
    words = (MET, f"{MET}zz", f"{MET}{'00' * 7}", f"{MET}{'00' * 8}", "met", "x" * 32)
    board.hear(thief.steal(board.cards[-1], words=words))
    assert not board.said
    card = read_card(read_record(thief.steal(board.cards[-1], words=words)))
    assert boots_met(card) == {bytes(8)}
    for number in range(20):
        thief.boot = number.to_bytes(8, "big")
        board.hear(thief.steal(newest_of(board)))
        board.run(ANSWERS_S)
    assert len(boots_met(read_card(read_record(board.cards[-1])))) <= MAX_MET


def test_a_machine_that_was_saved_and_woken_up_twice_is_two_boards() -> None:
    board, twin = new_board(), a_thief()
    twin.boot = board.boot
    board.hear(twin.steal(board.cards[-1]))
    assert board.alarmed
    assert _copied(board.cards[-1])


def test_a_session_with_our_own_key_is_proof_and_told_to_all() -> None:
    board = new_board()
    for _ in range(50):
        board.do(board.own.met_copy(b"another.", "fe80::9", board.stamp))
        board.run(60.0)
    assert board.alarmed
    assert {e.text for e in board.said if isinstance(e, AlarmRaised)} == {
        "Another board (fe80::9) runs with this station's key."
    }
    assert len(board.cards) == 2
    assert _copied(board.cards[-1])
