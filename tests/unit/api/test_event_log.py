"""The ring of events and its cursors."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from appliance.api.event_log import EventLog
from appliance.api.schema import Event, Problem


def problem(text: str) -> Problem:
    return Problem("x", text, "")


async def take(log: EventLog, cursor: str | None, count: int) -> list[Event]:
    taken: list[Event] = []
    async with asyncio.timeout(5), aclosing(log.follow(cursor)) as events:
        while len(taken) < count:
            taken.append(await anext(events))
    return taken


async def test_a_reader_goes_on_where_it_was() -> None:
    log = EventLog("b1")
    for number in range(5):
        log.publish("alarm", problem(str(number)))
    taken = await take(log, "b1-2", 3)
    assert [event.data["text"] for event in taken] == ["2", "3", "4"]
    assert taken[-1].cursor == log.cursor == "b1-5"


async def test_a_new_reader_is_told_to_load_everything_and_waits_for_more() -> None:
    log = EventLog("b1")
    log.publish("links")
    async with aclosing(log.follow(None)) as events:
        first = await anext(events)
        assert (first.type, first.cursor, first.data) == ("reset", "b1-1", {})
        upcoming = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        assert not upcoming.done()
        log.publish("alarm", problem("now"))
        assert (await upcoming).data["text"] == "now"


async def test_whoever_fell_behind_or_knew_another_boot_starts_anew() -> None:
    log = EventLog("b2", max_events=3)
    for number in range(10):
        log.publish("alarm", problem(str(number)))
    foreign = ("b2-6", "b1-9", "b2-11", "b2-x", "b2-\u0663", "", "-", "b2-" + "9" * 5000)
    for cursor in foreign:
        assert [event.type for event in await take(log, cursor, 1)] == ["reset"], cursor
    assert [event.data["text"] for event in await take(log, "b2-7", 3)] == ["7", "8", "9"]


async def test_a_reader_that_is_overtaken_while_it_reads_is_told() -> None:
    log = EventLog("b1", max_events=2)
    async with aclosing(log.follow("b1-0")) as events:
        log.publish("links")
        assert (await anext(events)).cursor == "b1-1"
        for _ in range(5):
            log.publish("links")
        first = await anext(events)
        assert (first.type, first.cursor) == ("reset", "b1-6")


async def test_long_messages_push_old_events_out_and_one_always_stays() -> None:
    log = EventLog("b1", max_text_chars=100)
    for size in (40, 40, 40):
        log.publish("alarm", problem("x" * size))
    assert [event.type for event in await take(log, "b1-0", 1)] == ["reset"]
    assert len(await take(log, "b1-1", 2)) == 2
    log.publish("alarm", problem("x" * 1000))
    assert len(await take(log, "b1-3", 1)) == 1
