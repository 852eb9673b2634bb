"""Has a store do things until something happens to it; started by the tests beside it.

storer.py    for every line on stdin, an `Order`, a process of its own that does what it says

It ends when nobody writes to it any more.

What it says on stdout: ``pid NUMBER``, the lines of `deeds`, ``refused CODE``, ``works`` when it
works after its disk does, and ``dead STATUS``.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from deeds import Storm
from store_samples import BOB, outgoing

from appliance.adapters.store import Store, worker
from appliance.node.ports import SetValue, StoreError

_DIE_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG"""

EAGER: Final = {
    "WAL_SIZE": 1 << 16,
    "WAL_LIMIT": 1 << 18,
    "IDLE_S": 0.005,
    "MIN_COMMITS": 4,
    "LAZY_S": 0.02,
    "RETRY_S": 0.02,
}
"""Copies the log so often that what is killed soon is often killed while it does; what waits for
some seconds otherwise is as short as a test."""


@dataclass(frozen=True)
class Faults:
    """How `failing_disk.c` has the disk fail."""

    after: int
    """Calls that still work."""

    times: int
    """Calls that fail then, one after the other."""

    error: int
    """Their errno."""

    kinds: int
    """Which calls: 1 writing, 2 syncing, 4 cutting off."""


@dataclass(frozen=True)
class Order:
    """What a process has to do."""

    path: str
    """Of the store."""

    seed: int
    """Decides all that it does."""

    eager: bool
    """With the log copied often."""

    deeds: int | None = None
    """After so many, the store is closed; None: it goes on."""

    faults: Faults | None = None
    """What goes wrong, from before it is opened on."""

    dies: bool = False
    """It ends without closing the store, so that what is in the log stays there."""

    def encode(self) -> str:
        """Return it as a line."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, line: str) -> Order:
        """Read it back."""
        values = json.loads(line)
        faults = values.pop("faults")
        return cls(**values, faults=Faults(**faults) if faults else None)


def say(*words: object) -> None:
    """One whole line, past any buffer; without anybody who listens, all is over."""
    try:
        os.write(1, (" ".join(map(str, words)) + "\n").encode())
    except BrokenPipeError:
        os._exit(1)


def die_with(parent: int) -> None:
    """Leave nothing behind when the tests are killed."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it has died before it could tell


def be_eager() -> None:
    """Copy the log often from now on."""
    for name, value in EAGER.items():
        setattr(worker, name, value)


def fail(faults: Faults) -> None:
    """Have the disk fail."""
    ctypes.CDLL(None).fail_disk(
        ctypes.c_int(faults.kinds),
        ctypes.c_long(faults.after),
        ctypes.c_long(faults.times),
        ctypes.c_int(faults.error),
    )


async def obey(order: Order) -> None:
    """Do what an order says."""
    path = Path(order.path)
    if order.faults is not None:
        fail(order.faults)
    try:
        store = Store.open(path)
    except StoreError as error:
        say("refused", error.code)
        if order.faults is None:
            raise
        fail(Faults(0, 0, 0, 0))
        store = Store.open(path)
    storm = Storm(store, seed=order.seed, say=say, deeds=order.deeds)
    await storm.run()
    if order.faults is not None:
        fail(Faults(0, 0, 0, 0))
        written = outgoing(BOB, seed=f"works {order.seed}".encode())
        await store.perform(written)
        say("wrote", written.record.id.hex(), BOB.key.hex())
        await store.perform(SetValue("works", str(order.seed).encode()))
        say("works")
    if order.dies:
        os._exit(0)
    await store.close()


def main() -> None:
    """Obey every order in a process of its own."""
    me = os.getpid()
    for line in sys.stdin:
        order = Order.decode(line)
        pid = os.fork()
        if pid == 0:
            die_with(me)
            if order.eager:
                be_eager()
            asyncio.run(obey(order))
            os._exit(0)
        say("pid", pid)
        _, status = os.waitpid(pid, 0)
        say("dead", status)


if __name__ == "__main__":
    main()
