"""What the operators of `mail_world` do in groups, and what they see there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mail_world import Desk, World

from appliance.model.group import GroupId
from appliance.model.group_change import History
from appliance.node.group_news import GroupResult
from appliance.node.group_state import Group, Standing
from appliance.node.groups import Groups
from appliance.node.ports import GetMessages, Moment, StoredMessage
from appliance.node.writing import Draft

TO_THE_END = (1 << 63) - 1


def all_meet(w: World) -> None:
    """Everybody has a session with everybody."""
    for number, one in enumerate(w.desks):
        for other in w.desks[number + 1 :]:
            if not any(one in link.ends and other in link.ends for link in w.links):
                w.connect(one, other)
    w.settle()


def know_each_other(w: World) -> None:
    """Their operators have written to each other once."""
    for one in w.desks:
        for other in w.desks:
            if one is not other:
                one.write(other, "hello")
    w.settle()


def part(w: World, *island: Desk) -> None:
    """Cut whatever joins these with the rest."""
    for link in list(w.links):
        if len(set(link.ends) & set(island)) == 1:
            w.cut(link)
    w.settle()


def friends(w: World) -> None:
    """All have a session, and none is a stranger to another."""
    all_meet(w)
    know_each_other(w)


def act(desk: Desk, wish: Callable[[Groups, Moment], GroupResult]) -> list[GroupId]:
    """Carry out a wish; what is returned gets the group when that is on disk."""
    done: list[GroupId] = []
    now = desk.now
    desk.carry_out(
        desk.station.post.groups.act(
            lambda groups: wish(groups, now.moment),
            now.moment,
            uptime_s=now.uptime_s,
            done=done.append,
            failed=desk._failed,
        )
    )
    return done


def make(
    desk: Desk, *members: Desk, name: str = "Rescue", history: History = History.NONE
) -> GroupId:
    """Found a group, settled."""
    ids = [member.id for member in members]
    done = act(desk, lambda g, at: g.create(name, at, history=history, invite=ids))
    desk.world.settle()
    return done[0]


def invite(desk: Desk, group: GroupId, *stations: Desk) -> None:
    ids = [station.id for station in stations]
    act(desk, lambda g, at: g.invite(group, ids, at))


def remove(desk: Desk, group: GroupId, station: Desk) -> None:
    act(desk, lambda g, at: g.remove(group, station.id, at))


def accept(desk: Desk, group: GroupId) -> None:
    act(desk, lambda g, at: g.accept(group, at))


def known(desk: Desk, group: GroupId) -> Group | None:
    """What a station knows of a group."""
    return desk.station.post.groups.groups.book.get(group)


def is_in(desk: Desk, group: GroupId) -> bool:
    found = known(desk, group)
    return found is not None and found.standing is Standing.IN


def write(desk: Desk, group: GroupId, text: str, **more: Any) -> None:
    """Write to a group."""
    draft = Draft(group, text, **more)
    desk.carry_out(
        desk.station.write(draft, desk.now, done=desk.confirmed.append, failed=desk._failed)
    )


def conversation(desk: Desk, group: GroupId) -> tuple[StoredMessage, ...]:
    found = desk._read(GetMessages(group, False, None, 10_000))
    assert isinstance(found, tuple)
    return found


def texts(desk: Desk, group: GroupId) -> list[str]:
    """What was written in a group, by whomever."""
    return [one.text for one in conversation(desk, group) if not one.notice]


def notices(desk: Desk, group: GroupId) -> list[str]:
    return [one.text for one in conversation(desk, group) if one.notice]


def read_all(desk: Desk, group: GroupId) -> None:
    now = desk.now
    desk.carry_out(
        desk.station.mailbox.mark_read(
            group,
            TO_THE_END,
            now.moment,
            uptime_s=now.uptime_s,
            done=lambda _: None,
            failed=desk._failed,
        )
    )


def carried_to(desk: Desk, group: GroupId) -> int:
    """How many messages to a group a station carries."""
    (count,) = desk.db.execute(
        "SELECT count(*) FROM carried WHERE recipient = ?", (b"g" + group.value,)
    ).fetchone()
    assert isinstance(count, int)
    return count
