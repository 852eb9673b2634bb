"""Whether the operator has to be told that nothing can be stored, or that the store is damaged.

A full disk still takes what is small, and answers what is only asked, so one success says little:
it is over when there is room again and each kind of operation that failed has succeeded.

Damage that comes while the store is in use is looked for now and then, since a card may rot for
months under a board that nobody restarts.  The daemon then starts anew, and mends it as it opens
it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from appliance.adapters.service_manager import notify, notify_alive
from appliance.adapters.store import Store, database, salvage
from appliance.api.schema import Problem
from appliance.node.effects import Transact
from appliance.node.ports import Operation, StoreError

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 20.0
"""How often it is asked whether a check is due, and whether nobody talks any more."""

CHECK_AFTER_S: Final = 60.0
"""From the start to the first check; others come up faster without it."""

CHECK_EVERY_S: Final = 24 * 3600.0
"""Between checks.  Each reads the whole file, which wears nothing."""

CHECK_TROUBLED_S: Final = 3600.0
"""Between checks while something can't be stored."""

OPENING_S: Final = 5.0
"""How often the service manager is told that the store is still being opened."""

DAMAGED: Final = Problem(
    "store-damaged",
    "A part of the message store can't be read any more.",
    "When no call is going on, this station starts anew and saves what can be read, for which the "
    "disk needs as much room again as the store has.",
)


class StoreHealth:
    """What failed last."""

    def __init__(
        self,
        has_room: Callable[[], bool],
        on_failed: Callable[[str], None],
        on_works: Callable[[], None],
    ) -> None:
        self._has_room, self._on_failed, self._on_works = has_room, on_failed, on_works
        self._troubled = False
        self._failing: set[type[Operation[Any]]] = set()

    def failed(self, effect: Transact[Any], error: StoreError) -> None:
        """Something was not stored."""
        log.error("could not store: %s", error)
        self._troubled = True
        if not effect.lazy:  # what is lazy may not come again for long
            self._failing.add(type(effect.operation))
        if error.code == "store-corrupt":
            self._on_failed(DAMAGED.text)
        else:
            self._on_failed(str(error))

    def stored(self, effect: Transact[Any]) -> None:
        """Something was stored, or read."""
        if not self._troubled:
            return
        self._failing.discard(type(effect.operation))
        if not self._failing and self._has_room():
            self._troubled = False
            self._on_works()


async def open_store(path: Path) -> Store:
    """Open the store; to mend a large one takes minutes, for which the service manager waits."""
    opening = asyncio.create_task(asyncio.to_thread(Store.open, path))
    while not (await asyncio.wait({opening}, timeout=OPENING_S))[0]:
        notify(f"EXTEND_TIMEOUT_USEC={int(4e6 * OPENING_S)}")
        notify_alive()
    return opening.result()


def mended(path: Path) -> Problem | None:
    """Tell that a store was damaged, for as long as the damaged file lies there."""
    found = salvage.set_aside(path)
    if found is None:
        return None
    file, words = found
    return Problem(
        "store-mended",
        words,
        f"Use a new card soon. If nothing is missed, delete {file} and what begins with its name.",
    )


async def until_damaged(path: Path, *, troubled: Callable[[], bool]) -> None:
    """Check the store in use now and then; return when it is damaged."""
    loop = asyncio.get_running_loop()
    due = loop.time() + CHECK_AFTER_S
    checked = -CHECK_TROUBLED_S

    def is_due() -> bool:
        now = loop.time()
        return now >= due or (troubled() and now - checked >= CHECK_TROUBLED_S)

    while True:
        await until(is_due)
        if not await is_sound(path):
            log.error("the message store %s is damaged", path)
            return
        checked = loop.time()
        due = checked + CHECK_EVERY_S


def can_mend(path: Path) -> bool:
    """Note that the store is to be mended as it is opened next; tells whether that would work."""
    try:
        database.suspect(path)
        return salvage.has_room(path)
    except OSError as error:
        log.warning("the store can't be mended: %s", error)
        return False


async def until(condition: Callable[[], bool]) -> None:
    """Ask now and then, until something is so."""
    while True:
        if condition():
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def is_sound(path: Path) -> bool:
    """Read the whole of a store in use, on a thread that gives way to all others."""
    check = database.SlowCheck(path)
    try:
        return await asyncio.to_thread(check.run)
    finally:
        check.stop()
