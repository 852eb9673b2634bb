"""The message line: whatever is typed goes here."""

from __future__ import annotations

from appliance.api.schema import EVERYONE
from appliance.tui import views
from appliance.tui.editor import Editor, lay_out
from appliance.tui.letters import Enclosure, lifetime_words
from appliance.tui.look import BAD, BOLD, CARE, FRAME, INVERSE, LOUD, PLAIN
from appliance.tui.pane import Pane, Row, boxed, edge, floor
from appliance.tui.text import fit, plain_name
from appliance.tui.wording import size, timer

MAX_MESSAGE_CHARS = 16_000
"""What the API takes."""

_COUNT_FROM_CHARS = 14_000
"""From here on the length is shown."""

_URGENT_STYLES = {"emergency": LOUD, "priority": BAD, "welfare": CARE}

_PROMPT = "> "


def editor_rows(editor: Editor, width: int, most: int) -> list[Row]:
    """Draw the rows around the cursor."""
    layout = lay_out(editor, width - len(_PROMPT) - 1)
    first = max(min(layout.row - most + 1, len(layout.rows) - most), 0)
    rows: list[Row] = []
    for at, text in enumerate(layout.rows[first : first + most], first):
        lead = (_PROMPT if at == 0 else " " * len(_PROMPT), FRAME)
        if at == layout.row:
            under = text[layout.index : layout.index + 1] or " "
            after = text[layout.index + 1 :]
            rows.append([lead, (text[: layout.index], PLAIN), (under, INVERSE), (after, PLAIN)])
        else:
            rows.append([lead, (text, PLAIN)])
    return rows


class ComposerPane(Pane):
    """The message line and the frame around it."""

    def height_for(self, width: int) -> int:
        most = 4 if self.station_app.size.height < 30 else 8
        rows = len(editor_rows(self.station_app.drafts.editor, width - 2, most)) + 2
        return rows + len(self._enclosed(width))

    def _enclosed(self, width: int) -> list[Row]:
        """Say what goes with the message."""
        letter = self.station_app.writer.letter
        words = [enclosure_words(one) for one in letter.enclosed]
        parts = [f"with {', '.join(words)}"] if words else []
        if letter.lifetime_s is not None:
            parts.insert(0, f"expires in {lifetime_words(letter.lifetime_s)}")
        return [[(fit(f" {'; '.join(parts)}", width - 2), BOLD)]] if parts else []

    def paint(self, width: int, height: int) -> list[Row]:
        editor = self.station_app.drafts.editor
        enclosed = self._enclosed(width)
        rows = [*enclosed, *editor_rows(editor, width - 2, height - 2 - len(enclosed))]
        return [
            self._upper_edge(len(editor.text), width),
            *(boxed(row, width) for row in rows),
            floor(width),
        ]

    def _upper_edge(self, length: int, width: int) -> Row:
        state = self.station_app.state
        to = "everyone" if state.selected == EVERYONE else views.title_of(state, state.selected)
        pane = self.station_app.main.conversation
        right = "more below: PgDn" if pane.sight.below else ""
        talk = views.talk(state)
        if talk is not None and talk.unread_before:
            right = "unread further up: Home" if not length else "unread further up"
        style = FRAME
        if length > _COUNT_FROM_CHARS:
            right = f"{length} of {MAX_MESSAGE_CHARS} characters"
            style = BAD if length > MAX_MESSAGE_CHARS else FRAME
        letter = self.station_app.writer.letter
        urgent = "" if letter.precedence == "routine" else f"  {letter.precedence.upper()}"
        style = _URGENT_STYLES.get(letter.precedence, style)
        return edge(f"To {to}{urgent}", width, ends="├┤", right=right, style=style)


def enclosure_words(enclosed: Enclosure) -> str:
    """Return what one enclosed thing is."""
    if enclosed.voice_ms:
        return f"voice message {timer(enclosed.voice_ms / 1000)}"
    return f"{fit(plain_name(enclosed.name), 24)} {size(enclosed.bytes)}"


def too_long(text: str) -> str | None:
    """Return what to say of a message that can't be sent."""
    if len(text) <= MAX_MESSAGE_CHARS:
        return None
    return (
        f"This message has {len(text)} characters; {MAX_MESSAGE_CHARS} is the most that fits. "
        "Nothing was sent. Shorten it, or send it in parts."
    )
