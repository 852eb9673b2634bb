"""Messages that are new or different, read from the store for those who show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.adapters.store import Store
from appliance.model.group import Conversation
from appliance.node.ports import CountUnread, GetMessage, StoredMessage, StoreError

AT_ONCE: Final = 32
"""Messages that are read together."""


class MessageNews:
    """Reads each message that changed, as it is then: one that changes on is told of once."""

    def __init__(
        self,
        store: Store,
        *,
        tell: Callable[[StoredMessage], None],
        counted: Callable[[dict[Conversation, int]], None],
        failed: Callable[[StoreError], None],
    ) -> None:
        """`counted` is called with the unread messages whenever they may be others."""
        self._store = store
        self._tell, self._counted, self._failed = tell, counted, failed
        self._changed: set[bytes] = set()
        """What is still to be read."""
        self._reading = 0
        """How many are being read."""
        self._foreseen: bytes | None = None
        """What is read at once behind what may change it."""
        self._came_true = False
        self._recount = False
        self._error: StoreError | None = None
        """Why some of those could not be."""

    def changed(self, message: bytes) -> None:
        """A message is new or different; what changes while others are read is read together."""
        if message == self._foreseen:
            self._came_true = True
            return
        self._changed.add(message)
        self._read()

    def foreseen(self, message: bytes) -> None:
        """The store was just given what may change a message: it is read right behind that.

        It is told of only if it does change.
        """
        # One at a time: others can lead to this as often as they like.
        if self._reading or self._foreseen is not None:
            return
        self._foreseen, self._came_true = message, False
        self._store.submit(
            GetMessage(message),
            on_durable=self._found_foreseen,
            on_failed=lambda _: self._found_foreseen(None),
        )

    def _found_foreseen(self, message: StoredMessage | None) -> None:
        changed, self._foreseen = self._foreseen, None
        if not self._came_true or changed is None:
            return
        if message is not None:
            self._tell(message)
        else:
            self.changed(changed)

    def _read(self) -> None:
        if self._reading:
            return
        while self._changed and self._reading < AT_ONCE:
            self._reading += 1
            self._store.submit(
                GetMessage(self._changed.pop()), on_durable=self._found, on_failed=self._not_found
            )

    def _found(self, message: StoredMessage | None) -> None:
        # What we write is never unread.
        self._recount |= message is None or not message.outgoing
        try:
            if message is not None:
                self._tell(message)
        finally:
            self._done()

    def _not_found(self, error: StoreError) -> None:
        self._error = error
        self._done()

    def _done(self) -> None:
        self._reading -= 1
        if self._reading:
            return
        if self._recount:
            self._recount = False
            self._store.submit(CountUnread(), on_durable=self._counted, on_failed=self._failed)
        if self._error is not None:
            error, self._error = self._error, None
            self._failed(error)
        self._read()
