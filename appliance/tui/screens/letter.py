"""What goes with the message that is being written: urgency, expiry, files, a voice message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from appliance.api.schema import Precedence
from appliance.tui.composer import enclosure_words
from appliance.tui.dialogs import Area, Item, ListDialog, paragraphs
from appliance.tui.letters import LIFETIMES, Enclosure, Letter, lifetime_words
from appliance.tui.pane import Row
from appliance.tui.screens.files import FileDialog
from appliance.tui.screens.voice import RecordDialog
from appliance.tui.tallies import PRECEDENCES

_MEANINGS = {
    "routine": "goes when there is room",
    "welfare": "news of people, to people",
    "priority": "goes before the others",
    "emergency": "life in danger: goes first, and rings",
}


class LetterDialog(ListDialog):
    """Everything about the message that is being written."""

    title = "This message"

    def wanted_width(self, area: Area) -> int:
        return min(area.width - 4, 60)

    def items(self) -> list[Item]:
        app = self.station_app
        letter = app.writer.letter
        off = [
            Item(f"Take off: {enclosure_words(one)}", self._take_off(one))
            for one in letter.enclosed
        ]
        expiry = "no" if letter.lifetime_s is None else lifetime_words(letter.lifetime_s)
        return [
            Item(
                f"Urgency: {letter.precedence}",
                lambda: app.main.open_dialog(PrecedenceDialog()),
                "Tab",
            ),
            Item(f"Expires: {expiry}", lambda: app.main.open_dialog(LifetimeDialog())),
            Item("Add a file", lambda: app.main.open_dialog(FileDialog(app.writer.attach))),
            Item("Record a voice message", lambda: app.main.open_dialog(RecordDialog())),
            *off,
        ]

    def _take_off(self, enclosed: Enclosure) -> Callable[[], None]:
        return lambda: self.station_app.writer.take_off(enclosed)


class PrecedenceDialog(ListDialog):
    """How urgent it is."""

    title = "How urgent is it?"

    def opened(self) -> None:
        """Begin at what is chosen."""
        self.chosen = PRECEDENCES.index(self.station_app.writer.letter.precedence)

    def items(self) -> list[Item]:
        return [self._item(one) for one in PRECEDENCES]

    def _item(self, one: Precedence) -> Item:
        app = self.station_app
        words = f"{one:<10} {_MEANINGS[one]}"
        return Item(words, lambda: app.writer.put(replace(app.writer.letter, precedence=one)))


class LifetimeDialog(ListDialog):
    """After which time it is given up."""

    title = "Does it expire?"

    def intro(self, width: int) -> list[Row]:
        text = "If it has not arrived by then, it is given up, and you are told."
        return [*paragraphs(text, width), []]

    def opened(self) -> None:
        """Begin at what is chosen."""
        known = [seconds for seconds, _ in LIFETIMES]
        self.chosen = known.index(self.station_app.writer.letter.lifetime_s)

    def items(self) -> list[Item]:
        return [self._item(seconds, words) for seconds, words in LIFETIMES]

    def _item(self, seconds: int | None, words: str) -> Item:
        app = self.station_app
        return Item(words, lambda: app.writer.put(replace(app.writer.letter, lifetime_s=seconds)))


class EmergencyDialog(ListDialog):
    """An emergency to everyone rings at every station, so it is asked once."""

    title = "EMERGENCY to everyone?"

    def intro(self, width: int) -> list[Row]:
        text = (
            "It goes before all other messages and sounds at every station. Is a life or the place "
            "in danger?"
        )
        return [*paragraphs(text, width), []]

    def items(self) -> list[Item]:
        app = self.station_app
        routine: Letter = replace(app.writer.letter, precedence="priority")
        return [
            Item("Send it as EMERGENCY", app.writer.send),
            Item("Make it priority, do not send yet", lambda: app.writer.put(routine)),
            Item("Back to writing", lambda: None),
        ]
