"""Handing records on, in memory: the fake of the `RecordBackend` port."""

from __future__ import annotations

from functools import cached_property

from appliance.api.records import (
    FoundRecords,
    HandedIn,
    HandedOn,
    HandedRecord,
    HandRecords,
    RecordOutcome,
)


class MemoryRecords:
    """Takes all that comes once, and knows what tests give it."""

    def __init__(self) -> None:
        self.brought: list[HandRecords] = []
        self.outcomes: dict[str, RecordOutcome] = {}
        """By record, where it is not a message that is carried on."""

        self.parts: list[tuple[HandedRecord, ...]] = []
        """What this station has for others."""

        self.signed: dict[str, str] = {}
        """Records by the id of their message."""

        self.most_found = 64
        """In one answer."""

    async def hand_in(self, brought: HandRecords) -> HandedIn:
        known = {one.record for batch in self.brought for one in batch.records}
        self.brought.append(brought)
        outcomes = []
        for one in brought.records:
            outcome = self.outcomes.get(one.record, RecordOutcome("message", "carried"))
            if one.record in known:
                outcome = RecordOutcome(outcome.kind, "known")
            known.add(one.record)
            outcomes.append(outcome)
        return HandedIn(tuple(outcomes))

    async def handed_on(self, after: str | None) -> HandedOn:
        place = int(after or 0)
        more = str(place + 1) if place + 1 < len(self.parts) else None
        return HandedOn(self.parts[place] if self.parts else (), more)

    async def find(self, ids: tuple[str, ...]) -> FoundRecords:
        return FoundRecords(tuple(map(self.signed.get, ids[: self.most_found])))


class WithRecords:
    """The part of a backend that has them."""

    @cached_property
    def records(self) -> MemoryRecords:
        return MemoryRecords()
