"""The UDP ports of talks, as the voice process has opened them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.model.talk_media import MAX_TALKS, CloseTalk, OpenTalk, TalkCommand

ASK_AGAIN_S: Final = 1.0
MAX_HOSTS: Final = 16
"""Addresses of ours at which one talk has a port."""


class TalkSockets:
    """Asks for them, and knows them."""

    def __init__(self, emit: Callable[[TalkCommand], None]) -> None:
        self._emit = emit
        self._ports: dict[str, dict[str, int | None]] = {}
        self._asked_at: dict[tuple[str, str], float] = {}

    @property
    def talks(self) -> tuple[str, ...]:
        """Those that are open or about to be."""
        return tuple(self._ports)

    def has_room(self, talk: str) -> bool:
        """Tell whether a talk is open or may be opened."""
        return talk in self._ports or len(self._ports) < MAX_TALKS

    def port(self, talk: str, local_host: str, now: float) -> int | None:
        """Return our port at an address; None: it has been asked for, or can't be had."""
        if not self.has_room(talk):
            return None
        ports = self._ports.setdefault(talk, {})
        known = ports.get(local_host)
        if known is not None or (local_host not in ports and len(ports) >= MAX_HOSTS):
            return known
        ports[local_host] = None
        if now - self._asked_at.get((talk, local_host), float("-inf")) >= ASK_AGAIN_S:
            self._asked_at[talk, local_host] = now
            self._emit(OpenTalk(talk, local_host))
        return None

    def opened(self, talk: str, local_host: str, port: int) -> bool:
        """Learn of a port; tells whether it is of use."""
        ports = self._ports.get(talk)
        if ports is None or local_host not in ports:
            return False
        ports[local_host] = port
        return True

    def lost(self) -> None:
        """The voice process is another."""
        self._ports.clear()
        self._asked_at.clear()

    def close(self, talk: str) -> None:
        """Give the ports of a talk back."""
        if self._ports.pop(talk, None) is not None:
            self._asked_at = {key: at for key, at in self._asked_at.items() if key[0] != talk}
            self._emit(CloseTalk(talk))
