"""Groups between real daemons, without privileges: over others, and while the village is parted."""

from __future__ import annotations

from functools import partial

import pytest
from seats import Seat, eventually
from test_couriers import line

from appliance.api.errors import RequestError

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


async def is_in(seat: Seat, group: str, *members: Seat) -> bool:
    """Whether just these are in a group, as one of them knows it."""
    try:
        found = await seat.client.group(group)
    except RequestError:
        return False
    return {one.id for one in found.members} == {member.id for member in members}


async def texts(seat: Seat, group: str) -> set[str]:
    """What people wrote in a group."""
    page = await seat.client.messages(group)
    return {message.text for message in page.messages if not message.notice}


async def has(seat: Seat, group: str, *wanted: str) -> bool:
    """Whether all of these have come."""
    return set(wanted) <= await texts(seat, group)


async def test_a_member_is_removed_while_the_village_is_parted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with line(tmp_path_factory.mktemp("v"), "line:4") as seats:
        a, b, c, d = all_ = tuple(seats.values())
        village = a.village
        for seat in all_:
            for other in all_:
                if other is not seat:  # an operator is not brought into groups by strangers
                    await seat.client.send(other.id, "hello")
        group = (await a.client.make_group("Rescue", [b.id, c.id, d.id], history="none")).id
        for seat in all_:
            await eventually(partial(is_in, seat, group, *all_))
        first = await d.client.send(group, "All here.")
        for seat in (a, b, c):
            await eventually(partial(has, seat, group, "All here."))
        await eventually(partial(d.message_in, first.id, "delivered"))

        village.link("b", "c", up=False)
        await eventually(partial(b.misses, c))
        await a.client.remove_member(group, d.id)
        await eventually(partial(is_in, b, group, a, b, c))
        secret = await b.client.send(group, "Not for d.")
        await eventually(partial(has, a, group, "Not for d."))
        late = await c.client.send(group, "We know nothing yet.")
        await eventually(partial(has, d, group, "We know nothing yet."))

        village.link("b", "c", up=True)
        for seat in (a, b, c):
            await eventually(partial(is_in, seat, group, a, b, c))
            await eventually(partial(has, seat, group, "Not for d.", "We know nothing yet."))
        for author, message in ((b, secret), (c, late)):
            await eventually(partial(author.message_in, message.id, "delivered"))
        last = await c.client.send(group, "Now without d.")
        await eventually(partial(c.message_in, last.id, "delivered"))
        assert {one.station for one in (await c.client.message(last.id)).recipients} == {a.id, b.id}

        async def knows_it_is_out() -> bool:
            return (await d.client.group(group)).state == "removed"

        await eventually(knows_it_is_out)
        assert await texts(d, group) == {"All here.", "We know nothing yet."}
        with pytest.raises(RequestError, match="not in this group"):
            await d.client.send(group, "Let me in.")
