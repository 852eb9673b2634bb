"""What a group tells its new members is told once."""

from __future__ import annotations

from group_desks import friends, invite, make, texts, write
from mail_world import world

from appliance.model.group_change import History


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
