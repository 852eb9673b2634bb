"""A region of the screen that draws itself in rows and sends only what changed.

A serial line carries 960 characters a second, so a pane compares what it draws with what stands
there and repaints the columns that differ.  Everything is drawn by `paint`, borders too, so that
no glyph reaches the screen that we did not choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias, cast

from rich.cells import get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from appliance.tui.look import BOLD, FRAME, PLAIN
from appliance.tui.text import cells, fit

if TYPE_CHECKING:
    from appliance.tui.app import FencewireApp

Row: TypeAlias = Sequence[tuple[str, Style]]
"""Pieces of plain text with their styles."""


def strip(row: Row, width: int, style: Style = PLAIN) -> Strip:
    """Return a row, cut or filled to `width` columns."""
    segments = [Segment(text, piece) for text, piece in row if text]
    return Strip(segments).adjust_cell_length(width, style)


def row_cells(row: Row) -> int:
    """Return how many columns a row takes."""
    return sum(cells(text) for text, _ in row)


def spread(left: Row, right: Row, width: int) -> Row:
    """Return a row with one part at either end; the left one gives way."""
    room = width - row_cells(right)
    shown = strip(left, max(room, 0))
    return [*((piece.text, piece.style or PLAIN) for piece in shown), *right]


def edge(title: str, width: int, *, ends: str = "┌┐", right: str = "", style: Style = BOLD) -> Row:
    """Return the upper edge of a frame with a title in it."""
    inner = width - 2
    tail = f"{right}─" if right and cells(right) + 6 < inner else ""
    shown = fit(title, max(inner - 1 - cells(tail), 0))
    line = "─" * (inner - 1 - cells(shown) - cells(tail))
    return [(f"{ends[0]}─", FRAME), (shown, style), (line, FRAME), (tail + ends[1], FRAME)]


def boxed(row: Row, width: int) -> Row:
    """Return a row between the sides of a frame."""
    inside = strip(row, width - 2)
    pieces = ((piece.text, piece.style or PLAIN) for piece in inside)
    return [("│", FRAME), *pieces, ("│", FRAME)]


def floor(width: int) -> Row:
    """Return the lower edge of a frame."""
    return [("└" + "─" * (width - 2) + "┘", FRAME)]


def _columns(line: Strip) -> list[tuple[str, Style | None]]:
    out: list[tuple[str, Style | None]] = []
    for segment in line:
        for char in segment.text:
            size = get_character_cell_size(char)
            if size == 0 and out:
                out[-1] = (out[-1][0] + char, segment.style)
            out.extend(((char, segment.style), ("", None))[:size])
    return out


def changed_span(old: Strip, new: Strip) -> tuple[int, int] | None:
    """Return the columns, from and to, in which two rows of one width differ."""
    if old == new:
        return None
    before, after = _columns(old), _columns(new)
    if len(before) != len(after):
        return 0, max(len(before), len(after))
    differ = [at for at, (one, two) in enumerate(zip(before, after, strict=True)) if one != two]
    if not differ:
        return None
    start, end = differ[0], differ[-1] + 1
    # Wide characters take a second, empty column that belongs to them.
    while start > 0 and "" in (before[start][0], after[start][0]):
        start -= 1
    while end < len(after) and "" in (before[end][0], after[end][0]):
        end += 1
    return start, end


class Pane(Widget):
    """Base of all regions."""

    DEFAULT_CSS = "Pane { width: 100%; height: 1; }"
    can_focus = False

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Strip] = []
        self._rows_size = Size(0, 0)
        self.rows_taken = 0
        """As `set_height` said last."""

    @property
    def station_app(self) -> FencewireApp:
        """The application, by its own type."""
        return cast("FencewireApp", self.app)

    def paint(self, width: int, height: int) -> Iterable[Row]:
        """Return what stands here now, from the top; missing rows are blank."""
        raise NotImplementedError

    def _painted(self) -> list[Strip]:
        width, height = self.size
        if not width or not height:
            return []
        rows: list[Strip] = []
        for row in chain(self.paint(width, height), ([] for _ in range(height))):
            if len(rows) == height:
                break
            rows.append(strip(row, width))
        return rows

    def repaint(self) -> None:
        """Draw anew and send what changed."""
        old, old_size = self._rows, self._rows_size
        self._rows, self._rows_size = self._painted(), self.size
        if old_size != self.size:
            self.refresh()
            return
        regions = [
            Region(span[0], y, span[1] - span[0], 1)
            for y, (before, after) in enumerate(zip(old, self._rows, strict=True))
            if (span := changed_span(before, after)) is not None
        ]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """Return one row (textual's line API), drawn anew where the size has changed."""
        if self._rows_size != self.size:
            self._rows, self._rows_size = self._painted(), self.size
        return self._rows[y] if y < len(self._rows) else Strip.blank(self.size.width)

    def get_text(self) -> str:
        """Return the characters that stand here, for tests."""
        return "\n".join(row.text.rstrip() for row in self._rows)

    def set_height(self, rows: int) -> None:
        """Take this many rows; none hides the pane."""
        self.rows_taken = rows
        if self.display != (rows > 0):
            self.display = rows > 0
        if rows and (self.styles.height is None or self.styles.height.value != rows):
            self.styles.height = rows
