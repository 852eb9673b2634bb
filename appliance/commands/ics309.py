"""A communications log with the fields of FEMA's form ICS 309, as CSV and as a page that prints.

Text and names are others' words.  In CSV nothing of them begins a formula, a row or a cell of its
own, also where a program takes the semicolon for what parts cells; in HTML all of it is escaped,
and the page may load nothing.  What a terminal would act upon, and what turns the direction of
writing, is replaced in both; `jsonl` has every text as it is.
"""

from __future__ import annotations

import csv
import io
import re
import time
from dataclasses import dataclass
from html import escape
from typing import Final, Protocol

from appliance.api.schema import EVERYONE, Message, Station, Status, WallTime
from appliance.commands.export_period import shown_time
from appliance.commands.output import label, number, visible

TITLE: Final = "Communications Log (ICS 309)"
COLUMNS: Final = ("Time", "From", "To", "Subject/Message")
_UNSURE: Final = "~ before a time: the station's clock was not sure."

_FORMULA: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""What begins a formula in spreadsheets, in full width too: for a regular expression."""

_BEGINS_FORMULA: Final = re.compile(rf"[\s\"']*[{_FORMULA}]")
_CELL_IN_TEXT: Final = re.compile(rf";(?=[\s\"']*[{_FORMULA}])")
_BYTE_ORDER_MARK: Final = "\ufeff"
"""Without it Excel takes UTF-8 for something else.  Nothing but the title stands on that line."""

_STYLE: Final = """\
@page { margin: 12mm }
body { font: 10pt/1.3 sans-serif; color: #000; background: #fff; margin: 0 auto; max-width: 190mm }
h1 { font-size: 14pt; margin: 0 0 2mm }
table { border-collapse: collapse; width: 100%; margin-bottom: 3mm }
th, td { border: 0.3mm solid #000; padding: 1mm 1.5mm; text-align: left; vertical-align: top }
.head th { width: 32mm }
thead { display: table-header-group }
tr { break-inside: avoid; page-break-inside: avoid }
.log { table-layout: fixed }
.log td { overflow-wrap: anywhere }
.time { width: 30mm }
.who { width: 32mm }
"""


class Writer(Protocol):
    """Makes a file of messages, piece by piece."""

    def begin(self) -> str:
        """Return what comes before the first message."""

    def message(self, message: Message) -> str:
        """Return a message's part."""

    def end(self, count: int) -> str:
        """Return what comes after the last one."""


@dataclass(frozen=True)
class Heading:
    """What stands above the log."""

    station: str
    """Our name, tag and number."""

    operator: str
    """Who kept the log; empty: a line to write on."""

    incident: str
    """Name of the incident; empty: a line to write on."""

    period: str
    """From when to when."""

    prepared: str
    """When the log was made."""

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Return the fields in the order of the form, with their names."""
        return (
            ("Incident", self.incident),
            ("Operational period", self.period),
            ("Station", self.station),
            ("Operator", self.operator),
            ("Prepared", self.prepared),
        )


class Names:
    """What stations are called in a log."""

    def __init__(self, status: Status, stations: tuple[Station, ...]) -> None:
        self._own = status.id
        self._labels = {one.id: label(one) for one in stations}
        self._labels[status.id] = f"{visible(status.name)} ·{status.tag}"

    def author(self, message: Message) -> str:
        """Return who wrote a message."""
        unknown = f"{visible(message.author_name)}? ·{message.author[:4]}"
        return self._labels.get(message.author, unknown)

    def recipient(self, message: Message) -> str:
        """Return whom a message is for."""
        if message.conversation == EVERYONE:
            return EVERYONE
        station = message.conversation if message.outgoing else self._own
        name = self._labels.get(station, f"·{station[:4]}")
        return name if message.line == "console" else f"{name} ({visible(message.line)})"


def heading(
    status: Status,
    *,
    period: tuple[WallTime | None, WallTime | None],
    operator: str = "",
    incident: str = "",
) -> Heading:
    """Return what stands above the log of a station."""
    first, last = (shown_time(end) if end is not None else "" for end in period)
    offset = time.strftime("%z", time.localtime(status.clock.ms / 1000))
    return Heading(
        station=f"{visible(status.name)} ·{status.tag}, {number(status.number)}",
        operator=visible(operator),
        incident=visible(incident),
        period=f"{first} to {last} (UTC{offset[:3]}:{offset[3:]})" if first or last else "",
        prepared=shown_time(status.clock),
    )


def subject(message: Message) -> str:
    """Return how urgent a message is and how far it came; no text of others can pass for it."""
    state: str = message.state if message.outgoing else "received"
    if message.outgoing and message.conversation == EVERYONE and message.delivered_to:
        state = f"{state}: {message.delivered_to}"
    return f"[{message.precedence}, {state}]"


class CsvLog:
    """The log as comma-separated values (RFC 4180)."""

    def __init__(self, above: Heading, names: Names) -> None:
        self._above = above
        self._names = names

    def begin(self) -> str:
        """See `Writer`."""
        above = "".join(_row(name, value) for name, value in self._above.rows())
        return f"{_BYTE_ORDER_MARK}{_row(TITLE)}{above}{_row('Times', _UNSURE)}{_row(*COLUMNS)}"

    def message(self, message: Message) -> str:
        """See `Writer`."""
        return _row(
            shown_time(message.received_at),
            self._names.author(message),
            self._names.recipient(message),
            f"{subject(message)} {message.text}",
        )

    def end(self, count: int) -> str:
        """See `Writer`."""
        return _row(_end_of_log(count))


class HtmlLog:
    """The log as one page, for A4 and Letter; the head of its table comes again on each sheet."""

    def __init__(self, above: Heading, names: Names) -> None:
        self._above = above
        self._names = names

    def begin(self) -> str:
        """See `Writer`."""
        above = "\n".join(
            f"<tr><th>{escape(name)}</th><td dir=auto>{escape(value)}</td></tr>"
            for name, value in self._above.rows()
        )
        classes = ("time", "who", "who", "text")
        columns = "".join(
            f"<th class={of}>{escape(name)}</th>" for of, name in zip(classes, COLUMNS, strict=True)
        )
        return f"""\
<!DOCTYPE html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'">
<meta name=viewport content="width=device-width">
<title>{escape(TITLE)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<h1>{escape(TITLE)}</h1>
<table class=head>
{above}
</table>
<table class=log>
<thead><tr>{columns}</tr></thead>
<tbody>
"""

    def message(self, message: Message) -> str:
        """See `Writer`."""
        lines = message.text.splitlines()
        text = "<br>".join(escape(visible(line)) for line in lines)
        return (
            f"<tr><td>{escape(shown_time(message.received_at))}</td>"
            f"<td dir=auto>{escape(self._names.author(message))}</td>"
            f"<td dir=auto>{escape(self._names.recipient(message))}</td>"
            f"<td>{escape(subject(message))} <bdi>{text}</bdi></td></tr>\n"
        )

    def end(self, count: int) -> str:
        """See `Writer`."""
        return f"""\
</tbody>
</table>
<p>{escape(_end_of_log(count))} {escape(_UNSURE)}</p>
</body>
</html>
"""


def cell(text: str) -> str:
    """Return text for a cell of CSV: one line, and never a formula."""
    flat = " / ".join(visible(line) for line in text.splitlines())
    guarded = _CELL_IN_TEXT.sub(";'", flat)
    return f"'{guarded}" if _BEGINS_FORMULA.match(guarded) else guarded


def _row(*texts: str) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow([cell(text) for text in texts])
    return line.getvalue()


def _end_of_log(count: int) -> str:
    return f"End of log: {count:,} message{'' if count == 1 else 's'}."
