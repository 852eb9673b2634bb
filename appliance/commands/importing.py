"""Bringing records from a file, as a neighbour would bring them: import."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Final

from appliance.api.client import Client
from appliance.api.records import MAX_RECORDS, MAX_RECORDS_BYTES, HandedRecord, RecordOutcome
from appliance.api.schema import WallTime
from appliance.commands import exits
from appliance.commands.export_records import AGE, EXPORTED, RECORD
from appliance.commands.output import Failure, Output
from appliance.commands.session import command

MAX_LINE_BYTES: Final = 512 * 1024
"""Of a line: the longest message with its record has less than half of that."""

_BATCH_BYTES: Final = MAX_RECORDS_BYTES * 3 // 4
_MAX_RECORD_CHARS: Final = 128 * 1024
"""96 kB in base64: no record is longer."""

_MAX_SHOWN: Final = 5
"""Lines that are named one by one."""

_MAX_AGE_S: Final = 2**40


class LineError(ValueError):
    """A line holds no record; says why."""


class _Sums:
    """What became of all."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.unsigned = 0
        """Messages without a record."""

        self.wrong: list[tuple[int, str]] = []
        """The first damaged lines."""

    def damaged(self, number: int, why: str) -> None:
        """Count a line that holds nothing of use."""
        self.outcomes["unknown", "damaged"] += 1
        self._name(number, why)

    def note(self, number: int, one: RecordOutcome) -> None:
        """Count what became of a record."""
        self.outcomes[one.kind, one.outcome] += 1
        if one.outcome == "damaged":
            self._name(number, "no record that can be read, or its signature is wrong")

    def _name(self, number: int, why: str) -> None:
        if len(self.wrong) < _MAX_SHOWN:
            self.wrong.append((number, why))

    def of(self, outcome: str, *kinds: str) -> int:
        """Return how many had this outcome."""
        return sum(
            count
            for (kind, became), count in self.outcomes.items()
            if became == outcome and (not kinds or kind in kinds)
        )


@command
async def import_(client: Client, out: Output, args: argparse.Namespace) -> int:
    """Take the records of a file into the running station."""
    now = (await client.status()).clock
    sums = _Sums()
    batch: list[tuple[int, HandedRecord]] = []
    size = 0
    with _opened(args.file) as file:
        for number, line in _lines(file):
            try:
                one = parse(line, now)
            except LineError as error:
                sums.damaged(number, str(error))
                continue
            if one is None:
                sums.unsigned += 1
                continue
            if batch and (len(batch) == MAX_RECORDS or size + len(one.record) > _BATCH_BYTES):
                await _bring(client, batch, sums)
                batch, size = [], 0
            batch.append((number, one))
            size += len(one.record)
    await _bring(client, batch, sums)
    return _tell(out, args.file, sums)


def _opened(name: str) -> AbstractContextManager[IO[bytes]]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: OSError) -> Failure:
    return Failure(f"{name} can't be read: {error.strerror or error}.", "Check the file.")


def _lines(file: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines that hold something with their numbers; None: one that is too long."""
    number = 0
    try:
        while line := file.readline(MAX_LINE_BYTES):
            number += 1
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield number, None
            elif line.strip():
                yield number, line
    except OSError as error:
        raise _unreadable("The file", error) from None


def parse(line: bytes | None, now: WallTime) -> HandedRecord | None:
    """Return the record of a line; None: a message without one.  Raises LineError."""
    if line is None:
        raise LineError(f"longer than {MAX_LINE_BYTES // 1024} kB")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise LineError("no JSON") from None
    if not isinstance(data, dict):
        raise LineError("no JSON object")
    record = data.get(RECORD)
    if record is None and "id" in data and "text" in data:
        return None
    if not isinstance(record, str):
        raise LineError("no record in it")
    if len(record) > _MAX_RECORD_CHARS:
        raise LineError("longer than any record")
    try:
        base64.b64decode(record, validate=True)
    except ValueError:
        raise LineError("its record is no base64") from None
    return HandedRecord(record, _age(data, now))


def _age(data: dict[str, object], now: WallTime) -> int:
    """Return for how long a record has been carried, its time in the file with it.

    Where either clock was not sure, that time is unknown and counts as none: a wrong clock must
    not make a message too old.
    """
    age_s, exported = data.get(AGE, 0), data.get(EXPORTED)
    if type(age_s) is not int or not 0 <= age_s <= _MAX_AGE_S:
        raise LineError(f"{AGE} is no number of seconds")
    if isinstance(exported, dict) and exported.get("sure") is True and now.sure:
        ms = exported.get("ms")
        if type(ms) is int and 0 <= ms < now.ms:
            age_s += (now.ms - ms) // 1000
    return age_s


async def _bring(client: Client, batch: list[tuple[int, HandedRecord]], sums: _Sums) -> None:
    if not batch:
        return
    outcomes = (await client.hand_in([one for _, one in batch])).outcomes
    for (number, _), outcome in zip(batch, outcomes, strict=True):
        sums.note(number, outcome)


_MESSAGES: Final = ("message", "group", "request", "unknown")


def _tell(out: Output, name: str, sums: _Sums) -> int:
    """Say what became of all; return the exit code."""
    out.json(_for_programs(name, sums))
    new, carried, known, damaged = (
        sums.of(outcome, *_MESSAGES) for outcome in ("new", "carried", "known", "damaged")
    )
    total = sums.unsigned + sum(
        count for (kind, _), count in sums.outcomes.items() if kind in _MESSAGES
    )
    out.line(
        f"{_count(total, 'message')}: {new:,} new for you, {carried:,} carried on,"
        f" {known:,} known already, {damaged:,} damaged."
    )
    for kind, noun, what in (
        ("receipt", "receipt", "for messages of yours"),
        ("card", "station", "not known before"),
    ):
        count = sum(n for (of, _), n in sums.outcomes.items() if of == kind)
        if count:
            out.line(
                f"{_count(count, noun)}: {sums.of('new', kind):,} {what},"
                + (f" {sums.of('carried', kind):,} carried on," if kind == "receipt" else "")
                + f" {sums.of('known', kind):,} known already."
            )
    for count, text in (
        (
            sums.of("cannot-open"),
            "for you can't be opened: the key is gone. The author is asked to send it again.",
        ),
        (sums.of("too-old"), "too old: their time is over."),
        (sums.unsigned, "without a signed record, so nobody can tell who wrote it."),
    ):
        if count:
            out.line(f"{count:,} {text}")
    for number, why in sums.wrong:
        out.note(f"Line {number:,}: {why}.")
    all_damaged = sums.of("damaged")
    if all_damaged > len(sums.wrong):
        out.note(f"And {all_damaged - len(sums.wrong):,} more lines.")
    return _verdict(sums, all_damaged)


def _verdict(sums: _Sums, damaged: int) -> int:
    later, full = sums.of("not-now"), sums.of("no-room")
    if later:
        raise Failure(
            f"{later:,} could not be taken just now.",
            "Wait some minutes, make sure that the disk has room, and import the file again.",
        )
    if full:
        raise Failure(
            f"For {full:,} there is no room: little is carried of authors that nobody here knows.",
            "Compare keys with their operators (fencewire verify), or take the file to them.",
        )
    if damaged:
        raise Failure(
            f"{damaged:,} damaged; all the rest was taken.",
            "Export once more where the file comes from.",
        )
    return exits.OK


def _for_programs(name: str, sums: _Sums) -> dict[str, object]:
    kinds: dict[str, dict[str, int]] = {}
    for (kind, outcome), count in sorted(sums.outcomes.items()):
        kinds.setdefault(kind, {})[outcome] = count
    return {
        "file": name,
        "outcomes": kinds,
        "unsigned": sums.unsigned,
        "damaged_lines": [number for number, _ in sums.wrong],
    }


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
