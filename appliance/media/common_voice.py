"""One encoding for all in a conference who hear the same.

Whoever is not in the mix hears all of it, so one packet does for all of those whose paths ask for
the same; encryption, copies and numbers stay each stream's.  Whoever begins to speak has an encoder
of his own again from that frame on, which is given the last of what he heard before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from appliance.media.coder import Coder, Coding
from appliance.media.effort import COMPLEXITY
from appliance.media.sender import LEAD
from appliance.media.stream import Stream

SILENT_BEATS: Final = 50
"""1 s without being in the mix; who speaks soon again does not change encoders for every word."""


class CommonVoice:
    """The encoders of a conference that work for several streams."""

    def __init__(self) -> None:
        self._coders: dict[Coding, tuple[Coder, int]] = {}
        """And how many got the last packet."""
        self._silent: dict[str, int] = {}
        """Beats for which a stream has been out of the mix."""
        self._last: deque[bytes] = deque(maxlen=LEAD)
        self._complexity = COMPLEXITY

    @property
    def spared(self) -> int:
        """Encoders that the streams need less than one each."""
        return sum(listeners - 1 for _, listeners in self._coders.values())

    def allow(self, complexity: int) -> None:
        """Encode with so much thought at most."""
        self._complexity = complexity
        for coder, _ in self._coders.values():
            coder.allow(complexity)

    def beat(
        self, streams: Iterable[Stream], everything: bytes, apart: frozenset[str]
    ) -> dict[str, bytes]:
        """The packets of 20 ms of those who get a common one, by the stream.

        ``everything`` is what all hear but those ``apart``.  Raises `OpusError`.
        """
        alike: dict[Coding, set[str]] = {}
        silent = {}
        for stream in streams:
            beats = 0 if stream.name in apart else self._silent.get(stream.name, 0) + 1
            silent[stream.name] = beats
            wanted = stream.common_coding
            if beats > SILENT_BEATS and wanted is not None:
                alike.setdefault(wanted, set()).add(stream.name)
        self._silent = silent
        packets: dict[str, bytes] = {}
        coders = {}
        for wanted, names in alike.items():
            if len(names) < 2:
                continue
            coder = self._coders[wanted][0] if wanted in self._coders else self._another(wanted)
            if (made := coder.frame(everything, wanted)) is not None:
                packets |= dict.fromkeys(names, made[0])
            coders[wanted] = coder, len(names)
        self._coders = coders
        self._last.append(everything)
        return packets

    def _another(self, wanted: Coding) -> Coder:
        coder = Coder()
        coder.allow(self._complexity)
        coder.follow(self._last, wanted)
        return coder
