"""The message that is being written: its urgency and expiry, what is enclosed, and sending it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.api.errors import ClientError
from appliance.api.schema import EVERYONE
from appliance.tui.letters import MAX_ENCLOSED, Enclosure, Letter, Letters
from appliance.tui.screens.letter import EmergencyDialog, LetterDialog
from appliance.tui.text import plain_name

if TYPE_CHECKING:
    from appliance.tui.app import FencewireApp


class Writer:
    """The hand that writes."""

    def __init__(self, app: FencewireApp) -> None:
        self._app = app
        self._letters = Letters()
        self._reading: Counter[str] = Counter()

    @property
    def letter(self) -> Letter:
        """What goes with the message that is being written."""
        return self._letters.of(self._app.drafts.conversation)

    def put(self, letter: Letter) -> None:
        """Choose what goes with it."""
        self._letters.put(self._app.drafts.conversation, letter)
        self._app.redraw()

    def more_urgent(self, by: int = 1) -> None:
        """Choose the next precedence for it."""
        self.put(self.letter.more_urgent(by))

    @property
    def empty(self) -> bool:
        """There is nothing to send."""
        return not self._app.drafts.editor.text.strip() and not self.letter.enclosed

    def enter(self) -> None:
        """Send what is there; go to the messages where there is nothing."""
        app = self._app
        if self._reading[app.drafts.conversation]:
            app.say("The file is still being read. Press Enter again when it is there.", False)
        elif self.empty:
            app.open_reading()
        elif self.letter.precedence == "emergency" and app.drafts.conversation == EVERYONE:
            app.main.open_dialog(EmergencyDialog())
        else:
            self.send()

    def send(self) -> None:
        """Send what is there."""
        app = self._app
        app.notice = None
        app.reader.to_end()
        app.operator.send(self._letters)

    def open(self) -> None:
        """Show what goes with the message."""
        self._app.main.open_dialog(LetterDialog())

    # What is enclosed

    def enclose(self, enclosed: Enclosure, conversation: str | None = None) -> None:
        """Let something go with the message."""
        where = conversation or self._app.drafts.conversation
        letter = self._letters.of(where)
        if len(letter.enclosed) >= MAX_ENCLOSED:
            self._app.say(f"At most {MAX_ENCLOSED} files go with one message.", True)
            return
        self._letters.put(where, replace(letter, enclosed=(*letter.enclosed, enclosed)))
        self._app.redraw()

    def take_off(self, enclosed: Enclosure) -> None:
        """Let something not go with the message."""
        kept = tuple(one for one in self.letter.enclosed if one.id != enclosed.id)
        self.put(replace(self.letter, enclosed=kept))
        self._app.start(self._discard(enclosed))

    async def _discard(self, enclosed: Enclosure) -> None:
        client = self._app.client
        try:
            if enclosed.voice_ms:
                await client.cancel_recording(enclosed.id)
            else:
                await client.discard(enclosed.id)
        except ClientError:
            return  # it goes by itself within a day

    def attach(self, path: Path) -> None:
        """Let a file go with the message."""
        self._app.say(f"Reading {plain_name(path.name)}...", False)
        self._app.start(self._attach(path, self._app.drafts.conversation))

    async def _attach(self, path: Path, conversation: str) -> None:
        app = self._app
        self._reading[conversation] += 1
        try:
            upload = await app.client.upload(path)
        except ClientError as error:
            app.say(str(error), True)
        except OSError as error:
            app.say(f"{plain_name(path.name)} can't be read: {error.strerror}.", True)
        else:
            self.enclose(Enclosure(upload.id, upload.name, upload.bytes), conversation)
            app.say("It goes with your message. Write something to it, or just press Enter.", False)
        finally:
            self._reading[conversation] -= 1
