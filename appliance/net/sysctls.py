"""Sysctls of IPv6, set so that each goes back to what it was.

Forwarding is the delicate one.  Writing `all.forwarding` also writes the setting of every
interface, which would turn the machine into a router on the operator's networks too: it would take
the subnet-router anycast addresses there and heed router advertisements no longer.  The kernel
needs only `all` to forward.  So each interface gets its own value back at once, and around the
write `accept_ra` is 2 wherever it was 1, since the kernel forgets advertised default routes at that
moment otherwise.  It stays 2, in case somebody writes the same again.

What stays out: which interfaces, which is the caller's to say.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.net.undo import Change, Facts, Undo, UndoError

log = logging.getLogger(__name__)

CONF: Final = Path("/proc/sys/net/ipv6/conf")
"""A directory per interface, and two more."""

ALL: Final = "all"
DEFAULT: Final = "default"
"""What interfaces begin with that come later."""

SYSCTL: Final = "sysctl"
FORWARDING: Final = "forwarding"
"""Kinds of changes in the journal."""


class Sysctls:
    """Reads and writes ``net.ipv6.conf``."""

    def __init__(self, undo: Undo, *, conf: Path = CONF) -> None:
        self._undo = undo
        self._conf = conf
        undo.knows(SYSCTL, self._undo_set)
        undo.knows(FORWARDING, self._undo_forwarding)

    def get(self, where: str, key: str) -> int | None:
        """Return a value; None where there is none: no such interface, or one without IPv6.

        `where` is the name of an interface, `ALL` or `DEFAULT`.
        """
        try:
            return int((self._conf / where / key).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def set(self, where: str, key: str, value: int) -> Change | None:
        """Set a value and remember the one before; None where nothing was to be changed.

        Raises OSError where the interface has gone meanwhile or the kernel refuses.
        """
        old = self.get(where, key)
        if old is None or old == value:
            return None
        index = 0 if where in (ALL, DEFAULT) else socket.if_nametoindex(where)
        name = where if index == 0 else ""  # an interface may be renamed, so its index counts
        change = self._undo.note(SYSCTL, index=index, name=name, key=key, old=old, new=value)
        self._write(where, key, value)
        return change

    def forwarding_on(self, *, leave_alone: Callable[[str], bool]) -> None:
        """Let the kernel forward IPv6, and leave each interface as it is.

        `leave_alone` tells interfaces, by name, on which not even `accept_ra` may stay changed.
        """
        with (self._conf / ALL / FORWARDING).open("r+"):
            pass  # Where we may not write nothing is begun.
        was_on = [where for where in self._each() if self.get(where, FORWARDING)]
        names = " ".join(was_on)  # no name has a space
        change = self._undo.note(FORWARDING, settled=0, was_on=names)
        self._switch(1, was_on=frozenset(was_on), leave_alone=leave_alone)
        # From here on an interface that forwards by itself was set so by somebody else.
        self._undo.note(FORWARDING, settled=1, was_on="")
        self._undo.forget(change)

    @property
    def forwarding(self) -> bool:
        """Whether the kernel forwards IPv6."""
        return self.get(ALL, FORWARDING) == 1

    def _each(self) -> list[str]:
        """Name all directories but `ALL`."""
        return sorted(path.name for path in self._conf.iterdir() if path.name != ALL)

    def _switch(
        self, value: int, *, was_on: frozenset[str], leave_alone: Callable[[str], bool]
    ) -> None:
        """Write `all.forwarding`; those in `was_on` forward afterwards, and nobody else."""
        guards = [
            (where, self.set(where, "accept_ra", 2))
            for where in self._each()
            if self.get(where, "accept_ra") == 1
        ]
        self._write(ALL, FORWARDING, value)
        for where in self._each():
            wanted = int(where in was_on)
            if self.get(where, FORWARDING) != wanted:
                self._write_if_there(where, FORWARDING, wanted)
        for where, change in guards:
            if change is not None and leave_alone(where):
                self._write_if_there(where, "accept_ra", 1)
                self._undo.forget(change)

    async def _undo_forwarding(self, facts: Facts) -> None:
        if not facts["settled"]:
            # The switch, on or off, was cut short: what the interfaces say does not count.
            was_on = str(facts["was_on"])
        elif self.forwarding:
            was_on = " ".join(where for where in self._each() if self.get(where, FORWARDING))
        else:
            return
        change = self._undo.note(FORWARDING, settled=0, was_on=was_on)
        self._switch(0, was_on=frozenset(was_on.split()), leave_alone=lambda _: True)
        self._undo.forget(change)

    async def _undo_set(self, facts: Facts) -> None:
        index, key, old, new = facts["index"], facts["key"], facts["old"], facts["new"]
        if not (isinstance(index, int) and isinstance(old, int)):
            raise UndoError("not as we write them")
        try:
            where = socket.if_indextoname(index) if index else str(facts["name"])
        except OSError:
            return  # the interface is gone
        if self.get(where, str(key)) == new:
            self._write_if_there(where, str(key), old)

    def _write(self, where: str, key: str, value: int) -> None:
        # Not by write_text, which would try to create what has just gone.
        with (self._conf / where / key).open("r+", encoding="ascii") as file:
            file.write(f"{value}\n")

    def _write_if_there(self, where: str, key: str, value: int) -> None:
        try:
            self._write(where, key, value)
        except FileNotFoundError:
            log.debug("%s has gone", where)
