"""The simulator itself: what it must notice it notices, and the seed decides everything."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.adapters.store.operations import WRITES
from appliance.model.card import Prekey
from appliance.model.identity import StationKey
from appliance.model.record import RecordKind
from appliance.model.secret import Secret
from appliance.node import ports
from appliance.protocol.sealing import open_sealed, seal
from sim.chance import seeded
from sim.scenario import Scenario
from sim.segments import make_segments
from sim.world import Outcome, World, world


def calm(seed: int, stations: int = 4) -> Scenario:
    """A scenario in which nothing but the test goes wrong."""
    return Scenario(
        seed=seed,
        stations=stations,
        minutes=1.0,
        settle_s=200.0,
        segment_size=4,
        islands=False,
        couriers=0,
        stay_s=30.0,
        loss=0.0,
        latency_s=0.01,
        rate=1e6,
        session_s=1e6,
        write_every_s=20.0,
        to_everyone=0.1,
        crash_every_s=1e9,
        partition_every_s=1e9,
        full_every_s=1e9,
        bad_clocks=0.0,
        lost_for_good=0.0,
    )


def judged(scenario: Scenario) -> Outcome:
    with world(scenario) as made:
        return made.run()


def test_a_calm_run_is_well() -> None:
    outcome = judged(calm(1))
    assert outcome.faults == ()
    assert outcome.settled_s is not None
    assert outcome.figures["deliveries"] >= outcome.figures["messages"] > 0


def test_nothing_that_is_due_waits() -> None:
    def late() -> list[str]:
        at = {board: board.station.next_wakeup(board.now) for board in made.boards}
        return [
            board.name
            for board, due in at.items()
            if due is not None and due <= board.now.monotonic
        ]

    with world(calm(7)) as made:
        for board in made.boards:
            board.start()
        made.people.begin()
        for _ in range(600):
            made.time.run(0.1)
            if late():
                made.time.run(2 * made.scenario.arm_s)
            assert late() == []


def test_a_store_that_loses_messages_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(_: object, operation: ports.SaveIncoming) -> ports.Incoming:
        receipts = () if operation.receipt is None else (operation.receipt.raw,)
        return ports.Incoming(new=True, receipts=receipts)

    monkeypatch.setitem(WRITES, ports.SaveIncoming, lose)
    with world(calm(2)) as made:
        for board in made.boards:
            made.time.after(55.0, lambda b=board: b.die(power=True))  # type: ignore[misc]
        (fault,) = made.run().faults
    assert "has lost a message that it had stored" in fault


def test_what_never_arrives_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object, __: ports.SaveIncoming) -> ports.Incoming:
        raise ports.StoreError("refused", "never")

    monkeypatch.setitem(WRITES, ports.SaveIncoming, refuse)
    faults = judged(calm(3)).faults
    assert any(fault.startswith("lost: ") for fault in faults)


def test_an_author_who_is_never_told_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WRITES, ports.SaveReceipt, lambda _, __: ())
    faults = judged(calm(4)).faults
    assert any(fault.startswith("not confirmed: ") for fault in faults)


def test_a_receipt_without_the_message_is_noticed() -> None:
    with world(calm(5)) as made:
        stop_keeping(made)
        (fault,) = made.run().faults
    assert "is shown as DELIVERED, but" in fault


def stop_keeping(made: World) -> None:
    """Let all that is on disk be forgotten by whoever judges, at once."""
    for board in made.boards:
        board.disk.kept = Forgetful()


class Forgetful(set[bytes]):
    """Keeps nothing."""

    def add(self, _: bytes, /) -> None:
        pass


def test_a_core_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setitem(WRITES, ports.SaveStation, fail)
    (fault,) = judged(calm(6)).faults
    assert "failed: RuntimeError: no" in fault
    assert "in Disk._write" in fault


def test_what_is_sealed_by_the_seed_is_opened_by_the_real_thing() -> None:
    private = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    prekey = Prekey(b"12345678", private.public_key().public_bytes_raw())
    author, recipient = (StationKey.from_bytes(bytes([n]) * 32).id for n in (1, 2))

    def sealed() -> bytes:
        with seeded(7):
            return seal(
                b"hello", author=author, recipient=recipient, kind=RecordKind.MESSAGE, prekey=prekey
            )

    assert sealed() == sealed()
    opened = open_sealed(
        sealed(),
        author=author,
        recipient=recipient,
        kind=RecordKind.MESSAGE,
        prekey_id=prekey.id,
        secret=Secret(private.private_bytes_raw()),
    )
    assert opened == b"hello"


@pytest.mark.parametrize("seed", range(20))
def test_all_links_hang_together_unless_they_are_islands(seed: int) -> None:
    rng = random.Random(seed)
    for islands in (False, True):
        homes = make_segments(20, 4, islands=islands, rng=rng)
        assert set().union(*homes) == set(range(20))
        groups = [set(home) for home in homes]
        joined: list[set[int]] = []
        for group in groups:
            touching = [other for other in joined if other & group]
            joined = [other for other in joined if not other & group]
            joined.append(group.union(*touching))
        assert len(joined) == (2 if islands else 1)
