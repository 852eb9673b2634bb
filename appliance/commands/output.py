"""What commands print: text for people, JSON for programs, errors for both.

What others wrote is never passed to the terminal as it is: control characters could rewrite the
screen, and direction marks could make one name look like another.
"""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Sequence
from typing import Final

from appliance.api.errors import ClientError, NotRunning, RequestError
from appliance.api.jsonable import to_json
from appliance.api.schema import CallInfo, Station, WallTime
from appliance.commands import exits

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that a terminal acts upon, or shows nothing for."""

_JOINERS: Final = frozenset("\u200c\u200d")
"""Invisible, but writing in Persian, Hindi or emoji needs them; they only bind two neighbours."""

_STATION_CODES: Final = frozenset(
    {
        "unknown-station",
        "ambiguous-station",
        "unknown-group",
        "ambiguous-group",
        "ambiguous-name",
    }
)


class Failure(Exception):  # noqa: N818 - it is how a command ends, with words and an exit code
    """A command can't go on; says what happened, what to do, and the exit code."""

    def __init__(self, text: str, fix: str = "", *, code: int = exits.FAILED) -> None:
        super().__init__(text)
        self.text = text
        self.fix = fix
        self.code = code


class Output:
    """Where a command writes to."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def line(self, text: str = "") -> None:
        """Print a line of ours for people; `visible` has been applied to what others wrote."""
        if not self.as_json:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def json(self, value: object) -> None:
        """Print a shape of the API for programs, on one line."""
        if self.as_json:
            sys.stdout.write(json.dumps(to_json(value)) + "\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        """Tell people something that is no result."""
        if not self.as_json:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def error(self, text: str, fix: str, code: str) -> None:
        """Print why a command failed."""
        if self.as_json:
            body = {"error": {"code": code, "text": text, "fix": fix}}
            sys.stderr.write(json.dumps(body) + "\n")
        else:
            sys.stderr.write(visible(f"{text} {fix}".strip()) + "\n")

    def failed(self, error: ClientError | Failure) -> int:
        """Print an error and return its exit code."""
        if isinstance(error, Failure):
            self.error(error.text, error.fix, "failed")
            return error.code
        if isinstance(error, NotRunning):
            self.error(error.text, error.fix, "not-running")
            return exits.NOT_RUNNING
        code = error.code if isinstance(error, RequestError) else "failed"
        self.error(error.text, error.fix, code)
        return exits.NO_STATION if code in _STATION_CODES else exits.FAILED


def visible(text: str) -> str:
    """Return text with whatever a terminal would act upon replaced; tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in _JOINERS or unicodedata.category(character) not in _UNSEEN
        else "    "
        if character == "\t"
        else "\ufffd"
        for character in text
    )


def paragraphs(text: str, *, indent: str) -> str:
    """Return a message's lines, further ones indented so that none of them passes for ours."""
    return f"\n{indent}".join(visible(line) for line in text.splitlines() or [""])


def label(station: Station) -> str:
    """Return a station's name; unless verified with a question mark and its tag."""
    name = visible(station.name)
    return name if station.trust == "verified" else f"{name}? ·{station.tag}"


def clock(moment: WallTime) -> str:
    """Return a time of day, with its date unless today; ~ where the clock was not sure."""
    try:
        local, today = time.localtime(moment.ms / 1000), time.localtime()
    except (OverflowError, OSError, ValueError):
        return "~ at some time"
    same_day = local[:3] == today[:3]
    shown = time.strftime("%H:%M" if same_day else "%Y-%m-%d %H:%M", local)
    return shown if moment.sure else f"~{shown}"


def number(digits: str) -> str:
    """Return a seven-digit number as it is read: 482-0193."""
    return f"{digits[:3]}-{digits[3:]}" if len(digits) == 7 else visible(digits)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with their columns under each other."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def duration(seconds: float) -> str:
    """Return 2:14 or 1:02:14."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def caller(call: CallInfo) -> str:
    """Return the other side of a call with its tag: how far it is trusted is not known here."""
    return f"{visible(call.name)} ·{call.station[:4]}"
