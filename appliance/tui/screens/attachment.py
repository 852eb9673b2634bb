"""One file that came with a message: fetch it, save it, listen to it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from appliance.api.errors import ClientError
from appliance.api.recordings import StartPlayback
from appliance.api.schema import Attachment, Message
from appliance.tui.actions import MessageCame
from appliance.tui.browsing import numbered, safe_name
from appliance.tui.dialogs import Item, ListDialog, paragraphs
from appliance.tui.pane import Row
from appliance.tui.screens.files import SaveDialog
from appliance.tui.screens.voice import PlayDialog
from appliance.tui.text import one_line, plain, plain_name
from appliance.tui.wording import attachment_state, attachment_title, is_voice

_MAX_SAME_NAMES: Final = 100


class AttachmentDialog(ListDialog):
    """What can be done with it."""

    title = "File"

    def __init__(self, message: Message, index: int) -> None:
        super().__init__()
        self._message = message
        self._index = index

    def attachment(self) -> Attachment | None:
        """Return it as it is now."""
        talk = self.station_app.state.talks.get(self._message.conversation)
        found = talk.messages if talk else ()
        message = next((one for one in found if one.id == self._message.id), self._message)
        return next((one for one in message.attachments if one.index == self._index), None)

    def intro(self, width: int) -> list[Row]:
        one = self.attachment()
        if one is None:
            return []
        rows = [*paragraphs(attachment_title(one), width)]
        rows += paragraphs(attachment_state(one), width)
        if one.preview:
            rows += [[], *paragraphs(plain(one.preview), width)]
        return [*rows, []]

    def items(self) -> list[Item]:
        one = self.attachment()
        items: list[Item] = []
        if one is not None and one.state == "here":
            if is_voice(one):
                items.append(Item("Listen to it", self._listen))
            items.append(Item("Save it", self._save))
        elif one is not None and not self._message.outgoing and one.state == "waiting":
            items.append(Item("Fetch it now", self._fetch))
        return [*items, Item("Back", lambda: None)]

    def _listen(self) -> None:
        what = StartPlayback(message=self._message.id, attachment=self._index)
        self.station_app.main.open_dialog(PlayDialog(what))

    def _save(self) -> None:
        self.station_app.main.open_dialog(SaveDialog(self._save_in))

    def _save_in(self, directory: Path) -> None:
        one = self.attachment()
        if one is not None:
            self.station_app.say(f"Saving {plain_name(one.name)}...", False)
            self.station_app.start(self._download(directory, safe_name(one.name)))

    async def _download(self, directory: Path, name: str) -> None:
        app = self.station_app
        for count in range(1, _MAX_SAME_NAMES):
            path = directory / numbered(name, count)
            try:
                await app.client.download(self._message.id, self._index, path)
            except FileExistsError:
                continue
            except ClientError as error:
                app.say(str(error), True)
            except OSError as error:
                app.say(f"It can't be saved there: {error.strerror}.", True)
            else:
                app.say(f"Saved: {one_line(str(path))}", False)
            return
        app.say("There are too many files of that name. Choose another directory.", True)

    def _fetch(self) -> None:
        self.station_app.say("It is asked for.", False)
        self.station_app.start(self._ask())

    async def _ask(self) -> None:
        app = self.station_app
        message = await app.operator.ask(app.client.fetch(self._message.id, self._index))
        if message is not None:
            app.dispatch(MessageCame(message))
