"""Choosing a file to send, or a directory to save in: by arrows, or by typing a path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from appliance.tui import browsing
from appliance.tui.browsing import Spot
from appliance.tui.dialogs import Area, PromptDialog
from appliance.tui.editor import Editor, filled
from appliance.tui.keybar import Hint
from appliance.tui.look import BOLD, CARE, FRAME, INVERSE, PLAIN
from appliance.tui.pane import Row, spread
from appliance.tui.text import fit, one_line
from appliance.tui.wording import size

_SHOWN = 12


class FileDialog(PromptDialog):
    """A directory's files, filtered by what is typed."""

    title = "Choose a file"
    question = "Choose with the arrows, or type a part of the name, or a path such as /mnt/map.png"
    takes_directories = False

    def __init__(self, take: Callable[[Path], None]) -> None:
        super().__init__()
        self._take = take
        self._directory: Path | None = None
        self._spots: list[Spot] = []
        self._chosen = 0
        self._trouble = ""
        self._loading = False

    def opened(self) -> None:
        """Begin with the places that there are."""
        self._go(None)

    def wanted_width(self, area: Area) -> int:
        return area.width - 2

    def heading(self) -> str:
        return self.title if self._directory is None else f"{self.title}: {self._directory}"

    def hints(self) -> list[Hint]:
        enter = "open, take"
        hints = [Hint("Up/Down", "choose"), Hint("Enter", enter), Hint("Left", "back up")]
        if self.takes_directories:
            hints.append(Hint("F7", "save here"))
        return [*hints, Hint("Esc", "cancel")]

    # Where it is

    def _go(self, directory: Path | None, typed: str = "") -> None:
        self._loading = True
        # At once, so that what is typed while the disk is asked stays.
        before, self.editor = self.editor, filled(typed)
        self.station_app.start(self._load(directory, typed, before))

    async def _load(self, directory: Path | None, typed: str, before: Editor) -> None:
        hidden = typed.startswith(".")
        try:
            if directory is None:
                spots = await asyncio.to_thread(browsing.start)
            else:
                spots = await asyncio.to_thread(browsing.listing, directory, hidden=hidden)
        except (OSError, RuntimeError) as error:
            why = error.strerror if isinstance(error, OSError) else "there is no home directory"
            self._trouble = f"That can't be opened: {why}."
            if self.editor.text == typed:
                self.editor = before
        else:
            self._directory, self._spots = directory, spots
            self._chosen, self._trouble = 0, ""
        finally:
            self._loading = False
        self.station_app.redraw()

    def found(self) -> list[Spot]:
        """Return what fits what is typed."""
        wanted = self.editor.text.strip().casefold()
        fits = [one for one in self._spots if wanted in self._label(one).casefold()]
        if self.takes_directories:
            fits = [one for one in fits if one.is_dir]
        return fits

    def _label(self, spot: Spot) -> str:
        if self._directory is None:
            return str(spot.path)
        return spot.path.name

    def body(self, width: int) -> list[Row]:
        found = self.found()
        self._chosen = max(min(self._chosen, len(found) - 1), 0)
        first = max(self._chosen - _SHOWN + 1, 0)
        rows: list[Row] = [*super().body(width), []]
        for place, spot in enumerate(found[first : first + _SHOWN], first):
            style = INVERSE if place == self._chosen else (BOLD if spot.is_dir else PLAIN)
            mark = ">" if place == self._chosen else " "
            name = one_line(self._label(spot)) + ("/" if spot.is_dir else "")
            right: Row = [("" if spot.is_dir else f" {size(spot.bytes)}", PLAIN)]
            rows.append(spread([(mark + fit(name, width - 14), style)], right, width))
        rows += [[] for _ in range(_SHOWN - len(found[first : first + _SHOWN]))]
        rows.append([(self._trouble or self._below(len(found)), CARE if self._trouble else FRAME)])
        return rows

    def _below(self, count: int) -> str:
        if self._loading:
            return "Looking..."
        if self._directory is None:
            return "A drive that is plugged in appears here once it is mounted."
        return f"{count} of {len(self._spots)}"

    # Keys

    def on_key_pressed(self, key: str, character: str | None) -> None:
        if key in {"up", "down", "pageup", "pagedown"}:
            self._chosen += {"up": -1, "down": 1, "pageup": -_SHOWN, "pagedown": _SHOWN}[key]
        elif key == "left" or (key == "backspace" and not self.editor.text):
            self._up()
        elif key in {"enter", "right", "tab"}:
            self._enter()
        elif key == "f7" and self.takes_directories:
            self._here()
        else:
            super().on_key_pressed(key, character)
            self._chosen = 0

    def pasted(self, text: str) -> None:
        self.editor = Editor().typed(text.strip())

    def _up(self) -> None:
        if self._directory is not None:
            self._go(None if self._directory == self._directory.parent else self._directory.parent)

    def _here(self) -> None:
        if self._directory is not None:
            self.close()
            self._take(self._directory)

    def _enter(self) -> None:
        typed = self.editor.text.strip()
        if typed.startswith(("/", "~")):
            self.station_app.start(self._typed(typed))
            return
        found = self.found()
        if not found:
            return
        spot = found[max(min(self._chosen, len(found) - 1), 0)]
        self._choose(spot.path, is_dir=spot.is_dir)

    async def _typed(self, typed: str) -> None:
        path = Path(typed)
        try:
            path = await asyncio.to_thread(path.expanduser)
            is_dir = await asyncio.to_thread(path.is_dir)
            there = is_dir or await asyncio.to_thread(path.is_file)
            parent = await asyncio.to_thread(path.parent.is_dir)
        except (OSError, RuntimeError):  # the latter: nobody of that name has a home here
            is_dir = there = parent = False
        if there:
            self._choose(path, is_dir=is_dir)
        elif parent:
            self._go(path.parent, path.name)
        else:
            self._trouble = "There is no such file."
        self.station_app.redraw()

    def _choose(self, path: Path, *, is_dir: bool) -> None:
        if self not in self.station_app.main.dialogs:
            return  # left, or chosen already, while the disk was asked
        if is_dir:
            self._go(path)
        elif not self.takes_directories:
            self.close()
            self._take(path)


class SaveDialog(FileDialog):
    """A directory to save in."""

    title = "Save in"
    question = "Choose a directory with the arrows and Enter, then press F7 to save there."
    takes_directories = True
