"""Which sound cards are open: the chosen ones where they are there, else the system's.

A card that is pulled out is noticed, and opened again when it is back; meanwhile the default stands
in for one that was chosen.  PortAudio knows only the cards that were there when it began, and
beginning anew closes all of them, so that is done when nothing is open, or when the kernel shows
other cards than before and one is sought: the other direction is then silent for a moment, once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Generic, TypeVar

from appliance.adapters.audio import AudioError, Microphone, Speaker, cards_seen, rescan

Device = TypeVar("Device", Microphone, Speaker)


class Side(Generic[Device]):
    """One direction: what is wanted, what is open, and what is wrong with it."""

    def __init__(self, what: str, make: Callable[[str | None], Device]) -> None:
        """``make`` opens a card by name or the default; raises `AudioError`."""
        self.what = what
        self.wanted = False
        self.chosen: str | None = None
        self.device: Device | None = None
        self.problem: str | None = None
        """Why there is none; it stays until the next one has really moved sound."""
        self.notice: str | None = None
        """Another card than the chosen one is used: one sentence."""
        self._make: Callable[[str | None], Device] = make
        self._gaps = 0

    @property
    def seeks(self) -> bool:
        """A card that comes now could be used."""
        return self.wanted and (self.device is None or self.notice is not None)

    @property
    def gaps(self) -> int:
        """How often its cards ran dry or over."""
        return self._gaps + (self.device.gaps if self.device is not None else 0)

    def watch(self) -> None:
        """Notice that the card has stopped, or that it works."""
        if not self.wanted:
            self.leave()
            self.problem = None
        elif self.device is not None and not self.device.alive:
            self.leave()
            self.problem = f"The {self.what} has stopped; is it unplugged?"
        elif self.device is not None and self.device.beats:
            self.problem = None

    def leave(self) -> None:
        """Close what is open."""
        gone, self.device, self.notice = self.device, None, None
        if gone is not None:
            self._gaps += gone.gaps
            gone.close()

    def open(self) -> None:
        """Open the chosen card or the one that stands in; `problem` says why not."""
        if not self.wanted or self.device is not None:
            return
        try:
            self.device = self._make(self.chosen)
        except AudioError as error:
            first = str(error)
        else:
            return
        if self.chosen is not None:
            with contextlib.suppress(AudioError):  # The chosen one is what is to be heard of.
                self.device = self._make(None)
                self.notice = f"{first} Until then the system's own is used."
                return
        self.problem = first


class Cards:
    """Both sides, and when PortAudio has to look anew; for one thread."""

    def __init__(
        self,
        microphone: Callable[[str | None], Microphone],
        speaker: Callable[[str | None], Speaker],
    ) -> None:
        self.microphone = Side("microphone", microphone)
        self.speaker = Side("loudspeaker", speaker)
        self._seen: tuple[object, ...] | None = None

    @property
    def _sides(self) -> tuple[Side[Microphone], Side[Speaker]]:
        return self.microphone, self.speaker

    @property
    def idle(self) -> bool:
        """Nothing is open."""
        return self.microphone.device is None and self.speaker.device is None

    def follow(self) -> bool:
        """Bring what is open in line with what is wanted and there; True: something was opened."""
        for side in self._sides:
            side.watch()
        before = (self.microphone.device, self.speaker.device)
        if any(side.seeks for side in self._sides) and (self.idle or cards_seen() != self._seen):
            self.look()
        for side in self._sides:
            side.open()
        after = (self.microphone.device, self.speaker.device)
        return any(new is not None and new is not old for old, new in zip(before, after))  # noqa: B905

    def look(self) -> None:
        """Have PortAudio look for cards; closes what is open."""
        self.leave()
        self._seen = cards_seen()
        try:
            rescan()
        except AudioError as error:
            for side in self._sides:
                if side.wanted:
                    side.problem = str(error)

    def leave(self) -> None:
        """Give all cards back."""
        for side in self._sides:
            side.leave()
