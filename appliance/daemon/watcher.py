"""Whom the pump tells of what clients may want to see."""

from __future__ import annotations

from typing import Protocol

from appliance.model.call import Call
from appliance.model.media import StreamStats
from appliance.node.effects import Change


class Watcher(Protocol):
    """Who is told of what clients may want to see."""

    def changed(self, change: Change) -> None:
        """A station, message or comparison is new or different, or there is an alarm."""

    def may_change(self, message: bytes) -> None:
        """The store was just given what may change a message; if so, `changed` will say it."""

    def call_changed(self, call: Call) -> None:
        """A call is new or different."""

    def call_measured(self, stats: StreamStats) -> None:
        """A running call has new figures."""

    def links_changed(self) -> None:
        """A network interface is new or different."""

    def mesh_changed(self) -> None:
        """The network helper came, went, or sees something new."""

    def store_failed(self, why: str) -> None:
        """Something could not be stored."""

    def store_works(self) -> None:
        """Something was stored."""

    def media_changed(self) -> None:
        """The voice process came or went."""

    def station_refused(self, host: str, code: str, text: str) -> None:
        """Somebody failed to prove a key."""
