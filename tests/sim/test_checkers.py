"""Each checker objects to what it is there for: to a station, a disk or a net that is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from appliance.adapters.store.operations import WRITES
from appliance.model.codec import FormatError
from appliance.node import own_card, ports
from appliance.node.beginnings import Now
from appliance.node.cards import Cards
from appliance.node.clock import LamportClock
from appliance.node.effects import AlarmRaised, Effect, EndSession
from appliance.node.group_news import GroupResult
from appliance.node.group_state import Group
from appliance.node.groups import Groups
from appliance.node.station import Station
from appliance.node.usage import SessionInfo
from sim import board as sim_board
from sim.checkers import GroupsAgree
from sim.disk import Disk
from sim.scenario import Scenario
from sim.test_simulator import calm, judged
from sim.world import Outcome, world


def the_fault(scenario: Scenario) -> str:
    """Run it; return the fault that ended it."""
    faults = judged(scenario).faults
    assert faults
    return faults[0]


def broken(
    monkeypatch: pytest.MonkeyPatch, kind: type[Any], after: Callable[[Any, Any], None]
) -> None:
    """Let more happen after an operation on the store than should."""
    real = WRITES[kind]

    def write(db: Any, operation: Any) -> Any:
        result = real(db, operation)
        after(db, operation)
        return result

    monkeypatch.setitem(WRITES, kind, write)


def test_a_message_that_is_there_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = WRITES[ports.SaveIncoming]

    def again(db: Any, operation: ports.SaveIncoming) -> None:
        other = operation.record.id[::-1]
        record = replace(operation.record, id=other)
        message = replace(operation.message, id=other, order=operation.message.order + 1)
        real(db, replace(operation, record=record, message=message, load=None))

    broken(monkeypatch, ports.SaveIncoming, again)
    assert "has twice: " in the_fault(calm(11))


def test_a_message_that_nobody_wrote_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = WRITES[ports.SaveIncoming]

    def garbled(db: Any, operation: ports.SaveIncoming) -> Any:
        message = replace(operation.message, text=operation.message.text + "?")
        return real(db, replace(operation, message=message))

    monkeypatch.setitem(WRITES, ports.SaveIncoming, garbled)
    assert "has what nobody wrote: " in the_fault(calm(12))


class Careless(Disk):
    """Forgets what it has shown, when it can't be stored."""

    def _abandon(self, answers: list[tuple[Any, Any]]) -> None:
        self._open = [(replace(effect, lazy=False), result) for effect, result in self._open]
        super()._abandon(answers)


def test_a_state_that_goes_back_on_a_full_disk_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim_board, "Disk", Careless)
    scenario = replace(calm(13), write_every_s=2.0, full_every_s=10.0, minutes=5.0)
    assert " went back from " in the_fault(scenario)


class Forgetful(Disk):
    """Loses in a crash what it had said was stored."""

    def cut(self) -> None:
        super().cut()
        self.db.execute("UPDATE recipients SET state = 0")


def test_a_state_that_goes_back_over_a_crash_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim_board, "Disk", Forgetful)
    scenario = replace(calm(14), write_every_s=5.0, crash_every_s=20.0)
    assert " went back over a crash from " in the_fault(scenario)


class Deaf(Disk):
    """Shows what it will never store, and says that it has."""

    def cut(self) -> None:
        super().cut()
        self.db.execute("UPDATE recipients SET state = 0")

    def _write(self, effect: Any, answers: list[tuple[Any, Any]]) -> None:
        if self._board.starts > 1 and isinstance(effect.operation, ports.SaveReceipt):
            answers.append((effect.then, ()))
        else:
            super()._write(effect, answers)


def test_a_state_that_does_not_come_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim_board, "Disk", Deaf)
    with world(replace(calm(15), write_every_s=5.0)) as made:
        states = next(one for one in made._checkers if hasattr(one, "_stored"))
        states._stored = NeverStored()
        for board in made.boards:
            made.time.after(55.0, lambda b=board: b.die(power=True))  # type: ignore[misc]
        faults = made.run().faults
        assert any(" was shown as " in fault for fault in (*faults, *states.unsettled()))


class NeverStored(dict[Any, Any]):
    """Does as if nothing had been on disk."""

    def get(self, _: Any, default: Any = None) -> Any:
        return default


def test_cards_that_do_not_get_around_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def ignore(*_: object) -> list[Effect]:
        return []

    monkeypatch.setattr(Cards, "received", ignore)
    faults = judged(replace(calm(16), settle_s=30.0)).faults
    assert faults
    assert all(" has card 0 of " in fault for fault in faults)


def test_a_database_that_only_grows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def waste(db: Any, operation: ports.SaveOutgoing) -> None:
        name = operation.record.id.hex()
        db.execute("INSERT INTO vals (name, value) VALUES (?, zeroblob(200000))", (name,))

    broken(monkeypatch, ports.SaveOutgoing, waste)
    assert " has a database of " in the_fault(calm(17))


def test_a_false_alarm_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Station.session_opened

    def alarmed(self: Station, info: SessionInfo, now: Now) -> Iterable[Effect]:
        return [*real(self, info, now), AlarmRaised("copied-key", "There are two.", "Look.")]

    monkeypatch.setattr(Station, "session_opened", alarmed)
    assert "false alarm copied-key" in the_fault(calm(18))


def test_a_session_that_is_ended_for_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Station.session_opened

    def ended(self: Station, info: SessionInfo, now: Now) -> Iterable[Effect]:
        return [*real(self, info, now), EndSession(info.handle, "protocol-error")]

    monkeypatch.setattr(Station, "session_opened", ended)
    assert "ends a session: protocol-error" in the_fault(calm(19))


def with_a_group(seed: int) -> Scenario:
    """A scenario with a group, where members hear late of each other."""
    return replace(calm(seed, stations=6), groups=True, write_every_s=8.0, segment_size=6)


def of_groups(seed: int) -> tuple[str, ...]:
    """Run it; return what is wrong with the groups."""
    scenario = replace(with_a_group(seed), settle_s=20.0)
    with world(scenario, checkers=(GroupsAgree,)) as made:
        return made.run().faults


def test_a_group_is_made_and_somebody_taken_out() -> None:
    outcome = judged(with_a_group(30))
    assert outcome.faults == ()
    assert outcome.figures["without somebody who is out of the group"] >= 3


def test_who_is_out_and_still_reads_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Group, "audience", property(lambda _: b""))
    # Copies for those who are down go over all.
    scenario = replace(with_a_group(25), write_every_s=3.0, crash_every_s=30.0)
    assert " reads what was not for it: " in the_fault(scenario)


def test_who_never_hears_that_it_is_in_a_group_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(*_: object) -> GroupResult:
        raise FormatError("deaf")

    monkeypatch.setattr(Groups, "received", deaf)
    assert any(" is not in the group" in fault for fault in of_groups(22))


def test_who_never_hears_that_somebody_is_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Groups, "remove", Groups.appoint)
    said = of_groups(22)
    assert any(" is in the group" in fault for fault in said)
    assert any(" members, not " in fault for fault in said)


def test_an_answer_that_stands_before_its_question_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LamportClock, "accept", lambda *_: None)
    assert ": too high up: " in the_fault(replace(calm(23), write_every_s=2.0))


def one_restored(seed: int) -> Outcome:
    """Run it with one board that is restored, and writes at once."""
    scenario = replace(calm(seed), write_every_s=1.0, loss=0.3)
    with world(scenario) as made:
        board = made.boards[0]
        made.time.after(20.0, board.back_up)

        def restore() -> None:
            made.faults.restored += board.restore()
            board.start()
            made.people.write(board, None)

        made.time.after(50.0, restore)
        return made.run()


def test_a_board_is_restored() -> None:
    outcome = one_restored(24)
    assert outcome.faults == ()
    assert outcome.figures["restored"] == 1


def test_a_restored_board_that_does_not_step_ahead_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_card, "RESTORED_ORDERS", 0)
    (fault,) = one_restored(24).faults
    assert ": before what it forgot: " in fault
