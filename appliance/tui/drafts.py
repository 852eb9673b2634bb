"""Texts that were begun, one per conversation, kept by the daemon so that they outlive the screen.

What is typed is stored half a second later, and all of it when the screen closes.  While the
daemon is away it stays here.
"""

from __future__ import annotations

import asyncio
from typing import Final

from appliance.api.errors import ClientError, RequestError
from appliance.tui.client import StationClient
from appliance.tui.editor import Editor, filled

SAVE_AFTER_S: Final = 0.5
RETRY_AFTER_S: Final = 2.0


class Drafts:
    """The message lines of all conversations."""

    def __init__(self, conversation: str) -> None:
        self._editors: dict[str, Editor] = {}
        self._loaded: set[str] = set()
        self._unsaved: set[str] = set()
        self._changed = asyncio.Event()
        self._saving = asyncio.Lock()
        self.conversation = conversation
        """The one that is shown."""

    @property
    def editor(self) -> Editor:
        """The message line that is shown."""
        return self._editors.get(self.conversation, Editor())

    def edit(self, editor: Editor) -> None:
        """Take what the operator typed."""
        self.put(self.conversation, editor)

    def put(self, conversation: str, editor: Editor) -> None:
        """Take a conversation's text."""
        if editor.text != self._editors.get(conversation, Editor()).text:
            self._unsaved.add(conversation)
            self._changed.set()
        self._editors[conversation] = editor

    def take(self) -> str:
        """Empty the shown line to send it; the daemon keeps it as a draft until `sent`."""
        text = self.editor.text
        self._editors[self.conversation] = Editor()
        return text

    def sent(self, conversation: str) -> None:
        """Note that what was taken is on disk, so that the draft may go."""
        self._unsaved.add(conversation)
        self._changed.set()

    def give_back(self, conversation: str, text: str) -> None:
        """Put a text that could not be sent before what was typed since."""
        now = self._editors.get(conversation, Editor()).text
        self.put(conversation, filled(f"{text}\n{now}" if now else text))

    async def load(self, client: StationClient, conversation: str) -> None:
        """Fetch a conversation's text, once; what was typed before it came stands behind it."""
        if conversation in self._loaded:
            return
        text = await client.draft(conversation)
        if conversation in self._loaded:
            return
        self._loaded.add(conversation)
        if conversation not in self._editors:
            self._editors[conversation] = filled(text)
        elif text:
            self.give_back(conversation, text)

    async def flush(self, client: StationClient) -> None:
        """Store what is not stored yet.  Raises ClientError, and keeps it then."""
        async with self._saving:
            while self._unsaved:
                conversation = self._unsaved.pop()
                try:
                    # What was kept before must not be lost to what was typed while it was away.
                    await self.load(client, conversation)
                    text = self._editors.get(conversation, Editor()).text
                    await client.set_draft(conversation, text)
                except RequestError:
                    continue  # too long to be kept; sending it says so
                except BaseException:
                    self._unsaved.add(conversation)
                    raise

    async def run(self, client: StationClient) -> None:
        """Store changes for ever."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SAVE_AFTER_S)
            self._changed.clear()
            try:
                await self.flush(client)
            except ClientError:
                await asyncio.sleep(RETRY_AFTER_S)
                self._changed.set()
