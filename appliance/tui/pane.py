"""A region of the screen that draws itself in rows.

Everything is drawn here, frames too, so that no glyph reaches the screen that we did not choose.
What stays out: where a region stands (`main_screen.py`) and how rows reach the terminal
(`canvas.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, TypeAlias

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

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


class Pane:
    """Base of all regions and dialogs."""

    def __init__(self) -> None:
        self.rows: list[Strip] = []
        """As drawn last."""
        self._app: FencewireApp | None = None

    def attach(self, app: FencewireApp) -> None:
        """Learn whose region this is."""
        self._app = app

    @property
    def station_app(self) -> FencewireApp:
        """The application."""
        if self._app is None:
            raise RuntimeError(f"{type(self).__name__} is not attached")
        return self._app

    @property
    def width(self) -> int:
        """Columns, as drawn last."""
        return self.rows[0].cell_length if self.rows else 0

    @property
    def height(self) -> int:
        """Rows, as drawn last."""
        return len(self.rows)

    def height_for(self, width: int) -> int:
        """Return how many rows are wanted; for regions that are not given theirs."""
        return 1

    def paint(self, width: int, height: int) -> Iterable[Row]:
        """Return what stands here now, from the top; missing rows are blank."""
        raise NotImplementedError

    def draw(self, width: int, height: int) -> list[Strip]:
        """Return exactly so many rows of exactly so many columns."""
        painted = islice(chain(self.paint(width, height), repeat(())), max(height, 0))
        self.rows = [strip(row, width) for row in painted]
        return self.rows

    def get_text(self) -> str:
        """Return the characters that stand here, for tests."""
        return "\n".join(row.text.rstrip() for row in self.rows)
