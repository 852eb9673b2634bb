"""Finding a conversation by name or number, and messages by their words, in one field.

Conversations are filtered with every key.  Messages are searched for as soon as nobody types, and
on by itself until all have been looked through, enough is found, or the dialog is left.
"""

from __future__ import annotations

import asyncio
from typing import Final

from appliance.api.errors import ClientError
from appliance.api.schema import EVERYONE, Message, Station
from appliance.tui import views
from appliance.tui.dialogs import Area, PromptDialog
from appliance.tui.keybar import Hint
from appliance.tui.look import BOLD, CARE, FRAME, INVERSE, PLAIN
from appliance.tui.pane import Row, spread
from appliance.tui.text import fit, one_line, plain_name
from appliance.tui.wording import name, number, presence

MAX_FOUND: Final = 200
"""Messages; whoever wants older ones types another word."""

PAUSE_S: Final = 0.4
"""Nobody types for so long before messages are searched."""

_MIN_CHARS: Final = 2
_CONVERSATIONS: Final = 4
"""Shown at most, once there are messages too."""

_SHOWN: Final = 12


def matches(station: Station, typed: str) -> bool:
    """Tell whether what was typed fits a station."""
    wanted = typed.strip().casefold()
    digits = wanted.replace("-", "").replace(" ", "")
    return (
        wanted in plain_name(station.name).casefold()
        or (digits.isdigit() and station.number.startswith(digits))
        or station.id.casefold().startswith(wanted.lstrip("·"))
    )


class FindDialog(PromptDialog):
    """Type a part, choose with the arrows."""

    title = "Find"
    question = "A name, a number, or words of a message:"

    def __init__(self) -> None:
        super().__init__()
        self._chosen = 0
        self._messages: list[Message] = []
        self._searched = ""
        self._status = ""
        self._typed = asyncio.Event()
        self._open = True

    def opened(self) -> None:
        """Be ready to search."""
        self.station_app.start(self._search())

    def put_aside(self) -> None:
        self._open = False
        self._typed.set()

    def close(self) -> None:
        self.put_aside()
        super().close()

    def wanted_width(self, area: Area) -> int:
        return area.width - 2

    def hints(self) -> list[Hint]:
        return [Hint("Up/Down", "choose"), Hint("Enter", "open"), Hint("Esc", "back")]

    # What fits

    def conversations(self) -> list[str]:
        """Return the conversations that fit, as they are listed."""
        state, typed = self.station_app.state, self.editor.text
        wanted = typed.strip().casefold()
        found = []
        for key in state.listed:
            station = state.stations.get(key)
            if station is not None:
                fits = matches(station, typed)
            else:
                fits = wanted in views.title_of(state, key).casefold()
            if fits:
                found.append(key)
        return found

    def found(self) -> list[str | Message]:
        """Return all that fits, as it stands in the list."""
        names = self.conversations()
        if not self._messages:
            return list(names)
        return [*names[:_CONVERSATIONS], *self._messages]

    # Searching

    async def _search(self) -> None:
        while self._open:
            await self._typed.wait()
            self._typed.clear()
            await asyncio.sleep(PAUSE_S)
            words = self.editor.text.strip()
            if self._open and not self._typed.is_set() and words != self._searched:
                self._searched, self._messages, self._status = words, [], ""
                if len(words) >= _MIN_CHARS:
                    await self._look_for(words)
                self.station_app.redraw()

    def _stopped(self) -> bool:
        return not self._open or self._typed.is_set()

    async def _look_for(self, words: str) -> None:
        app = self.station_app
        before: int | None = None
        before_id: str | None = None
        self._status = "Searching the messages..."
        app.redraw()
        while not self._stopped():
            try:
                page = await app.client.search(words, before=before, before_id=before_id)
            except ClientError as error:
                self._status = one_line(str(error))
                return
            if self._stopped():
                return
            self._messages += page.messages
            before, before_id = page.before, page.before_id
            count = len(self._messages)
            if before is None:
                self._status = f"All messages searched: {count} found."
                return
            if count >= MAX_FOUND:
                self._status = f"The latest {count} are shown. Type more words to find others."
                return
            self._status = f"{count} found, searching on..."
            app.redraw()

    # Drawing

    def body(self, width: int) -> list[Row]:
        found = self.found()
        self._chosen = max(min(self._chosen, len(found) - 1), 0)
        first = max(self._chosen - _SHOWN + 1, 0)
        rows: list[Row] = [*super().body(width), []]
        for place, one in enumerate(found[first : first + _SHOWN], first):
            style = INVERSE if place == self._chosen else PLAIN
            mark = ">" if place == self._chosen else " "
            line = (
                self._conversation(one, width) if isinstance(one, str) else self._line(one, width)
            )
            rows.append([(mark, style), *((text, style if style else own) for text, own in line)])
        rows += [[] for _ in range(_SHOWN - len(found[first : first + _SHOWN]))]
        names = len(self.conversations())
        rows.append([(f"{names} names.  {self._status}", FRAME)])
        return rows

    def _conversation(self, key: str, width: int) -> Row:
        app = self.station_app
        count = views.unread(app.state, key)
        waiting = f" *{min(count, 999)}" if count else ""
        station = app.state.stations.get(key)
        if station is None:
            return [(views.title_of(app.state, key), BOLD), (waiting, CARE)]
        where = presence(station, views.away_s(app.state, station, app.now_s()))
        right: Row = [(waiting, CARE), (f"  {number(station.number)}  {where:<8}", PLAIN)]
        return spread([(name(station, width - 28), PLAIN)], right, width - 1)

    def _line(self, message: Message, width: int) -> Row:
        app = self.station_app
        day = app.times.day(message.received_at).rsplit(" ", 1)[0]
        when = f"{day} {app.times.clock(message.written_at)}"
        where = fit(views.title_of(app.state, message.conversation), 16)
        who = "you: " if message.outgoing else ""
        if message.conversation == EVERYONE and not message.outgoing:
            who = f"{fit(plain_name(message.author_name), 12)}: "
        lead = f"{when:<17} {where}  "
        text = one_line(message.text)
        return [(lead, FRAME), (fit(who + self._around(text, width - 40), width - 40), PLAIN)]

    def _around(self, text: str, width: int) -> str:
        """Begin a long text shortly before the first word that was looked for."""
        words = self._searched.split()
        at = text.casefold().find(words[0].casefold()) if words else -1
        return text if at < width // 2 else f"..{text[at - width // 4 :]}"

    # Keys

    def pasted(self, text: str) -> None:
        super().pasted(text)
        self._typed.set()

    def on_key_pressed(self, key: str, character: str | None) -> None:
        if key in {"up", "down", "pageup", "pagedown"}:
            by = {"up": -1, "down": 1, "pageup": -_SHOWN, "pagedown": _SHOWN}[key]
            self._chosen += by
        elif key == "enter":
            self._enter()
        else:
            before = self.editor.text
            super().on_key_pressed(key, character)
            if self.editor.text != before:
                self._chosen = 0
                self._typed.set()

    def _enter(self) -> None:
        found = self.found()
        if not found:
            return
        wanted = found[max(min(self._chosen, len(found) - 1), 0)]
        self.close()
        if isinstance(wanted, str):
            self.station_app.choose(wanted)
        else:
            self.station_app.reader.jump(wanted)
