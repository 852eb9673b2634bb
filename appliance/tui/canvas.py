"""All rows of the screen as one widget that sends no more than what changed.

A serial line carries 960 characters a second, and textual repaints a region from the left edge of
the widget in it, or all of it when the layout changes.  So there is one widget, the layout is ours,
and the runs of cells that differ from what stands there go out by themselves.  textual still draws
everything after a resize, and for screenshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from rich.cells import get_character_cell_size
from rich.console import Console, RenderableType
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


@dataclass(frozen=True)
class Run:
    """Neighbouring cells to send."""

    x: int
    """First column."""

    y: int
    """Row."""

    strip: Strip
    """What stands there from now on."""


class RunsUpdate(CompositorUpdate):
    """Some runs of cells, in the form in which textual sends updates."""

    def __init__(self, runs: list[Run]) -> None:
        self.runs = runs

    def render_segments(self, console: Console) -> str:
        return "".join(
            f"{Control.move_to(run.x, run.y).segment.text}{run.strip.render(console)}"
            for run in self.runs
        )


def cells_of(line: Strip) -> list[Cell]:
    """Return a row's columns."""
    out: list[Cell] = []
    for segment in line:
        for char in segment.text:
            size = get_character_cell_size(char)
            if size == 0 and out:
                out[-1] = (out[-1][0] + char, segment.style)
            out.extend(((char, segment.style), ("", None))[:size])
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
        self.rows: list[Strip] = []
        self._rows_size = Size(0, 0)
        self._draw = draw

    def _drawn(self) -> list[Strip]:
        self._rows_size = self.size
        return self._draw(self.size.width, self.size.height) if self.size else []

    def update(self) -> None:
        """Draw everything and send what changed."""
        old, old_size = self.rows, self._rows_size
        self.rows = rows = self._drawn()
        if old_size != self.size or len(old) != len(rows):
            self.refresh()
            return
        runs = [
            Run(start, y, after.crop(start, end))
            for y, (before, after) in enumerate(zip(old, rows, strict=True))
            for start, end in changed_spans(before, after)
        ]
        if runs:
            # textual tells its own updates from renderables by their class.
            self.app._display(self.screen, cast("RenderableType", RunsUpdate(runs)))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the rows as they stand; textual asks for all of them after a resize."""
        if self._rows_size != self.size:
            self.rows = self._drawn()
        shown = self.rows[crop.y : crop.bottom]
        shown += [Strip.blank(self.size.width)] * (crop.height - len(shown))
        return [row.adjust_cell_length(self.size.width).crop(crop.x, crop.right) for row in shown]

    def get_text(self) -> str:
        """Return the characters of the screen, for tests."""
        return "\n".join(row.text for row in self.rows)
