"""What a group tells its new members is told once, and what was forgotten again."""

from __future__ import annotations

from group_desks import friends, invite, is_in, known, make, remove, texts, write
from mail_world import Desk, world

from appliance.adapters.store.operations import WRITES
from appliance.model.group_change import History
from appliance.node.own_card import RESTORED_VALUE
from appliance.node.ports import SetValue


def test_history_that_a_new_member_has_waits_for_it_no_more() -> None:
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        group = make(a, b, history=History.ALL)
        write(a, group, "one")
        write(b, group, "two")
        w.settle()
        invite(a, group, c)
        w.settle(160.0)
        assert set(texts(c, group)) == {"one", "two"}
        for desk in (a, b):
            waiting = desk.db.execute("SELECT * FROM outbox WHERE station = ?", (c.id.key,))
            assert waiting.fetchall() == []


def restore(desk: Desk, backup: bytes) -> None:
    """Start again from a database of an older day, as `backup --restore` puts it in place."""
    desk.crash()
    desk.db.deserialize(backup)
    WRITES[SetValue](desk.db, SetValue(RESTORED_VALUE, b"{}"))
    desk.start()


def test_a_restored_member_hears_what_was_done_since() -> None:
    with world(desks=4) as w:
        friends(w)
        a, b, c, d = w.desks
        group, other = make(a, b, c), make(c, b)
        w.settle()
        backup = b.db.serialize()
        remove(a, group, b)
        invite(c, other, d)
        w.settle(30.0)
        restore(b, backup)
        assert is_in(b, group)
        for one in (a, c, d):
            w.connect(b, one)
        w.settle(5.0)
        assert not is_in(b, group)
        mine, theirs = known(b, other), known(c, other)
        assert mine is not None
        assert theirs is not None
        assert d.id in mine.members
        assert mine.members == theirs.members
        write(b, other, "is d here?")
        w.settle(5.0)
        assert texts(c, other) == ["is d here?"]
