"""All rows of the screen as one widget that sends no more than what changed.

A serial line carries 960 characters a second, and textual repaints a region from the left edge of
the widget in it, or all of it when the layout changes, and several times at the start.  So there is
one widget, the layout is ours, and whenever something is to be sent, only the runs of cells go out
that differ from what the terminal shows (`FencewireApp._display`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from rich.cells import get_character_cell_size
from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import CompositorUpdate
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

Cell: TypeAlias = tuple[str, Style | None]
"""A character with its marks; empty in the second column of a wide one."""

_SAME_CELLS = 8
"""Unchanged cells between two runs that are worth a jump of the cursor."""


class CanvasUpdate(CompositorUpdate):
    """What differs between a canvas and the terminal, in the form that textual sends."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas

    def render_segments(self, console: Console) -> str:
        return self._canvas.changes(console)


def cells_of(line: Strip) -> list[Cell]:
    """Return a row's columns."""
    out: list[Cell] = []
    for segment in line:
        style = segment.style or None  # a style that says nothing is none
        for char in segment.text:
            size = get_character_cell_size(char)
            if size == 0 and out:
                out[-1] = (out[-1][0] + char, style)
            out.extend(((char, style), ("", None))[:size])
    return out


def changed_spans(old: Strip, new: Strip) -> Iterator[tuple[int, int]]:
    """Yield the columns, from and to, in which two rows of one width differ."""
    if old == new:
        return
    before, after = cells_of(old), cells_of(new)
    if len(before) != len(after):
        yield 0, len(after)
        return
    start = end = -1
    for at, (one, two) in enumerate(zip(before, after, strict=True)):
        if one == two:
            continue
        if start >= 0 and at - end > _SAME_CELLS:
            yield _whole(before, after, start, end)
            start = -1
        start, end = at if start < 0 else start, at + 1
    if start >= 0:
        yield _whole(before, after, start, end)


def _whole(before: list[Cell], after: list[Cell], start: int, end: int) -> tuple[int, int]:
    """Widen a span so that it cuts no wide character in halves."""
    while start > 0 and "" in (before[start][0], after[start][0]):
        start -= 1
    while end < len(after) and "" in (before[end][0], after[end][0]):
        end += 1
    return start, end


class Canvas(Widget):
    """The whole screen."""

    DEFAULT_CSS = "Canvas { width: 100%; height: 100%; }"
    can_focus = False

    def __init__(self, draw: Callable[[int, int], list[Strip]]) -> None:
        super().__init__()
        self._draw = draw
        self._rows: list[Strip] = []
        self._rows_size = Size(0, 0)
        self._sent: list[Strip] = []

    @property
    def rows(self) -> list[Strip]:
        """The screen as it was drawn last, for its size now."""
        if self._rows_size != self.size:
            self.draw()
        return self._rows

    def draw(self) -> None:
        """Draw everything anew; `changes` sends it."""
        self._rows_size = self.size
        self._rows = self._draw(self.size.width, self.size.height) if self.size else []

    def forget(self) -> None:
        """Take the terminal for blank: something else wrote on it."""
        self._sent = []

    def changes(self, console: Console) -> str:
        """Return what brings the terminal up to date, which then counts as sent."""
        before, self._sent = self._sent, self.rows
        sizes = {row.cell_length for row in (*before, *self._sent)}
        if len(before) != len(self._sent) or len(sizes) != 1:
            before = [Strip.blank(row.cell_length) for row in self._sent]
            start = f"{Control.home().segment.text}{Control.clear().segment.text}"
        else:
            start = ""
        return start + "".join(
            f"{Control.move_to(left, y).segment.text}{row.crop(left, right).render(console)}"
            for y, (old, row) in enumerate(zip(before, self._sent, strict=True))
            for left, right in changed_spans(old, row)
        )

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return rows, for screenshots."""
        shown = self.rows[crop.y : crop.bottom]
        shown += [Strip.blank(self.size.width)] * (crop.height - len(shown))
        return [row.adjust_cell_length(self.size.width).crop(crop.x, crop.right) for row in shown]

    def get_text(self) -> str:
        """Return the characters of the screen, for tests."""
        return "\n".join(row.text for row in self.rows)
