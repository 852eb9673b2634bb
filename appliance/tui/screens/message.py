"""One message: its times, and of ours how far it came with whom, asked for when it is looked at."""

from __future__ import annotations

import asyncio
from typing import Final

from appliance.api.schema import EVERYONE, Message, Recipient, WallTime
from appliance.api.storage import Recipients
from appliance.tui import views
from appliance.tui.actions import MessageCame
from appliance.tui.dialogs import PageDialog, paragraphs
from appliance.tui.keybar import Hint
from appliance.tui.look import BAD, BOLD, FRAME, GOOD, PLAIN
from appliance.tui.pane import Row
from appliance.tui.screens.attachment import AttachmentDialog
from appliance.tui.text import cells, fit, one_line, pad, plain, plain_name
from appliance.tui.wording import attachment_state, attachment_title, delivery, expiry_words

_AHEAD = 20
"""Rows below those in sight; where there are fewer, more recipients are asked for."""

LOOK_AGAIN_S: Final = 2.0
"""Whether it has come further is looked at this often, and asked only where it has."""

_DIGITS = frozenset("123456789")
_MAX_RECIPIENTS = 5_000
_NAME_COLUMNS = 26
_WORDS = {
    "queued": "waiting",
    "relayed": "carried",
    "delivered": "delivered",
    "read": "read",
    "expired": "not delivered",
}
_STYLES = {"delivered": GOOD, "read": GOOD, "expired": BAD}


class MessagePage(PageDialog):
    """What is known of one message."""

    title = "This message"

    def __init__(self, message: Message) -> None:
        super().__init__()
        self._message = message
        self._told: Recipients | None = None
        self._recipients: list[Recipient] = []
        self._more = False
        self._asking = False
        self._asked_of: Message | None = None
        self._shown_rows = 0

    def opened(self) -> None:
        """Ask how far it came."""
        if self._message.outgoing:
            self.station_app.start(self._follow())

    async def _follow(self) -> None:
        """Ask again whenever it has come further, as long as somebody looks."""
        while self in self.station_app.main.dialogs:
            if self._told is None or self._asked_of != self._current():
                await self._begin()
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _begin(self) -> None:
        """Ask for the message and the first of its recipients, new or once more."""
        app = self.station_app
        self._asked_of = self._current()
        # How long it is still tried runs on without being told.
        fresh = await app.operator.ask(app.client.message(self._message.id))
        if fresh is not None:
            self._message = fresh
            app.dispatch(MessageCame(fresh))
            self._asked_of = self._current()
        told = await app.operator.ask(app.client.recipients(self._message.id))
        if told is not None:
            self._told = told
            if len(self._recipients) <= len(told.recipients):
                self._recipients, self._more = list(told.recipients), told.more
            else:
                now = {one.station: one for one in told.recipients}
                self._recipients = [now.get(one.station, one) for one in self._recipients]
        app.redraw()

    def hints(self) -> list[Hint]:
        hints = [Hint("Up/Down", "more"), Hint("PgUp/PgDn", "page"), Hint("Esc", "back")]
        count = len(self._message.attachments)
        if count:
            hints.insert(0, Hint("Enter", "open it" if count == 1 else "open the first"))
        return hints if count < 2 else [Hint(f"1-{min(count, 9)}", "open"), *hints]

    def on_key_pressed(self, key: str, character: str | None) -> None:
        found = self._message.attachments
        place = 0 if key == "enter" else int(character) - 1 if character in _DIGITS else -1
        if 0 <= place < len(found):
            dialog = AttachmentDialog(self._message, found[place].index)
            self.station_app.main.open_dialog(dialog)
        else:
            super().on_key_pressed(key, character)

    def scroll_key(self, key: str) -> None:
        super().scroll_key(key)
        if self._more and self.top + self.height + _AHEAD > self._shown_rows:
            self._ask()

    def _ask(self) -> None:
        if not self._asking and len(self._recipients) < _MAX_RECIPIENTS:
            self._asking = True
            self.station_app.start(self._load())

    async def _load(self) -> None:
        app = self.station_app
        after = self._recipients[-1].station
        try:
            told = await app.operator.ask(app.client.recipients(self._message.id, after=after))
        finally:
            self._asking = False
        if told is not None and self._recipients[-1].station == after:
            self._told, self._more = told, told.more
            self._recipients += told.recipients
        app.redraw()

    def _current(self) -> Message:
        talk = self.station_app.state.talks.get(self._message.conversation)
        found = talk.messages if talk else ()
        return next((one for one in found if one.id == self._message.id), self._message)

    def _when(self, at: WallTime | None) -> str:
        if at is None:
            return ""
        times = self.station_app.times
        unsure = "" if at.sure else " (unsure)"
        return f"{times.day(at)} {times.clock(at)}{unsure}"

    def body(self, width: int) -> list[Row]:
        app = self.station_app
        message = self._current()
        who = views.station_name(app.state, message.author, plain_name(message.author_name))
        rows: list[Row] = [
            [("From     ", BOLD), ("you" if message.outgoing else who, PLAIN)],
            [("Written  ", BOLD), (self._when(message.written_at), PLAIN)],
        ]
        if not message.outgoing:
            rows.append([("Came     ", BOLD), (self._when(message.received_at), PLAIN)])
        rows.append([("Urgency  ", BOLD), (message.precedence, PLAIN)])
        if message.outgoing:
            words = delivery(message, app.times)
            why = f": {one_line(message.problem)}" if message.problem else ""
            rows += _labelled("State    ", words + why, width)
            expiry = expiry_words(self._message)
            if expiry:
                rows += _labelled("Expires  ", expiry, width)
        rows.append([])
        rows += paragraphs(plain(message.text)[:2_000], width)
        for one in message.attachments:
            where = attachment_state(one)
            title = attachment_title(one, width - cells(where) - 5)
            words = f"{one.index + 1}  {title}  {where}"
            rows.append([(fit(words, width), BOLD)])
            rows += paragraphs(plain(one.preview), width - 3) if one.preview else []
        if message.outgoing:
            rows += self._how_far(message, width)
        self._shown_rows = len(rows)
        return rows

    def _how_far(self, message: Message, width: int) -> list[Row]:
        told = self._told
        if told is None:
            return [[], [("Asking how far it came...", PLAIN)]]
        state = self.station_app.state
        counts = [
            (told.queued, "waiting"),
            (told.relayed, "carried"),
            (told.delivered, "delivered"),
            (told.read, "read"),
        ]
        words = ", ".join(f"{count} {word}" for count, word in counts if count)
        rows: list[Row] = [[]]
        rows += _labelled("So far   ", words or "nobody has it yet", width)
        if told.carriers:
            names = ", ".join(views.station_name(state, one) for one in told.carriers)
            rows += _labelled("Carriers ", names, width)
        elif message.conversation != EVERYONE and not told.read and not told.delivered:
            rows += _labelled("Carriers ", "nobody but this station", width)
        rows.append([])
        rows += [self._recipient(one) for one in self._recipients]
        if self._more:
            rows.append([("more: Down", FRAME)])
        return rows

    def _recipient(self, one: Recipient) -> Row:
        who = views.station_name(self.station_app.state, one.station, width=_NAME_COLUMNS)
        style = _STYLES.get(one.state, PLAIN)
        return [
            (pad(who, _NAME_COLUMNS + 2), PLAIN),
            (pad(_WORDS[one.state], 14), style),
            (self._when(one.at), PLAIN),
        ]


def _labelled(label: str, text: str, width: int) -> list[Row]:
    lines = paragraphs(text, width - len(label))
    return [
        [(label if at == 0 else " " * len(label), BOLD), *line] for at, line in enumerate(lines)
    ]
