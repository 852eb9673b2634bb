"""Runs programs that are asked one thing and answer it: ip, tc, nft, iw.  None of them is endless.

What an answer means, and what is said of one that did not come, stays with who asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Sequence
from typing import Final

SEARCH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""Where programs are; an ordinary PATH of Debian has not those for administrators."""

MAX_BYTES: Final = 8_000_000
"""Of what a program says, much more than of thousands of routes; the rest is thrown away."""

END_S: Final = 2.0
"""How long one that was killed is waited for."""

_READ_BYTES: Final = 65536


async def run(
    words: Sequence[str], *, given: bytes = b"", within_s: float
) -> tuple[int, bytes, bytes]:
    """Return the exit status, the output and the complaints; `given` is its input.

    Raises FileNotFoundError where there is no such program, TimeoutError where it does not end in
    time, and OSError where it does not start.  Nothing is left behind, also when we are cancelled.
    """
    program = shutil.which(words[0], path=SEARCH)
    if program is None:
        raise FileNotFoundError(words[0])
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        program,
        *words[1:],
        stdin=pipe if given else nothing,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "LC_ALL": "C"},  # What is read here is in nobody's language.
    )
    try:
        async with asyncio.timeout(within_s):
            said, complaint, _ = await asyncio.gather(
                _read(process.stdout), _read(process.stderr), _give(process.stdin, given)
            )
            return await process.wait(), said, complaint
    finally:
        await _end(process)


async def _read(source: asyncio.StreamReader | None) -> bytes:
    """Read all, and keep the beginning."""
    assert source is not None
    kept = bytearray()
    while data := await source.read(_READ_BYTES):
        kept += data[: MAX_BYTES - len(kept)]
    return bytes(kept)


async def _give(to: asyncio.StreamWriter | None, data: bytes) -> None:
    """Write all that is taken; who ends before says by its exit status how it went."""
    if to is None:
        return
    with contextlib.suppress(ConnectionError):
        to.write(data)
        await to.drain()
    to.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        # A process that hangs in the kernel dies later; the loop's child watcher reaps it then.
        # That it takes long must not hide why we are here: a cancellation, or that time was up.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await process.wait()
