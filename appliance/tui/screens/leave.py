"""Leaving the screen: it asks, because the key for it is easily pressed."""

from __future__ import annotations

from appliance.tui.dialogs import Item, ListDialog, paragraphs
from appliance.tui.pane import Row


class LeaveDialog(ListDialog):
    """Leave or stay."""

    title = "Leave the screen?"

    def intro(self, width: int) -> list[Row]:
        text = "Your station goes on without it: calls, messages and what you began to write stay."
        return [*paragraphs(text, width), []]

    def items(self) -> list[Item]:
        return [Item("Leave", lambda: self.station_app.exit(0)), Item("Stay", lambda: None)]
