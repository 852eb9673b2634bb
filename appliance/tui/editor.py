"""A line of text that is being written, and keys applied to it.

Pure: the message line and every prompt hold one.  Long text is laid out over several rows, of
which as many are shown as there is room for.  What stays out: drawing, and what Enter means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.tui.text import cut, plain

MAX_EDIT_CHARS = 30_000
"""More is not taken in; it is nearly twice the longest message."""


@dataclass(frozen=True)
class Editor:
    """Text and cursor."""

    text: str = ""
    """Plain, may hold line feeds."""

    cursor: int = 0
    """Index into `text`, its length at most."""

    def typed(self, more: str) -> Editor:
        """Return the editor with `more` at the cursor, or itself where that is too much."""
        more = plain(more)
        if len(self.text) + len(more) > MAX_EDIT_CHARS:
            return self
        text = self.text[: self.cursor] + more + self.text[self.cursor :]
        return Editor(text, self.cursor + len(more))

    def key(self, key: str) -> Editor:
        """Return the editor after a key that edits; itself for any other key."""
        text, at = self.text, self.cursor
        match key:
            case "backspace" | "ctrl+h":
                return Editor(text[: max(at - 1, 0)] + text[at:], max(at - 1, 0))
            case "delete":
                return Editor(text[:at] + text[at + 1 :], at)
            case "left":
                return replace(self, cursor=max(at - 1, 0))
            case "right":
                return replace(self, cursor=min(at + 1, len(text)))
            case "home" | "ctrl+a":
                return replace(self, cursor=0)
            case "end" | "ctrl+e":
                return replace(self, cursor=len(text))
            case "ctrl+w":
                word = text[:at].rstrip().rfind(" ") + 1
                return Editor(text[:word] + text[at:], word)
            case "ctrl+j":
                return self.typed("\n")
        return self


def filled(text: str) -> Editor:
    """Return an editor that holds `text`, the cursor at its end."""
    shown = plain(text)[:MAX_EDIT_CHARS]
    return Editor(shown, len(shown))


@dataclass(frozen=True)
class Layout:
    """An editor's text in rows."""

    rows: tuple[str, ...]
    """At least one."""

    row: int
    """Where the cursor is."""

    index: int
    """The cursor's character in its row; the row's length where it stands behind it."""


def lay_out(editor: Editor, width: int) -> Layout:
    """Break the text hard at `width` columns, so that rows never move while somebody types.

    The cursor may stand behind a full row, so `width` is one less than there is room for.
    """
    width = max(width, 2)
    rows: list[str] = []
    place = (0, 0)
    start = 0
    for paragraph in editor.text.split("\n"):
        end = start + len(paragraph)
        rest = paragraph
        while True:
            part = rest if len(rest) * 2 < width else cut(rest[: width + 1], width)
            part_at = end - len(rest)
            last = len(part) == len(rest)
            if part_at <= editor.cursor <= part_at + len(part):
                place = (len(rows), editor.cursor - part_at)
            rows.append(part)
            rest = rest[len(part) :]
            if last:
                break
        start = end + 1
    return Layout(tuple(rows), *place)
