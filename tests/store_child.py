"""Programs that use the store and meet a bad end; the tests of the store start them.

store_child.py storm PATH     for every line on stdin, a process that stores until it is killed
store_child.py commits PATH   a number of commits, with marks for strace
store_child.py full DIR       a disk of 1 MiB runs full and gets room again
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

from store_samples import ANN, got, incoming, outgoing

from appliance.adapters.store import Store
from appliance.model.message import DeliveryState
from appliance.node.ports import (
    CountUnread,
    GetMessage,
    GetValue,
    SaveIncoming,
    SetValue,
    StoreError,
)

COMMITS = 20


def say(*words: object) -> None:
    """One whole line, past any buffer."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def say_read(message: bytes, _: object) -> None:
    say("read", message.hex())


async def storm(path: Path) -> None:
    """Stores and says what is stored, sixteen at a time."""
    store = Store.open(path)
    count = 0

    async def one() -> None:
        nonlocal count
        while True:
            count += 1
            seed = f"{os.getpid()} {count}".encode()
            arrived, written = incoming(ANN, seed=seed), outgoing(ANN, seed=seed + b"!", size=9000)
            await store.perform(arrived)
            say("stored", arrived.record.id.hex())
            await store.perform(written)
            say("stored", written.record.id.hex())
            read = got(ANN, DeliveryState.READ, written.record.id)
            store.submit(read, lazy=True, on_durable=partial(say_read, written.record.id))

    await asyncio.gather(*(one() for _ in range(16)))


def storms(path: Path) -> None:
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(storm(path))
        say("pid", pid)
        os.waitpid(pid, 0)
        say("dead")


async def commits(path: Path) -> None:
    store = Store.open(path)
    await store.perform(incoming(ANN))  # the first one begins the log

    os.chdir("/")
    for _ in range(COMMITS):
        await store.perform(incoming(ANN))
    os.chdir("/")
    await asyncio.gather(*(store.perform(incoming(ANN)) for _ in range(COMMITS)))
    os.chdir("/")
    for _ in range(COMMITS):
        await store.perform(CountUnread())
    os.chdir("/")
    for number in range(COMMITS):
        store.submit(SetValue(str(number), b""), lazy=True)
    await store.perform(GetValue("0"))
    await store.perform(incoming(ANN))
    os.chdir("/")
    await store.close()


def mount(directory: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    subprocess.run(command, check=True)


async def full(directory: Path) -> None:
    ballast = directory / "ballast"
    ballast.write_bytes(bytes(300_000))
    store = Store.open(directory / "store.db")
    stored: list[SaveIncoming] = []
    refused: list[SaveIncoming] = []
    codes: list[tuple[str, str]] = []
    lazy: list[str] = []

    async def keep(count: int) -> None:
        for _ in range(count):
            operations = [incoming(ANN, size=3000) for _ in range(3)]
            store.submit(
                SetValue("lazy", bytes(len(stored) % 200)),
                lazy=True,
                on_failed=lambda error: lazy.append(error.code),
            )
            calls = (store.perform(operation) for operation in operations)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for operation, answer in zip(operations, answers, strict=True):
                (refused if isinstance(answer, StoreError) else stored).append(operation)
                if isinstance(answer, StoreError):
                    codes.append((answer.code, str(answer)))
                elif isinstance(answer, BaseException):
                    raise answer

    await keep(200)
    before, missing = len(stored), len(refused)
    readable = await store.perform(GetMessage(stored[0].record.id)) == stored[0].message
    unread = await store.perform(CountUnread())
    ballast.unlink()
    await keep(10)
    with_room = len(stored) - before
    await store.close()

    store = Store.open(directory / "store.db")
    for operation in stored:
        assert await store.perform(GetMessage(operation.record.id)) == operation.message
    for operation in refused:
        assert await store.perform(GetMessage(operation.record.id)) is None
    await store.close()
    with closing(sqlite3.connect(directory / "store.db")) as db:
        checks = [*db.execute("PRAGMA integrity_check"), *db.execute("PRAGMA foreign_key_check")]
    report = {
        "stored": before,
        "refused": missing,
        "refused_with_room": len(refused) - missing,
        "stored_with_room": with_room,
        "unread_when_full": unread[ANN],
        "readable": readable,
        "codes": sorted(set(codes)),
        "lazy_codes": sorted(set(lazy)),
        "checks": checks,
    }
    say(json.dumps(report))


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    if what == "storm":
        storms(where)
    elif what == "commits":
        asyncio.run(commits(where))
    else:
        mount(where)
        asyncio.run(full(where))
