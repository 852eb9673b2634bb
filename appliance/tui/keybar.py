"""The last line: what can be pressed now."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.tui.look import KEY, PLAIN
from appliance.tui.pane import Pane, Row
from appliance.tui.text import cells


@dataclass(frozen=True)
class Hint:
    """A key and what it does."""

    key: str
    """As it is printed on the key."""

    label: str
    """One or two words."""


def key_row(hints: list[Hint], width: int) -> Row:
    """Return the line; where it is too long, hints are dropped before the last, which leads on."""
    kept = list(hints)
    while len(kept) > 2 and _width(kept) > width:
        del kept[-2]
    return [piece for hint in kept for piece in _pieces(hint)]


def _pieces(hint: Hint) -> Row:
    return [(" ", PLAIN), (hint.key, KEY), (f" {hint.label} ", PLAIN)]


def _width(hints: list[Hint]) -> int:
    return sum(cells(hint.key) + cells(hint.label) + 3 for hint in hints) - 1


class KeyBar(Pane):
    """The last line."""

    def __init__(self) -> None:
        super().__init__()
        self.hints: list[Hint] = []

    def paint(self, width: int, height: int) -> list[Row]:
        return [key_row(self.hints, width)]
