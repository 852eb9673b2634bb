"""Has a store do things on a disk of its own; the tests beside it start this in a mount namespace.

disk_child.py record DIR SEED   every write to the disk is recorded, with what was promised by when
disk_child.py pull DIR SEED     the disk is pulled out while the store is in use, and put back
disk_child.py fill DIR SEED     the disk runs full and gets room again, over and over

DIR/disk is an ext4 file system.  Everything mounted, and the loop device below it, ends with this
process.  Says lines like `storer`; a recording also has the place in its log before each.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from deeds import Storm
from promises import Promises
from replay import MOUNT_OPTIONS
from storer import be_eager, die_with, say

from appliance.adapters.store import Store
from appliance.node.ports import StoreError
from images.vm.write_log import blockdev_arguments, position_now

LIVES: Final = 6
"""Times that the store is opened while it is recorded."""

DEEDS: Final = 160
"""Things done in each."""

PULLED_AFTER: Final = 400
"""Promises."""

FILLINGS: Final = 8
"""Times that the disk runs full."""

READY_WITHIN_S: Final = 10.0


def run(*command: object) -> None:
    """Run a program that says what went wrong."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command} failed: {done.stderr}")


@contextmanager
def mounted(disk: Path, at: Path) -> Iterator[Path]:
    """Mount an ext4 file system from a file."""
    run("mount", "-t", "ext4", "-o", MOUNT_OPTIONS, disk, at)
    try:
        yield at
    finally:
        run("umount", at)


@contextmanager
def recorded(disk: Path, log: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a file that is the disk, with all writes to it logged, and how to pull it out."""
    exported = disk.with_name("exported")
    exported.touch()
    node = "driver=file,node-name=file,filename=" + str(disk)
    export = f"fuse,id=export,node-name=disk,mountpoint={exported},writable=on"
    logged = blockdev_arguments(log=log, file_node="file", node="disk")
    with subprocess.Popen(
        ["qemu-storage-daemon", "--blockdev", node, *doubled(logged), "--export", export],
        preexec_fn=partial(die_with, os.getpid()),  # no other thread runs here yet
    ) as daemon:
        until = time.monotonic() + READY_WITHIN_S
        while exported.stat().st_size != disk.stat().st_size:
            assert daemon.poll() is None, "the disk is not there"
            assert time.monotonic() < until, "the disk does not come"
        try:
            yield exported, daemon.kill
        finally:
            daemon.send_signal(signal.SIGTERM)


def doubled(arguments: tuple[str, ...]) -> list[str]:
    """QEMU's options as its storage daemon has them."""
    return [word.replace("-blockdev", "--blockdev") for word in arguments]


def record(directory: Path, seed: int) -> None:
    """Store, end with and without closing, and open again."""
    log = directory / "log"
    with recorded(directory / "disk", log) as (disk, _), mounted(disk, directory / "at") as at:
        me = os.getpid()
        for life in range(LIVES):
            pid = os.fork()
            if pid == 0:
                die_with(me)
                asyncio.run(live(at / "store.db", log, seed=seed + life, close=life % 2 == 1))
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
    say("end")


async def live(path: Path, log: Path, *, seed: int, close: bool) -> None:
    """Store for a while; without closing, the next one finds the log."""

    def placed(*words: object) -> None:
        say(position_now(log), *words)

    store = Store.open(path)
    await Storm(store, seed=seed, say=placed, deeds=DEEDS).run()
    if close:
        await store.close()


async def pull(directory: Path, seed: int) -> None:
    """Go on storing on a disk that is not there, then look what it has."""
    promises, left = Promises(), PULLED_AFTER
    at = directory / "at"
    with recorded(directory / "disk", directory / "log") as (disk, pull_out):
        run("mount", "-t", "ext4", "-o", MOUNT_OPTIONS, disk, at)

        def counted(*words: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                pull_out()
            heed(promises, *words)

        store = Store.open(at / "store.db")
        await Storm(store, seed=seed, say=counted, deeds=2 * PULLED_AFTER).run()
        say("closing")
        await store.close()
        run("umount", "--lazy", at)
    repair(directory / "disk")
    with mounted(directory / "disk", at):
        promises.check(at / "store.db")
    say("end")


def repair(disk: Path) -> None:
    """Do what a start with `fsck.repair=yes` does."""
    done = subprocess.run(["e2fsck", "-y", disk], stdout=subprocess.DEVNULL)
    assert done.returncode <= 1, "it could not be repaired"


def heed(promises: Promises, *words: object) -> None:
    """Keep a promise in mind, and say what is none."""
    if words[0] == "refused":
        say(*words)
    else:
        promises.note(*map(str, words))


async def fill(directory: Path, seed: int) -> None:
    """Fill the disk up to the last block, or nearly, and make room again."""
    dice, promises = random.Random(seed), Promises()
    with mounted(directory / "disk", directory / "at") as at:
        path, ballast = at / "store.db", at / "ballast"

        async def storm(store: Store, deeds: int) -> None:
            seed = dice.getrandbits(40)
            await Storm(store, seed=seed, say=partial(heed, promises), deeds=deeds).run()

        for _ in range(FILLINGS):
            ballast.unlink(missing_ok=True)
            say("room")
            store = Store.open(path)
            await storm(store, 40)
            say("full")
            take(ballast, leave=dice.choice((0, 4096, 20_000, 300_000)))
            await storm(store, 150)
            if dice.random() < 0.5:
                ballast.unlink()
                say("room")
                await storm(store, 40)
            say("closing")
            await store.close()
            try:
                promises.check(path)
            except StoreError as error:
                # There may be no room for the index of its log.
                say("refused", error.code)
                ballast.unlink()
                promises.check(path)
        say("kept", len(promises))
    run("e2fsck", "-fn", directory / "disk")
    say("end")


def take(ballast: Path, *, leave: int) -> None:
    """Take all room of a file system but this."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            while True:
                free = os.statvfs(ballast).f_bavail * os.statvfs(ballast).f_frsize
                if free - size < leave:
                    break
                try:
                    file.write(bytes(size))
                    os.fsync(file.fileno())
                except OSError:
                    break


def main() -> None:
    """Do what the command line says."""
    what, directory, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    (directory / "at").mkdir()
    be_eager()
    if what == "record":
        record(directory, seed)
    else:
        asyncio.run({"pull": pull, "fill": fill}[what](directory, seed))


if __name__ == "__main__":
    main()
