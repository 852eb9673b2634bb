"""Our queues on the links that the mesh uses, and the kernel's own back when it does no longer.

What the queues are is decided in `protocol/queue_plan.py`; here `tc` is run. A queue that the
operator has set stays, and so does one that needs no help: a fair one, or none at all, as radios
have it, whose order is made further down from the same DSCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.model.net import NetLink, NetProblem
from appliance.net.config import NetConfig
from appliance.net.program import run
from appliance.net.undo import Change, Facts, Undo, UndoError
from appliance.protocol.queue_plan import ASSUMED_KBIT, MOST_KBIT, QueuePlan, Root, roots, steps

log = logging.getLogger(__name__)

KIND: Final = "queue"
"""Of our changes in the journal."""

TC_S: Final = 10.0
"""Longest time that `tc` may take; it takes milliseconds."""


class TcError(Exception):
    """`tc` could not be run, or refused; the text is its own."""


@dataclass(frozen=True)
class _Standing:
    """Queues that we have set."""

    index: int
    """The kernel's number for the interface; the same name may be another one by now."""

    plan: QueuePlan
    """What was set."""

    instead_of: Root
    """What was there before."""

    change: Change
    """Its line in the journal."""


class Queues:
    """Sets queues by `apply`, again and again as links change, and removes them by `stop`."""

    def __init__(self, undo: Undo, config: NetConfig) -> None:
        undo.knows(KIND, _remove_ours)
        self._undo = undo
        self._told = config.rate_kbit
        self._measured: dict[str, int] = {}
        self._used: dict[str, NetLink] = {}
        self._standing: dict[str, _Standing] = {}
        self._problems: dict[str, NetProblem] = {}
        self._fair = True
        self._lock = asyncio.Lock()

    @property
    def problems(self) -> tuple[NetProblem, ...]:
        """What could not be done, for the operator."""
        return tuple(self._problems.values())

    def rate_kbit(self, interface: str) -> int | None:
        """To what our sending on an interface is held; None where it is not."""
        standing = self._standing.get(interface)
        return None if standing is None else standing.plan.rate_kbit

    async def apply(self, links: Iterable[NetLink]) -> None:
        """Set queues on the links that are used, and remove ours from all others.

        To be called with all links whenever one of them changed; costs 3 ms where nothing is to do.
        """
        async with self._lock:
            self._used = {link.name: link for link in links if link.used}
            await self._turn()

    async def hold(self, rates_kbit: Mapping[str, int]) -> None:
        """Hold our sending on links to what was measured, where the operator has said nothing.

        These are all such links; on others it is not held any more.
        """
        async with self._lock:
            self._measured = dict(rates_kbit)
            await self._turn()

    async def stop(self) -> None:
        """Put all queues back."""
        async with self._lock:
            await self._undo.undo_all(kinds=frozenset({KIND}))
            self._used.clear()
            self._standing.clear()
            self._problems.clear()

    async def _turn(self) -> None:
        """Make it so."""
        used = self._used
        for name in [name for name in self._standing if name not in used]:
            await self._drop(name)
        self._problems = {k: v for k, v in self._problems.items() if k in used}
        if not used:
            return
        try:
            found = await self._look(used)
        except (TcError, ValueError) as error:
            log.warning("queues can't be read: %s", error)
            # Where ours stand, they do so whether or not we can look.
            self._problems = {name: _problem(name) for name in used if name not in self._standing}
            return
        for name, link in used.items():
            # One that went away meanwhile is not among the links of the next call.
            if name in found:
                await self._apply(link, found[name])

    async def _look(self, used: Mapping[str, NetLink]) -> Mapping[str, Root]:
        """What is there; queues of ours that nobody remembers are removed first."""
        found = await _roots()
        lost = [
            name
            for name, standing in self._standing.items()
            if used[name].index != standing.index or found.get(name) is not Root.OURS
        ]
        for name in lost:
            # Somebody's queue is in the place of ours, which stays, or another interface has the
            # name: then ours may stand on the former one, under the name that it has now.
            await self._drop(name)
        if lost:
            found = await _roots()
        strays = [
            name for name in used if found.get(name) is Root.OURS and name not in self._standing
        ]
        for name in strays:
            await _tc("qdisc", "del", "dev", name, "root")
        return await _roots() if strays else found

    async def _apply(self, link: NetLink, root: Root) -> None:
        standing = self._standing.get(link.name)
        if standing is not None:
            root = standing.instead_of
        plan = self._plan(link)
        if plan is None or not plan.serves(root):
            self._problems.pop(link.name, None)
            if standing is not None:
                await self._drop(link.name)
        elif standing is None or standing.plan != plan:
            await self._set(link, plan, root)

    def _plan(self, link: NetLink) -> QueuePlan | None:
        try:
            rate_kbit = self._told.get(link.name, self._measured.get(link.name))
            return QueuePlan(link.name, link.mtu, rate_kbit, _speed_kbit(link.name))
        except ValueError as error:
            log.warning("no queues on a link: %s", error)
            return None

    async def _set(self, link: NetLink, plan: QueuePlan, root: Root) -> None:
        before = self._standing.pop(link.name, None)
        change = None
        try:
            change = self._undo.note(KIND, interface=link.name, index=link.index)
            await self._run(None if before is None else before.plan, plan)
        except (TcError, UndoError, OSError) as error:
            if change is not None:
                await self._undo.undo(change)
            if _index(link.name) == link.index:
                log.warning("no queues on %s: %s", link.name, error)
                self._problems[link.name] = _problem(link.name)
            return
        self._problems.pop(link.name, None)
        self._standing[link.name] = _Standing(link.index, plan, root, change)
        log.info("queues on %s for %s kbit/s", link.name, plan.rate_kbit or "any")

    async def _run(self, before: QueuePlan | None, plan: QueuePlan) -> None:
        """Do it in the best way that the kernel knows; what was begun in vain is removed."""
        name = plan.interface
        for fair in (True, False) if self._fair else (False,):
            try:
                await _tc("-batch", "-", lines=steps(before, plan, fair=fair))
            except TcError as error:
                failure = error
                before = None
                with contextlib.suppress(TcError):  # Nothing was begun.
                    await _tc("qdisc", "del", "dev", name, "root")
            else:
                self._fair = fair
                return
        raise failure

    async def _drop(self, name: str) -> None:
        await self._undo.undo(self._standing.pop(name).change)


def _problem(interface: str) -> NetProblem:
    return NetProblem(
        code="no-queues",
        text=f"On {interface} calls can't be put before large transfers, and may suffer from them.",
        fix="Install iproute2 and a kernel with the token bucket and HTB queues.",
    )


def _index(interface: str) -> int:
    """The kernel's number for an interface; 0: it is not there."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0


def _speed_kbit(interface: str) -> int:
    """Of the hardware, as far as it says."""
    try:
        speed_mbit = int(Path("/sys/class/net", interface, "speed").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ASSUMED_KBIT
    return speed_mbit * 1000 if 0 < speed_mbit * 1000 <= MOST_KBIT else ASSUMED_KBIT


async def _roots() -> Mapping[str, Root]:
    """What each interface has; raises TcError or ValueError."""
    return roots(await _tc("-json", "qdisc", "show"))


async def _remove_ours(facts: Facts) -> None:
    """Undo a change: remove our queues from an interface, if they are still there."""
    index = facts["index"]
    try:
        name = socket.if_indextoname(int(index))
    except OSError:
        return  # The interface took its queues along.
    try:
        if (await _roots()).get(name) is Root.OURS:
            await _tc("qdisc", "del", "dev", name, "root")
    except (TcError, ValueError) as error:
        if _index(name) == index:
            raise UndoError(str(error)) from error


async def _tc(*arguments: str, lines: Iterable[str] = ()) -> str:
    """Run `tc` and return what it says; raises TcError."""
    given = "".join(f"{line}\n" for line in lines).encode()
    try:
        code, said, complaint = await run(("tc", *arguments), given=given, within_s=TC_S)
    except TimeoutError:
        raise TcError("tc does not end") from None
    except FileNotFoundError:
        raise TcError("tc is not installed") from None
    except OSError as error:
        raise TcError(f"tc can't be started: {error.strerror}") from error
    if code:
        raise TcError(" ".join(complaint.decode(errors="replace").split())[:200])
    return said.decode(errors="replace")
