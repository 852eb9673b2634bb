"""Messages sealed to a prekey that is destroyed: asked for again, and nothing is lost."""

import sqlite3

import pytest
from mail_world import Desk, World, world
from prekey_disk import PrekeyDisk

from appliance.model.card import Prekey
from appliance.model.identity import Address
from appliance.model.message import DeliveryState, Reseal, Text
from appliance.model.record import Certainty, Record, RecordKind, Stamp, make_record, read_record
from appliance.node import resealing
from appliance.node.ports import Pending
from appliance.protocol.frames import Channel
from appliance.protocol.sealing import seal

DELIVERED, READ = DeliveryState.DELIVERED, DeliveryState.READ
STAMP = Stamp(7, bytes(8), 0, 0, Certainty.UNSET)


def new_prekey(desk: Desk, seed: int) -> None:
    """Restart a desk that has destroyed its prekey and has another one."""
    desk.crash()
    desk.prekeys = PrekeyDisk(bytes([seed]) * 8, bytes([seed]) * 32, created_s=desk.world.now_s)
    desk.start()


def waiting(desk: Desk, to: Desk) -> list[Record]:
    found = desk._read(Pending(to.id, desk.now.moment.awake_s, frozenset(), 100))
    return [read_record(raw) for _, raw in found]


def state(desk: Desk) -> list[DeliveryState]:
    return [desk.state_of(one.id) for one in desk.messages() if one.outgoing]


def test_what_was_on_its_way_to_a_destroyed_prekey_is_sealed_again() -> None:
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        a.write(b, "late")
        a.write(b, "urgent", lifetime_s=3600)
        w.settle()
        new_prekey(b, 77)
        w.connect(a, b)
        w.settle(8.0)
        assert sorted(b.inbox()) == ["late", "urgent"]
        assert state(a) == [DELIVERED, DELIVERED]
        assert waiting(a, b) == [] == waiting(b, a)
        b.read_all()
        w.settle()
        assert state(a) == [READ, READ]
        # What is written now is sealed to the new one at once.
        a.write(b, "new")
        w.settle()
        assert "new" in b.inbox()


def test_it_works_over_others_with_no_way_between_the_two() -> None:
    with world(desks=3) as w:
        a, b, c = w.desks
        w.cut(w.links[0])
        link = w.connect(a, c)
        w.settle()
        a.write(b, "carried")
        w.settle(8.0)
        (old,) = waiting(a, b)
        assert c.station.post.carry.knows(old.id)
        new_prekey(b, 78)
        for one, other in ((c, b), (c, a), (c, b), (c, a)):
            w.cut(link)
            link = w.connect(one, other)
            w.settle(8.0)
        assert b.inbox() == ["carried"]
        assert state(a) == [DELIVERED]
        assert waiting(a, b) == []
        # The one that nobody can open is not carried any more.
        carried = c.db.execute(
            "SELECT id FROM records JOIN carried ON carried.record = records.number"
        ).fetchall()
        assert (old.id,) not in carried


@pytest.mark.parametrize("seed", range(12))
def test_crashes_and_further_prekeys_lose_and_repeat_nothing(seed: int) -> None:
    with world(seed) as w:
        a, b = w.desks
        w.cut(w.links[0])
        for number in range(5):
            a.write(b, f"{number}")
        w.settle()
        for turn in range(4):
            new_prekey(b, 80 + turn)
            if w.rng.random() < 0.5:
                a.crash()
                a.start()
            link = w.connect(a, b)
            for _ in range(w.rng.randrange(40)):
                w.step()
            if link in w.links:
                w.cut(link)
        w.connect(a, b)
        w.settle(200.0)
        assert sorted(b.inbox()) == list("01234")
        assert state(a) == [DELIVERED] * 5


def unopenable(author: Desk, to: Desk, number: int) -> Record:
    prekey = Prekey(number.to_bytes(8, "big"), author.prekey.public)
    content = seal(
        Text(author.id, f"{number}").encode(),
        author=author.id,
        recipient=to.id,
        kind=RecordKind.MESSAGE,
        prekey=prekey,
    )
    return make_record(
        author.key,
        RecordKind.MESSAGE,
        content,
        stamp=STAMP,
        to=(Address(to.id),),
        prekey=prekey.id,
    )


def tell(w: World, sender: Desk, to: Desk, record: Record) -> None:
    (session,) = to.station.peers.sessions()
    to.carry_out(
        to.station.message_received(session.handle, sender.id, Channel.RECORD, record.raw, to.now)
    )


def test_who_sends_only_what_can_not_be_opened_gets_few_answers() -> None:
    with world() as w:
        a, b = w.desks
        for number in range(3 * resealing.ASKED):
            tell(w, a, b, unopenable(a, b, number))
            tell(w, a, b, unopenable(a, b, number))
        asked = len(b.operations)
        assert resealing.ASKED <= asked <= resealing.ASKED + 2
        w.settle(0.5)
        assert b.inbox() == []


def test_nobody_can_have_sealed_again_what_is_not_his() -> None:
    with world(desks=3) as w:
        a, b, c = w.desks
        w.connect(a, c)
        w.settle()
        w.cut(w.links[0])
        a.write(b, "for b alone")
        w.settle()
        (record,) = waiting(a, b)
        request = make_record(
            c.key,
            RecordKind.RESEAL,
            Reseal(c.prekey, (record.id, bytes(32))).encode(),
            stamp=STAMP,
            to=(Address(a.id),),
        )
        tell(w, c, a, request)
        w.settle(8.0)
        assert waiting(a, c) == []
        assert [one.id for one in waiting(a, b)] == [record.id]
        assert c.inbox() == []


def test_an_author_who_has_lost_what_was_sealed_again_hears_that_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resealing, "ASK_AGAIN_S", 60.0)
    with world() as w:
        a, b = w.desks
        w.cut(w.links[0])
        a.write(b, "late")
        w.settle()
        backup = sqlite3.connect(":memory:", isolation_level=None)
        a.db.backup(backup)
        new_prekey(b, 77)
        w.connect(a, b)
        w.settle(8.0)
        assert state(a) == [DELIVERED]
        a.crash()
        w.settle()
        a.db = backup
        a.told.clear()
        a.start()
        w.connect(a, b)
        w.settle(200.0)
        assert b.inbox() == ["late"]
        assert state(a) == [DELIVERED]
        assert waiting(a, b) == [] == waiting(b, a)
