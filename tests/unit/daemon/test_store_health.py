"""When the operator is told that nothing can be stored, and when that is over."""

from __future__ import annotations

from typing import Any

from appliance.daemon.store_health import StoreHealth
from appliance.node.effects import Transact
from appliance.node.ports import GetValue, Operation, SetValue, StoreError

FULL = StoreError("disk-full", "The disk is full.")


def transact(operation: Operation[Any], *, lazy: bool = False) -> Transact[Any]:
    return Transact(operation, lambda _: (), lazy=lazy)


def test_a_full_disk_is_over_when_there_is_room_and_what_failed_succeeds() -> None:
    said: list[str] = []
    room = False
    health = StoreHealth(lambda: room, said.append, lambda: said.append("works"))
    write, read = transact(SetValue("card", b"x")), transact(GetValue("card"))
    health.stored(write)
    assert not said
    health.failed(write, FULL)
    health.stored(read)
    health.stored(write)  # it was small
    assert said == ["The disk is full."]
    health.failed(write, FULL)
    room = True
    health.stored(read)
    assert said[-1] == "The disk is full."
    health.stored(write)
    health.stored(write)
    assert said[-2:] == ["The disk is full.", "works"]


def test_what_is_lazy_need_not_come_again() -> None:
    said: list[str] = []
    health = StoreHealth(lambda: True, said.append, lambda: said.append("works"))
    health.failed(transact(SetValue("awake", b"1"), lazy=True), FULL)
    health.stored(transact(GetValue("card")))
    assert said == ["The disk is full.", "works"]
