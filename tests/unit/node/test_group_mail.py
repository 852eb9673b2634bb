"""Groups over the mail: real stations, stores and sessions, in virtual time."""

import pytest
from group_desks import (
    accept,
    act,
    all_meet,
    carried_to,
    conversation,
    friends,
    invite,
    is_in,
    known,
    make,
    notices,
    part,
    read_all,
    remove,
    texts,
    write,
)
from mail_world import Desk, world
from prekey_disk import PrekeyDisk

from appliance.model.group import GroupId
from appliance.model.group_change import History
from appliance.model.message import DeliveryState
from appliance.node import group_asks
from appliance.node.group_mail import LOOK_AGAIN_S
from appliance.node.group_state import GRACE_S, USE_S, Standing
from appliance.node.ports import CountUnread

DELIVERED, READ = DeliveryState.DELIVERED, DeliveryState.READ


def of(desk: Desk, group: GroupId, text: str) -> dict[Desk, DeliveryState]:
    (message,) = [one for one in conversation(desk, group) if one.text == text]
    by_id = {one.id: one for one in desk.world.desks}
    return {by_id[one.station]: one.state for one in message.recipients}


def test_a_group_is_made_and_written_in() -> None:
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        group = make(a, b, c)
        assert all(is_in(one, group) for one in w.desks)
        write(a, group, "to the mill")
        w.settle()
        write(b, group, "on our way")
        w.settle(2.0)
        assert all(texts(one, group) == ["to the mill", "on our way"] for one in w.desks)
        assert of(a, group, "to the mill") == {b: DELIVERED, c: DELIVERED}
        assert of(b, group, "on our way") == {a: DELIVERED, c: DELIVERED}
        assert carried_to(a, group) == carried_to(b, group) == carried_to(c, group) == 0
        read_all(c, group)
        w.settle()
        assert of(a, group, "to the mill") == {b: DELIVERED, c: READ}


def test_what_happens_is_noted_and_counts_as_unread_for_others_only() -> None:
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        b.read_all()
        c.read_all()
        w.settle()
        group = make(a, b)
        invite(a, group, c)
        act(a, lambda g, at: g.rename(group, "Search", at))
        w.settle()
        name, tag = b.station.directory.get(c.id).name, c.id.tag
        maker = f"{a.station.name} ·{a.id.tag}"
        assert notices(b, group) == [
            f"{maker} brought you into the group Rescue.",
            f"{maker} brought in {name} ·{tag}.",
            f"{maker} named the group Search.",
        ]
        assert notices(a, group)[-1] == "You named the group Search."
        assert b._read(CountUnread()).get(group) == 3
        assert a._read(CountUnread()).get(group) is None
        read_all(b, group)
        w.settle()
        assert b._read(CountUnread()).get(group) is None
        assert b.db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_a_member_that_is_away_gets_all_of_it_later() -> None:
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        group = make(a, b)
        part(w, c)
        invite(a, group, c)
        w.settle()
        write(b, group, "one")
        write(a, group, "two")
        w.settle(8.0)
        assert texts(c, group) == []
        w.connect(b, c)
        w.settle(30.0)
        assert is_in(c, group)
        assert sorted(texts(c, group)) == ["one", "two"]
        w.settle(90.0)
        assert of(b, group, "one") == {a: DELIVERED, c: DELIVERED}


def test_who_carries_for_a_group_needs_not_be_in_it_and_lets_go_when_all_have_it() -> None:
    with world(desks=4) as w:
        friends(w)
        a, b, c, d = w.desks
        group = make(a, b, c)
        part(w, a)
        part(w, d)
        write(a, group, "from afar")
        w.settle(8.0)
        link = w.connect(a, d)
        w.settle(2.0)
        assert carried_to(d, group) == 1
        assert texts(d, group) == []
        assert known(d, group) is None
        w.cut(link)
        w.connect(d, b)
        w.settle(8.0)
        assert texts(b, group) == texts(c, group) == ["from afar"]
        assert carried_to(d, group) == 1
        w.connect(a, d)
        w.settle(30.0)
        assert of(a, group, "from afar") == {b: DELIVERED, c: DELIVERED}
        assert all(carried_to(one, group) == 0 for one in w.desks)


def test_who_is_removed_while_all_are_apart_reads_nothing_under_the_new_key() -> None:
    with world(desks=4) as w:
        friends(w)
        a, b, c, d = w.desks
        group = make(a, b, c, d)
        part(w, a, b)
        remove(a, group, d)
        w.settle()
        write(b, group, "without d")
        write(c, group, "with d still")
        w.settle(8.0)
        assert "with d still" in texts(d, group)
        all_meet(w)
        w.settle(60.0)
        write(c, group, "after")
        w.settle(8.0)
        assert "without d" not in texts(d, group)
        assert "after" not in texts(d, group)
        for one in (a, b, c):
            assert set(texts(one, group)) == {"without d", "with d still", "after"}
            found = known(one, group)
            assert found is not None
            assert set(found.members) == {a.id, b.id, c.id}
        removed = known(d, group)
        assert removed is not None
        assert removed.standing is Standing.OUT
        assert notices(d, group)[-1] == f"{a.station.name} ·{a.id.tag} removed you."


def test_an_invitation_by_a_stranger_waits_and_so_does_what_is_written() -> None:
    with world(desks=2) as w:
        a, b = w.desks
        group = make(a, b)
        write(a, group, "come in")
        w.settle(8.0)
        found = known(b, group)
        assert found is not None
        assert found.standing is Standing.INVITED
        assert texts(b, group) == []
        assert notices(b, group)[0].endswith("Accept or decline.")
        b.crash()
        b.start()
        w.connect(a, b)
        w.settle()
        accept(b, group)
        w.settle(8.0)
        assert texts(b, group) == ["come in"]
        assert of(a, group, "come in") == {b: DELIVERED}


@pytest.mark.parametrize("history", [History.ALL, History.NONE])
def test_a_new_member_gets_what_was_written_before_if_the_group_says_so(history: History) -> None:
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        group = make(a, b, history=history)
        write(a, group, "one")
        write(b, group, "two")
        w.settle()
        invite(a, group, c)
        w.settle(8.0)
        write(a, group, "three")
        w.settle(8.0)
        before = {"one", "two"} if history is History.ALL else set()
        assert set(texts(c, group)) == {"three"} | before


def destroy_keys(desk: Desk, group: GroupId) -> None:
    """Let the time of all keys be over here."""
    found = known(desk, group)
    assert found is not None
    desk.station.post.groups.groups.book.set(found, found.without_keys(), desk.now.moment)


def test_what_was_sealed_to_a_destroyed_key_is_sealed_to_another() -> None:
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        group = make(a, b, c)
        part(w, b)
        part(w, c)
        write(a, group, "late")
        w.settle(8.0)
        for one in (b, c):
            destroy_keys(one, group)
        all_meet(w)
        w.settle(60.0)
        assert texts(b, group) == texts(c, group) == ["late"]
        assert of(a, group, "late") == {b: DELIVERED, c: DELIVERED}
        keys = known(a, group)
        assert keys is not None
        assert len(keys.keys) == 2


def test_who_has_destroyed_several_keys_is_not_sent_one_after_the_other_without_end() -> None:
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        group = make(a, b, c)
        found = known(a, group)
        assert found is not None
        act(a, lambda g, at: g.book.set(found, found, at, new_key=True))  # as two writers would
        w.settle()
        destroy_keys(c, group)
        write(a, group, "late")
        w.settle(60.0)
        assert texts(c, group) == ["late"]
        assert of(a, group, "late") == {b: DELIVERED, c: DELIVERED}
        assert a.db.execute("SELECT count(*) FROM resealed").fetchone()[0] <= 2


def test_what_was_sealed_to_a_key_that_nobody_has_is_sealed_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_asks, "FIRST_ASK_S", 1.0)
    monkeypatch.setattr(group_asks, "LAST_ASK_S", 4.0)
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        group = make(a, b, c)
        part(w, c)
        destroy_keys(a, group)
        write(a, group, "late")
        w.settle(8.0)
        # By the time they meet c can't open the note with the key, and a has destroyed it.
        destroy_keys(a, group)
        c.crash()
        c.prekeys = PrekeyDisk(bytes(8), bytes([99]) * 32, created_s=w.now_s)
        c.start()
        all_meet(w)
        w.settle(90.0)
        assert texts(b, group) == texts(c, group) == ["late"]
        assert of(a, group, "late") == {b: DELIVERED, c: DELIVERED}


def test_a_group_that_can_not_be_forgotten_now_is_not_tried_without_end() -> None:
    with world(desks=2) as w:
        friends(w)
        a, b = w.desks
        group = make(a, b)
        act(b, lambda g, at: g.leave(group, at))
        w.settle()
        b.disk_full = True
        w.now_s += USE_S + GRACE_S + 60.0
        w.pass_time(0.25)
        while w.step():
            pass
        assert b.station.post.groups.next_wakeup() > b.now.moment.awake_s
        b.disk_full = False
        w.settle(LOOK_AGAIN_S + 1.0)
        assert known(b, group) is None
        assert b.db.execute("SELECT count(*) FROM groups").fetchone() == (0,)


def test_a_full_disk_refuses_and_nothing_of_it_happened() -> None:
    with world(desks=2) as w:
        friends(w)
        a, b = w.desks
        group = make(a, b)
        before = known(a, group)
        a.disk_full = True
        assert act(a, lambda g, at: g.rename(group, "Search", at)) == []
        write(a, group, "no room")
        w.settle()
        assert known(a, group) is before
        a.disk_full = False
        write(a, group, "room")
        w.settle()
        assert texts(b, group) == ["room"]


def test_a_message_takes_along_what_the_disk_has_refused() -> None:
    with world(desks=2) as w:
        friends(w)
        a, b = w.desks
        group = make(a, b)
        a.disk_full = True
        act(a, lambda g, at: g.rename(group, "One", at))
        act(a, lambda g, at: g.rename(group, "Two", at))  # so the first is not undone
        w.settle()
        a.disk_full = False
        found = known(a, group)
        write(a, group, "room")
        w.settle()
        assert found is not None
        a.crash()
        a.start()
        kept = known(a, group)
        assert kept is not None
        assert kept.name == found.name


@pytest.mark.parametrize("seed", range(3))
def test_crashes_and_cuts_anywhere_lose_nobody_and_nothing(seed: int) -> None:
    with world(seed, desks=4) as w:
        friends(w)
        a, b, c, d = w.desks
        group = make(a, b, c)
        act(a, lambda g, at: g.appoint(group, b.id, at))
        w.settle()
        part(w, a)
        invite(a, group, d)
        remove(b, group, c)
        said: list[str] = []
        for turn in range(12):
            one = w.rng.choice([a, b])
            said.append(f"{turn}")
            write(one, group, said[-1])
            for _ in range(w.rng.randrange(60)):
                w.step()
            if turn % 3 == 2:
                broken = w.rng.choice(w.desks)
                broken.crash()
                broken.start()
                for other in w.desks:
                    together = any({broken, other} <= set(link.ends) for link in w.links)
                    if other is not broken and w.rng.random() < 0.7 and not together:
                        w.connect(broken, other)
        stored = {m.text for desk in (a, b) for m in desk.confirmed if m.conversation == group}
        all_meet(w)
        w.settle(400.0)
        for one in (a, b, d):
            found = known(one, group)
            assert found is not None
            assert set(found.members) == {a.id, b.id, d.id}
        for one in (a, b):
            assert stored <= set(texts(one, group)), seed
            assert len(texts(one, group)) == len(set(texts(one, group)))
        by_b = {one.text for one in b.confirmed if one.conversation == group}
        assert not by_b & set(texts(c, group))  # it was removed before
        for author in (a, b):
            for message in conversation(author, group):
                if message.outgoing:
                    behind = [r.station for r in message.recipients if r.state < DELIVERED]
                    assert set(behind) <= {c.id}, (seed, message.text)


def test_a_note_that_was_sealed_to_a_destroyed_prekey_is_told_anew() -> None:
    with world(desks=3) as w:
        friends(w)
        a, b, c = w.desks
        group = make(a, b)
        part(w, c)
        a.write(c, "kept too")
        invite(a, group, c)
        w.settle()
        write(b, group, "where is c?")
        w.settle(8.0)
        c.crash()
        c.prekeys = PrekeyDisk(bytes(8), bytes([99]) * 32, created_s=w.now_s)
        c.start()
        w.connect(c, b)
        w.settle(8.0)
        w.connect(c, a)
        w.settle(60.0)
        assert is_in(c, group)
        assert "kept too" in c.inbox()
        assert texts(c, group) == ["where is c?"]
        assert of(b, group, "where is c?") == {a: DELIVERED, c: DELIVERED}
        waiting = a.db.execute("SELECT station FROM outbox").fetchall()
        assert (c.id.key,) not in waiting
