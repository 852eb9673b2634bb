"""What sounds when somebody writes."""

from collections.abc import Callable
from dataclasses import replace

from store_samples import ANN, BOB, incoming

from appliance.daemon.alerting import (
    ALARM,
    EVERY_S,
    MAX_HEARD,
    MAX_STRANGERS,
    NOTICE,
    STRANGERS_S,
    TIMES,
    Alerting,
)
from appliance.model.record import Precedence
from appliance.node.ports import StoredMessage


def message(precedence: Precedence) -> StoredMessage:
    return replace(incoming(ANN).message, precedence=precedence)


def stranger(precedence: Precedence) -> StoredMessage:
    return replace(incoming(BOB).message, precedence=precedence)


class Ears:
    """Hears what sounds, in virtual time."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.busy = False
        self.now = 0.0
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.alerting = Alerting(
            self.heard.append,
            lambda: self.busy,
            lambda s, call: self.waiting.append((self.now + s, call)),
            is_stranger=lambda author: author == BOB,
        )

    def rest(self, for_s: float = STRANGERS_S - 1) -> float:
        """Let time pass; return when the last of what was due was done."""
        began, last, until = self.now, 0.0, self.now + for_s
        while due := [one for one in self.waiting if one[0] <= until]:
            first = min(due, key=lambda one: one[0])
            self.waiting.remove(first)
            self.now = first[0]
            last = self.now - began
            first[1]()
        self.now = until
        return last


def test_an_emergency_sounds_until_it_is_seen() -> None:
    ears = Ears()
    emergency = message(Precedence.EMERGENCY)
    ears.alerting.came(emergency)
    ears.alerting.came(emergency)
    assert ears.heard == [ALARM]
    ears.alerting.came(replace(emergency, unread=False))
    ears.rest()
    assert ears.heard == [ALARM]


def test_what_nobody_sees_sounds_for_a_bounded_time() -> None:
    ears = Ears()
    ears.alerting.came(message(Precedence.EMERGENCY))
    ears.rest()
    assert ears.heard == [ALARM] * TIMES


def test_priority_sounds_once_and_less_does_not() -> None:
    ears = Ears()
    for precedence in (Precedence.ROUTINE, Precedence.WELFARE, Precedence.PRIORITY):
        ears.alerting.came(message(precedence))
    ears.alerting.came(replace(message(Precedence.EMERGENCY), outgoing=True))
    ears.rest()
    assert ears.heard == [NOTICE]


def test_a_call_comes_first_and_what_came_meanwhile_is_heard_after_it() -> None:
    ears = Ears()
    ears.busy = True
    ears.alerting.came(message(Precedence.EMERGENCY))
    ears.alerting.came(message(Precedence.PRIORITY))
    ears.rest(TIMES * EVERY_S * 5)
    assert ears.heard == []
    ears.busy = False
    ears.rest()
    assert ears.heard == [ALARM] * TIMES


def test_after_a_call_there_is_one_notice_of_what_nobody_has_seen() -> None:
    ears = Ears()
    ears.busy = True
    seen, *others = (message(Precedence.PRIORITY) for _ in range(4))
    ears.alerting.came(seen)
    ears.alerting.came(replace(seen, unread=False))
    ears.rest(600)
    ears.busy = False
    ears.rest(600)
    assert ears.heard == []
    ears.busy = True
    for one in others:
        ears.alerting.came(one)
    ears.busy = False
    ears.rest()
    assert ears.heard == [NOTICE]


def test_a_flood_is_one_alarm_and_is_remembered_up_to_a_bound() -> None:
    ears = Ears()
    for _ in range(2 * MAX_HEARD):
        ears.alerting.came(message(Precedence.EMERGENCY))
    assert len(ears.alerting._unseen) == len(ears.alerting._heard) == MAX_HEARD
    assert ears.rest() == (TIMES + 1) * EVERY_S  # counted anew by those that came after the first
    assert ears.heard == [ALARM] * (TIMES + 1)


def test_strangers_sound_a_few_times_an_hour_and_keep_nobody_else_from_it() -> None:
    ears = Ears()
    for _ in range(2 * MAX_HEARD):
        ears.alerting.came(stranger(Precedence.EMERGENCY))
        ears.rest(1.0)
    assert len(ears.heard) <= MAX_STRANGERS * TIMES
    ears.heard.clear()
    ears.alerting.came(stranger(Precedence.PRIORITY))
    assert ears.heard == []
    known = message(Precedence.EMERGENCY)
    ears.alerting.came(known)
    for _ in range(2 * MAX_HEARD):
        ears.alerting.came(stranger(Precedence.EMERGENCY))
    ears.rest()
    assert ears.heard == [ALARM] * TIMES
    ears.rest(STRANGERS_S)
    ears.alerting.came(stranger(Precedence.EMERGENCY))
    assert ears.heard == [ALARM] * (TIMES + 1)
