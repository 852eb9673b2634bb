"""Boxes over the main screen: lists to choose from, prompts to type into, text to read.

Arrows, Enter, Esc and digits alone reach everything, since a serial line may swallow the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from appliance.tui.composer import editor_rows
from appliance.tui.editor import Editor
from appliance.tui.keybar import Hint
from appliance.tui.look import INVERSE, PLAIN
from appliance.tui.pane import Pane, Row, boxed, edge, floor, spread
from appliance.tui.text import fit, one_line, plain, wrap

ESC_BACK = Hint("Esc", "back")


@dataclass(frozen=True)
class Area:
    """The part of the screen that dialogs may cover."""

    top: int
    """First row."""

    width: int
    """Columns."""

    height: int
    """Rows."""


@dataclass(frozen=True)
class Box:
    """Where a dialog stands."""

    left: int
    """First column."""

    top: int
    """First row."""

    width: int
    """Columns."""

    height: int
    """Rows."""


@dataclass(frozen=True)
class Item:
    """A line that can be chosen."""

    label: str
    """What happens."""

    act: Callable[[], None]
    """Makes it happen; the dialog is closed before."""

    key: str = ""
    """The function key that does the same."""


def paragraphs(text: str, width: int) -> list[Row]:
    """Lay plain text out in rows."""
    return [[(line, PLAIN)] for line in wrap(plain(text), width)]


class Dialog(Pane):
    """Base: a frame with rows in it that scroll where they are too many."""

    covers_all: ClassVar[bool] = False
    """Takes all rows, not just those between the first and the last."""

    see_through: ClassVar[bool] = False
    """Leaves the conversation in sight."""

    title = ""

    def __init__(self) -> None:
        super().__init__()
        self.rings = ""
        """The incoming call that it belongs to: it stays on top and goes with the call."""
        self.top = 0
        """First row in sight."""

    def opened(self) -> None:
        """Begin: the dialog has just come into sight."""

    def heading(self) -> str:
        """Return what stands in the frame."""
        return self.title

    def body(self, width: int) -> list[Row]:
        """Return the rows inside the frame."""
        raise NotImplementedError

    def focus_row(self) -> int | None:
        """Return the row that has to be in sight."""
        return None

    def hints(self) -> list[Hint]:
        """Return what can be pressed."""
        return [ESC_BACK]

    def wanted_width(self, area: Area) -> int:
        """Return how many columns the dialog takes."""
        return min(area.width - 4, 76)

    def on_key_pressed(self, key: str, character: str | None) -> None:
        """Take a key; Esc and scrolling are the same everywhere."""
        if key in {"escape", "0"}:
            self.close()
        else:
            self.scroll_key(key)

    def scroll_key(self, key: str) -> None:
        """Move the rows in sight."""
        step = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}.get(key, 0)
        self.top = max(self.top + step, 0)

    def pasted(self, text: str) -> None:
        """Take text from the terminal's clipboard; most dialogs have no place for it."""

    def put_aside(self) -> None:
        """Keep what would be lost: a call takes over."""

    def close(self) -> None:
        """Go away."""
        self.station_app.main.close_dialog(self)

    def place(self, area: Area) -> Box:
        """Return where to stand: in the middle, with the room that the rows need."""
        width = self.wanted_width(area)
        height = min(len(self.body(width - 4)) + 2, area.height)
        left = (area.width - width) // 2
        return Box(left, area.top + (area.height - height) // 2, width, height)

    def paint(self, width: int, height: int) -> list[Row]:
        rows = self.body(width - 4)
        room = height - 2
        focus = self.focus_row()
        if focus is not None:
            self.top = min(max(self.top, focus - room + 1), focus)
        self.top = max(min(self.top, len(rows) - room), 0)
        shown = rows[self.top : self.top + room]
        more = "more: Down" if len(rows) > self.top + room else ("Up: more" if self.top else "")
        inside: list[Row] = [[(" ", PLAIN), *row] for row in shown]
        inside += [[] for _ in range(room - len(inside))]
        return [
            edge(fit(one_line(self.heading()), width - 4), width, right=more),
            *(boxed(row, width) for row in inside),
            floor(width),
        ]


class ListDialog(Dialog):
    """Something to choose: by digit, or by arrows and Enter."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen = 0

    def intro(self, width: int) -> list[Row]:
        """Return the rows above the list."""
        return []

    def items(self) -> list[Item]:
        """Return what can be chosen now."""
        raise NotImplementedError

    def hints(self) -> list[Hint]:
        return [Hint("1-9", "choose"), Hint("Up/Down", "move"), Hint("Enter", "choose"), ESC_BACK]

    def body(self, width: int) -> list[Row]:
        rows = list(self.intro(width))
        items = self.items()
        self.chosen = max(min(self.chosen, len(items) - 1), 0)
        for place, item in enumerate(items):
            number = str(place + 1) if place < 9 else " "
            line = f" {number}  {item.label}"
            style = INVERSE if place == self.chosen else PLAIN
            mark = ">" if place == self.chosen else " "
            text = fit(f"{mark}{line} ", width - len(item.key) - 2)
            rows.append(spread([(text, style)], [(item.key, PLAIN)], width))
        return rows

    def focus_row(self) -> int | None:
        items = self.items()
        return len(self.body(self.width - 4)) - len(items) + self.chosen if items else None

    def on_key_pressed(self, key: str, character: str | None) -> None:
        items = self.items()
        digit = int(character) if character and character in "123456789" else 0
        shown = next(
            (item for item in items if key.startswith("f") and item.key.lower() == key), None
        )
        if shown is not None:
            self.choose(shown)
        elif digit and digit <= len(items):
            self.choose(items[digit - 1])
        elif key == "enter" and items:
            self.choose(items[self.chosen])
        elif key in {"up", "down", "pageup", "pagedown"}:
            step = {"up": -1, "down": 1, "pageup": -9, "pagedown": 9}[key]
            self.chosen = max(min(self.chosen + step, len(items) - 1), 0)
        else:
            super().on_key_pressed(key, character)

    def choose(self, item: Item) -> None:
        """Do what was chosen."""
        self.close()
        item.act()


class PromptDialog(Dialog):
    """One line to type."""

    question = ""
    enter_label = "done"

    def __init__(self, text: Editor | None = None) -> None:
        super().__init__()
        self.editor = text or Editor()

    def accept(self, text: str) -> None:
        """Take what was typed; the dialog is closed before."""
        raise NotImplementedError

    def hints(self) -> list[Hint]:
        return [Hint("Enter", self.enter_label), ESC_BACK]

    def body(self, width: int) -> list[Row]:
        return [*paragraphs(self.question, width), [], *editor_rows(self.editor, width, 3)]

    def pasted(self, text: str) -> None:
        self.editor = self.editor.typed(" ".join(text.split()))

    def on_key_pressed(self, key: str, character: str | None) -> None:
        if key == "escape":
            self.close()
        elif key == "enter":
            text = self.editor.text.strip()
            if text:
                self.close()
                self.accept(text)
        elif character and character.isprintable():
            self.editor = self.editor.typed(character)
        else:
            self.editor = self.editor.key(key)


class PageDialog(Dialog):
    """A page of text over the whole middle."""

    def wanted_width(self, area: Area) -> int:
        return area.width

    def place(self, area: Area) -> Box:
        return Box(0, area.top, area.width, area.height)

    def hints(self) -> list[Hint]:
        return [Hint("Up/Down", "more"), ESC_BACK]
