"""What sounds when somebody writes."""

from collections.abc import Callable
from dataclasses import replace

from store_samples import ANN, incoming

from appliance.daemon.alerting import ALARM, EVERY_S, MAX_HEARD, NOTICE, TIMES, Alerting
from appliance.model.record import Precedence
from appliance.node.ports import StoredMessage


def message(precedence: Precedence) -> StoredMessage:
    return replace(incoming(ANN).message, precedence=precedence)


class Ears:
    """Hears what sounds, in virtual time."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.in_call = False
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.alerting = Alerting(
            self.heard.append, lambda: self.in_call, lambda s, call: self.waiting.append((s, call))
        )

    def rest(self) -> float:
        """Let pass what time it takes until nothing is going to sound any more."""
        passed = 0.0
        while self.waiting:
            seconds, call = self.waiting.pop(0)
            passed += seconds
            call()
        return passed


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
    assert ears.heard == [NOTICE]


def test_a_call_comes_first_and_an_emergency_is_heard_after_it() -> None:
    ears = Ears()
    ears.in_call = True
    ears.alerting.came(message(Precedence.EMERGENCY))
    ears.alerting.came(message(Precedence.PRIORITY))
    assert ears.heard == []
    ears.in_call = False
    ears.rest()
    assert ears.heard == [ALARM] * (TIMES - 1)


def test_a_flood_is_one_alarm_and_is_remembered_up_to_a_bound() -> None:
    ears = Ears()
    for _ in range(2 * MAX_HEARD):
        ears.alerting.came(message(Precedence.EMERGENCY))
    assert len(ears.alerting._unseen) == len(ears.alerting._heard) == MAX_HEARD
    assert ears.rest() == (TIMES + 1) * EVERY_S  # counted anew by those that came after the first
    assert ears.heard == [ALARM] * (TIMES + 1)
