"""Has a voice process note what its jitter buffer is given; in the path of `record_arrivals` only.

The packets' times are those at which the process had read them, its own lateness included.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

if "appliance.media" in sys.orig_argv and "FENCEWIRE_ARRIVALS" in os.environ:
    from appliance.protocol.jitter import JitterBuffer

    _push = JitterBuffer.push
    _file = Path(os.environ["FENCEWIRE_ARRIVALS"], f"{socket.gethostname()}-{os.getpid()}")
    _notes = _file.open("a", buffering=1, encoding="ascii")

    def _noting(self: JitterBuffer, packet: Any, **more: Any) -> object:
        pushed = _push(self, packet, **more)
        copies = ",".join(str(copy.offset) for copy in more.get("copies", ()))
        row = (packet.ssrc, packet.sequence_number, packet.timestamp, more["samples"])
        _notes.write(f"{more['now']:.4f} {' '.join(map(str, row))} {packet.marker:d} {copies}\n")
        return pushed

    JitterBuffer.push = _noting  # type: ignore[method-assign,assignment]
