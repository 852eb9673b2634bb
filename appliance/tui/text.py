"""Text that others wrote, made fit for a grid of character cells.

Names and messages come from anybody, so nothing in them may steer the terminal, reorder what
stands beside it, or take another number of cells than we reckon.  What stays out: meaning (see
`wording.py`) and colour.
"""

from __future__ import annotations

import os
import unicodedata

from rich.cells import get_character_cell_size

MAX_NAME_CHARS = 64
"""Of a name that is looked at; more can't be told apart on a screen anyway."""

MAX_TEXT_CHARS = 32_000
"""Of a text that is laid out; messages are at most half as long."""

MAX_MARKS = 0 if os.environ.get("TERM", "").startswith("linux") else 2
"""Combining marks kept on one character: enough for living scripts, too few to climb over lines.
None on Linux' own console, which gives each of them a column."""

ELLIPSIS = ".."
"""Stands for what did not fit."""

_BLANKS = frozenset({0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0})
"""Letters and patterns without ink, of which a name could be made that nobody sees."""

NOT_SHOWN = "?"
"""Stands for a character that would steer the terminal."""


def plain(text: str) -> str:
    """Return `text` with nothing but line feeds and characters of a known width.

    Direction overrides, joiners, selectors and other invisible characters go; control characters,
    half surrogates and what means nothing in public become question marks.
    """
    text = text[:MAX_TEXT_CHARS].replace("\r\n", "\n").replace("\t", " ")
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    out: list[str] = []
    room = 0
    for char in unicodedata.normalize("NFC", text):
        category = unicodedata.category(char)
        if char in "\n\u2028\u2029\u0085\r":
            out.append("\n")
            room = 0
        elif category in {"Cc", "Cs", "Cn", "Co"}:
            out.append(NOT_SHOWN)
            room = 0
        elif category == "Cf" or 0xFE00 <= ord(char) <= 0xFE0F:
            continue
        elif get_character_cell_size(char) == 0:
            if room:
                out.append(char)
                room -= 1
        else:
            out.append(" " if category == "Zs" or ord(char) in _BLANKS else char)
            room = MAX_MARKS
    # What was dropped may have stood between a letter and its accent.
    return unicodedata.normalize("NFC", "".join(out))


def plain_name(name: str) -> str:
    """Return a name on one line, without doubled or outer spaces."""
    short = one_line(name[: 4 * MAX_NAME_CHARS])
    return short[:MAX_NAME_CHARS] or "(no name)"


def one_line(text: str) -> str:
    """Return a plain text on one line, without doubled or outer spaces."""
    return " ".join(plain(text).split())


def cells(text: str) -> int:
    """Return how many columns a plain text takes."""
    if text.isascii():
        return len(text)
    return sum(map(get_character_cell_size, text))


def cut(text: str, width: int) -> str:
    """Return the longest beginning of `text` that takes at most `width` columns."""
    if text.isascii():
        return text[: max(width, 0)]
    used = 0
    for index, char in enumerate(text):
        used += get_character_cell_size(char)
        if used > width:
            return text[:index]
    return text


def fit(text: str, width: int) -> str:
    """Shorten `text` to `width` columns, saying so where there is room to."""
    if cells(text) <= width:
        return text
    if width <= len(ELLIPSIS) + 1:
        return cut(text, width)
    return cut(text, width - len(ELLIPSIS)) + ELLIPSIS


def pad(text: str, width: int) -> str:
    """Shorten or fill `text` to exactly `width` columns."""
    shown = fit(text, width)
    return shown + " " * (width - cells(shown))


def _break_at(text: str, width: int) -> int:
    """Return how many characters of `text` go on a line, given that not all do."""
    room = len(cut(text, width)) or 1
    space = text.rfind(" ", 0, room + 1)
    return space if space > 0 else room


def wrap(text: str, width: int) -> list[str]:
    """Lay a plain text out in lines of at most `width` columns, breaking words that are longer."""
    width = max(width, 2)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        rest = paragraph
        while len(rest) > width or cells(rest[: width + 1]) > width:
            # Looking at no more than a line's worth keeps long texts linear.
            at = _break_at(rest[: width + 1], width)
            lines.append(rest[:at].rstrip(" "))
            rest = rest[at:].lstrip(" ")
        lines.append(rest)
    return lines
