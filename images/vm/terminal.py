"""A terminal as a test sees it: bytes in, rows of text out.

pyte draws. In front of it goes a filter for what a modern program sends and pyte would print as
text or stumble over: device control strings, window titles, private modes and reports that are no
VT220's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pyte

ROWS = 24
COLUMNS = 80

MAX_SEQUENCE_BYTES = 4096
"""An escape sequence that is not complete after so much is taken for text."""

_SEQUENCE = re.compile(
    rb"\x1b(?:"
    rb"\[(?P<prefix>[<-?]*)(?P<numbers>[0-9;:]*)(?P<middle>[ -/]*)(?P<final>[@-~])"
    rb"|\]P[0-9A-Fa-f]{7}|\]R"  # the Linux console's own, without an end mark
    rb"|\][^PR\x07\x1b][^\x07\x1b]*(?:\x07|\x1b\\)"
    rb"|[PX^_][^\x1b]*\x1b\\"
    rb")"
)
_UNFINISHED = re.compile(
    rb"\x1b(?:"
    rb"\[[<-?]*[0-9;:]*[ -/]*"
    rb"|\]P[0-9A-Fa-f]{0,6}"
    rb"|\](?:[^PR\x07\x1b][^\x07\x1b]*\x1b?)?"
    rb"|[PX^_][^\x1b]*\x1b?"
    rb"|[ -/]"
    rb")?\Z"
)
_PRIVATE_FINALS = b"hlJKnc"
"""The ends of sequences with a `?` that pyte knows."""


def _keep_what_pyte_knows(match: re.Match[bytes]) -> bytes:
    final = match["final"]
    if not final or match["middle"] or b":" in match["numbers"]:
        return b""
    if match["prefix"] and (match["prefix"] != b"?" or final not in _PRIVATE_FINALS):
        return b""
    return match[0]


def plain_text(raw: bytes) -> str:
    """Text without escape sequences and control characters, for error messages."""
    text = _SEQUENCE.sub(b"", raw).decode(errors="replace").replace("\r", "")
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


class _Screen(pyte.Screen):
    """A screen that answers what a program asks its terminal."""

    def __init__(self, columns: int, rows: int, answer: Callable[[bytes], None]) -> None:
        super().__init__(columns, rows)
        self._answer = answer

    def write_process_input(self, data: str) -> None:
        self._answer(data.encode())


class Terminal:
    """A VT220 of `rows` by `columns`; `answer` gets what it says by itself, such as its size."""

    def __init__(
        self,
        *,
        rows: int = ROWS,
        columns: int = COLUMNS,
        answer: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._screen = _Screen(columns, rows, answer)
        self._stream = pyte.ByteStream(self._screen)
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Take bytes in any pieces."""
        data = self._held + data
        unfinished = _UNFINISHED.search(data)
        end = len(data) if unfinished is None else unfinished.start()
        if len(data) - end > MAX_SEQUENCE_BYTES:
            end = len(data)
        self._held = data[end:]
        self._stream.feed(_SEQUENCE.sub(_keep_what_pyte_knows, data[:end]))

    def rows(self) -> list[str]:
        """The screen's rows, without the blanks at their ends."""
        return [row.rstrip() for row in self._screen.display]

    @property
    def text(self) -> str:
        """The rows as one text."""
        return "\n".join(self.rows())
