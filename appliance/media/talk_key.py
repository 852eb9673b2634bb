"""Push to talk at one stream: when the microphone is open; sans IO."""

from __future__ import annotations

from appliance.model.media import TALK_LIMIT_S


class TalkKey:
    """The key and its time; an open microphone needs none."""

    def __init__(self) -> None:
        self._is_used = False
        self._until = 0.0

    def set(self, *, used: bool | None, held: bool | None, now: float) -> None:
        """As in `SetStream`; a key that is still held gets no more time."""
        if used is not None:
            self._is_used = used
            self._until = self._until if used else 0.0
        if held is False:
            self._until = 0.0
        elif held and self._is_used and self._until <= now:
            self._until = now + TALK_LIMIT_S

    def lets_talk(self, now: float) -> bool:
        """Whether the microphone is heard."""
        return not self._is_used or now < self._until

    def left_s(self, now: float) -> float | None:
        """How long yet; 0: not now; None: the microphone is open."""
        return max(0.0, self._until - now) if self._is_used else None
