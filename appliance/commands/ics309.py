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
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final, Protocol

from appliance.api.schema import EVERYONE, Message, Station, Status, WallTime
from appliance.commands.export_period import shown_time
from appliance.commands.output import label, number, visible

TITLE: Final = "Communications Log (ICS 309)"
COLUMNS: Final = ("Time", "From", "To", "Msg", "Subject/Message")
"""A message has one number at both ends, where the form has a column for each."""

_MSG_CHARS: Final = 8
"""Of a message's id."""

_LONG_CHARS: Final = 600
"""A message that is longer may be parted by the end of a sheet."""

_FEW_EMPTY: Final = re.compile(r"\n(?:\s*\n){2,}")
"""Empty lines cost paper, and thousands of them would hide what comes after them."""

_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
"""Of Unicode's bidirectional classes."""

_UNSURE: Final = "~ before a time: the station's clock was not sure."

_FORMULA: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""What begins a formula in spreadsheets, in full width too: for a regular expression."""

_BEGINS_FORMULA: Final = re.compile(rf"[\s\"']*[{_FORMULA}]")
_CELL_IN_TEXT: Final = re.compile(rf";(?=[\s\"']*[{_FORMULA}])")
_BYTE_ORDER_MARK: Final = "\ufeff"
"""Without it Excel takes UTF-8 for something else.  Nothing but the title stands on that line."""

_STYLE: Final = """\
@page { margin: 12mm 12mm 15mm }
@page { @bottom-left { content: "ICS 309"; font: 8pt sans-serif } }
@page { @bottom-right {
  content: "8. Page " counter(page) " of " counter(pages); font: 8pt sans-serif } }
body { font: 10pt/1.3 sans-serif; color: #000; background: #fff; margin: 0 auto; max-width: 184mm }
table { border-collapse: collapse; width: 100%; table-layout: fixed }
th, td { border: 0.3mm solid #000; padding: 1mm 1.5mm; text-align: start; vertical-align: top;
  overflow-wrap: anywhere }
thead { display: table-header-group }
tr { break-inside: avoid; page-break-inside: avoid }
tr.long { break-inside: auto; page-break-inside: auto; orphans: 3; widows: 3 }
caption { font-size: 14pt; font-weight: bold; text-align: left; margin: 0 0 2mm }
small { display: block; font-size: 7.5pt }
.field { font-weight: normal; height: 9mm }
.field bdi { font-weight: bold }
.time { width: 27mm; white-space: nowrap }
.who { width: 28mm }
.msg { width: 19mm }
.log td.msg { font: 8pt/1.6 monospace }
.state { font-weight: bold }
.end { margin-top: 3mm; break-inside: avoid; page-break-inside: avoid }
.end td { height: 12mm }
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
    """When the log was made, which its file does by itself."""

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Return the fields in the order of the form, with their names."""
        return (
            ("1. Incident name and number", self.incident),
            ("2. Operational period", self.period),
            ("3. Station", self.station),
            ("4. Operator", self.operator),
            ("6. Prepared by", self.operator),
            ("7. Date and time prepared", self.prepared),
        )


class Names:
    """What stations are called in a log."""

    def __init__(
        self,
        status: Status,
        stations: tuple[Station, ...],
        groups: Mapping[str, str] | None = None,
    ) -> None:
        """`groups` are labels by the ids of groups."""
        self._own = status.id
        self._groups = groups or {}
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
        if len(message.conversation) > len(self._own):  # a "g", and the id of a group
            unknown = f"group ·{message.conversation[1:5]}"
            return self._groups.get(message.conversation, unknown)
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
    if message.notice:
        return "[notice]"
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
            _number(message),
            "\n".join([f"{subject(message)} {message.text}", *_attached(message)]),
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
        incident, period, station, operator, _, _ = map(_field, self._above.rows())
        classes = ("time", "who", "who", "msg", "text")
        widths = "".join(f"<col class={of}>" for of in classes)
        columns = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
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
<table class=log>
<caption>{escape(TITLE)}</caption>
<colgroup>{widths}</colgroup>
<thead>
<tr><th class=field colspan=4>{incident}</th><th class=field>{period}</th></tr>
<tr><th class=field colspan=4>{station}</th><th class=field>{operator}</th></tr>
<tr>{columns}</tr>
</thead>
<tbody>
"""

    def message(self, message: Message) -> str:
        """See `Writer`."""
        long = " class=long" if len(message.text) > _LONG_CHARS else ""
        return (
            f"<tr{long}><td class=time>{_date_over_time(message)}</td>"
            f"<td dir=auto>{escape(self._names.author(message))}</td>"
            f"<td dir=auto>{escape(self._names.recipient(message))}</td>"
            f"<td class=msg>{escape(_number(message))}</td>"
            f"<td><span class=state>{escape(subject(message))}</span>"
            f"{_body(message)}</td></tr>\n"
        )

    def end(self, count: int) -> str:
        """See `Writer`."""
        *_, who, when = map(_field, self._above.rows())
        return f"""\
</tbody>
</table>
<table class=end>
<tr><td>{who}</td><td>{when}</td></tr>
</table>
<p>{escape(_end_of_log(count))} {escape(_UNSURE)}</p>
</body>
</html>
"""


def _field(field: tuple[str, str]) -> str:
    """Return a field of the form, as it is written by hand: its name, and under it what it says."""
    name, value = field
    return f"<small>{escape(name)}</small><bdi>{escape(value)}</bdi>"


def _date_over_time(message: Message) -> str:
    return escape(shown_time(message.received_at)).replace(" ", "<br>", 1)


def _number(message: Message) -> str:
    return visible(message.id[:_MSG_CHARS])


def _body(message: Message) -> str:
    """Return text and attachments as others wrote them; one plain line follows what we say of it.

    What goes from right to left begins at the right, in lines of its own.
    """
    text = _FEW_EMPTY.sub("\n\n", "\n".join(message.text.splitlines()))
    lines = [visible(line) for line in (*text.split("\n"), *_attached(message))]
    turned = any(
        unicodedata.bidirectional(character) in _RIGHT_TO_LEFT
        for line in lines
        for character in line
    )
    if len(lines) == 1 and not turned:
        return f" <bdi>{escape(lines[0])}</bdi>"
    return "".join(f"<div dir=auto>{escape(line) or '<br>'}</div>" for line in lines)


def _attached(message: Message) -> list[str]:
    return [f"[file: {one.name}, {one.bytes:,} bytes]" for one in message.attachments]


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
