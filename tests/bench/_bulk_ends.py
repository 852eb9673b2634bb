"""The two ends of a transfer, as stations of their own: the daemon's parts for bulk and no more.

    python _bulk_ends.py hold BYTES                          says what it holds, until stdin ends
    python _bulk_ends.py fetch HOST HELD [DIRECTORY]         fetches it, and says how long it took

HELD is what `hold` has said. A fetch is over when the blob is hashed and on disk; DIRECTORY is
where it goes. For those who run them in a village, there is `holding` and `fetching`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter

from harness import percentile

from appliance.adapters.blobs import BlobLimits, Blobs
from appliance.adapters.session import Session
from appliance.adapters.sessions import Hooks, Sessions
from appliance.daemon.transfers import BlobTransfers
from appliance.model.attachment import MAX_BLOB
from appliance.model.identity import StationId, StationKey
from appliance.node.ports.blobs import BlobArrived, BlobNews, BlobTrouble
from appliance.node.transfers import Transfers
from appliance.node.wanted import Want
from appliance.village.village import Village

ROOT = Path(__file__).parents[2]
TICK_S = 0.02
PROGRAM = ["env", f"PYTHONPATH={ROOT}", sys.executable, __file__]


@dataclass(frozen=True)
class Held:
    """What a holder has, and where it listens."""

    station: str
    """Its id."""
    port: int
    """Of its sessions."""
    root: str
    """Of the blob, hexadecimal."""
    size: int
    """Bytes of the blob as it travels."""
    cpu_s: float = 0.0
    """Processor time that the fetch took; said by `fetch`."""
    seconds: float = 0.0
    """How long it took; said by `fetch`."""
    late_ms: float = 0.0
    """By how much a timer of 20 ms was late beside it, p99: what a call's signalling waits."""


@asynccontextmanager
async def station(directory: Path) -> AsyncIterator[tuple[StationKey, Sessions, Blobs]]:
    """A station that takes sessions and serves blobs."""
    key = StationKey.generate()
    blobs = Blobs(directory, BlobLimits(each=MAX_BLOB, total=2 * MAX_BLOB))
    hooks = Hooks(
        on_open=lambda _: None,
        on_message=lambda *_: None,
        on_close=lambda *_: None,
        on_refused=lambda *_: None,
    )
    sessions = Sessions(key, boot=os.urandom(8), blobs=blobs, hooks=hooks)
    await sessions.listen(0)
    try:
        yield key, sessions, blobs
    finally:
        await sessions.close()


async def hold(directory: Path, size: int) -> None:
    """Serve random bytes, sealed, until nobody needs them any more."""
    async with station(directory) as (key, sessions, blobs):
        file = directory / "file"
        file.write_bytes(os.urandom(size))
        with file.open("rb") as source:
            root = blobs.add(source, size, sealed=True).root
        held = Held(key.id.text, sessions.port, root.hex(), blobs.size(root) or 0)
        print(json.dumps(vars(held)), flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def fetch(host: str, held: Held, directory: Path) -> None:
    """Fetch what is held, over a session that stands."""
    peer, root = StationId.parse(held.station), bytes.fromhex(held.root)
    done = asyncio.Event()

    def tell(news: BlobNews) -> None:
        if isinstance(news, BlobTrouble):
            raise RuntimeError(news.end.value)
        if isinstance(news, BlobArrived):
            done.set()

    async with station(directory) as (key, sessions, blobs):
        session: Session = await sessions.dial(host, held.port, peer)
        core = Transfers(key.id, Random(1).random)
        transfers = BlobTransfers(core, blobs, client=lambda _: sessions.bulk(session), tell=tell)
        transfers.do(lambda now: core.session_up(peer, now))
        began, cpu = perf_counter(), sum(os.times()[:2])
        late = asyncio.create_task(lateness(done))
        want = Want(root, held.size, sources=(peer,))
        transfers.do(lambda now: core.wanted(want, now))
        await done.wait()
        took = {"seconds": perf_counter() - began, "cpu_s": sum(os.times()[:2]) - cpu}
        print(json.dumps({**vars(held), **took, "late_ms": await late}), flush=True)
        await transfers.close()


async def lateness(done: asyncio.Event) -> float:
    """How late a timer is meanwhile, in milliseconds: p99."""
    found = []
    while not done.is_set():
        due = perf_counter() + TICK_S
        await asyncio.sleep(TICK_S)
        found.append((perf_counter() - due) * 1000)
    return percentile(found, 99)


@contextmanager
def holding(up: Village, name: str, size: int) -> Iterator[Held]:
    """A holder beside a station of a village."""
    process = up.popen(
        name,
        [*PROGRAM, "hold", str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield Held(**json.loads(process.stdout.readline()))
        finally:
            process.terminate()


def fetching(host: str, held: Held, directory: Path | None = None) -> list[str]:
    """The command that fetches from a holder."""
    where = [str(directory)] if directory is not None else []
    return [*PROGRAM, "fetch", host, json.dumps(vars(held)), *where]


def main(what: str, *words: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if what == "hold":
            asyncio.run(hold(Path(scratch), int(words[0])))
        else:
            held = Held(**json.loads(words[1]))
            directory = Path(words[2]) if len(words) > 2 else Path(scratch)
            asyncio.run(fetch(words[0], held, directory))


if __name__ == "__main__":
    main(*sys.argv[1:])
