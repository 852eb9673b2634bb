"""Whether the operator has to be told that nothing can be stored.

A full disk still takes what is small, and answers what is only asked, so one success says little:
it is over when there is room again and each kind of operation that failed has succeeded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from appliance.node.effects import Transact
from appliance.node.ports import Operation, StoreError

log = logging.getLogger(__name__)


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
        self._on_failed(str(error))

    def stored(self, effect: Transact[Any]) -> None:
        """Something was stored, or read."""
        if not self._troubled:
            return
        self._failing.discard(type(effect.operation))
        if not self._failing and self._has_room():
            self._troubled = False
            self._on_works()
