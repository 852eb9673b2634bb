"""Another station, which puts a blob to a daemon and gets it back, over one session.

bulk_station.py HOST PORT STATION-ID BYTES
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from appliance.adapters.blobs import Blobs
from appliance.adapters.sessions import Hooks, Sessions
from appliance.model.identity import StationId, StationKey


def content(directory: Path, size: int) -> tuple[Path, str]:
    """A file and its hash."""
    data = os.urandom(size)
    file = directory / "content"
    file.write_bytes(data)
    return file, hashlib.sha256(data).hexdigest()


async def main(host: str, port: int, station: StationId, size: int) -> None:
    hooks = Hooks(lambda _: None, lambda *_: None, lambda *_: None, lambda *_: None)
    with tempfile.TemporaryDirectory() as directory:
        file, digest = content(Path(directory), size)
        blobs = Blobs(Path(directory, "blobs"))
        sessions = Sessions(StationKey.generate(), boot=os.urandom(8), blobs=blobs, hooks=hooks)
        await sessions.listen(0)
        try:
            bulk = sessions.bulk(await sessions.dial(host, port, station))
            await bulk.put(digest, file)
            await bulk.get(digest, blobs)
        finally:
            await sessions.close()


if __name__ == "__main__":
    there, at, who, many = sys.argv[1:]
    asyncio.run(main(there, int(at), StationId.parse(who), int(many)))
