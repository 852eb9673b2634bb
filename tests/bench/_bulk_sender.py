"""Sends a blob to a station's daemon as another station would: one session, one PUT.

    python _bulk_sender.py HOST PORT STATION-ID BYTES [back]

Prints the seconds that the blob took, once the session stood. `back`: then gets it back.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

from appliance.adapters.blobs import Blobs
from appliance.adapters.sessions import Hooks, Sessions
from appliance.model.identity import StationId, StationKey


def random_file(directory: Path, size: int) -> tuple[Path, str]:
    """A file that can't be compressed, and its hash."""
    content = os.urandom(size)
    file = directory / "blob"
    file.write_bytes(content)
    return file, hashlib.sha256(content).hexdigest()


async def send(host: str, port: int, station: StationId, size: int, *, back: bool = False) -> float:
    """Seconds from the first byte's request to the answer that the blob is on disk there."""
    hooks = Hooks(
        on_open=lambda _: None,
        on_message=lambda *_: None,
        on_close=lambda *_: None,
        on_refused=lambda *_: None,
    )
    with tempfile.TemporaryDirectory() as directory:
        file, digest = random_file(Path(directory), size)
        key = StationKey.generate()
        blobs = Blobs(Path(directory, "blobs"))
        sessions = Sessions(key, boot=os.urandom(8), blobs=blobs, hooks=hooks)
        await sessions.listen(0)
        try:
            bulk = sessions.bulk(await sessions.dial(host, port, station))
            began = time.perf_counter()
            await bulk.put(digest, file)
            took = time.perf_counter() - began
            if back:
                await bulk.get(digest, blobs)
            return took
        finally:
            await sessions.close()


if __name__ == "__main__":
    host, port, station, size, *back = sys.argv[1:]
    who = StationId.parse(station)
    print(asyncio.run(send(host, int(port), who, int(size), back=back == ["back"])))
