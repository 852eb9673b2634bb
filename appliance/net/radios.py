"""Radios: has it decided what they do, does it with iw, and can put everything back.

What is changed is in the journal first; hardware addresses stay as they are.

What stays out: what radios there are and who uses them (`radio_look`), deciding modes and channels
(`protocol.wifi`), and what makes a joined radio a link of the mesh (`links`): that is told by
`joined`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from random import SystemRandom
from typing import Final, TypeAlias

from appliance.model.net import NetProblem
from appliance.net.config import NetConfig
from appliance.net.facts import Facts
from appliance.net.iw import Iw, IwError, NoIwError
from appliance.net.netlink import Kernel, KernelError
from appliance.net.radio_look import BEING_SET_UP, CLIENT, COUNTRY, RADIO, TYPES, RadioLook, Seen
from appliance.net.radio_users import RadioUsers
from appliance.net.undo import Fact, Undo, UndoError
from appliance.protocol.wifi import iw_text
from appliance.protocol.wifi.joining import Action, Join, Joining, Leave, Scan
from appliance.protocol.wifi.tables import Mode

log = logging.getLogger(__name__)

KINDS: Final = frozenset({RADIO, COUNTRY})
"""Of changes that are made here."""

LOOK_EVERY_S: Final = 30.0
"""For what no event tells, such as programs that come and go."""
SETTLE_S: Final = 0.3
"""After an event, since they come in bursts."""
BUSY_S: Final = 1.0
"""Until udev is asked again about a new radio."""
FAIL_S: Final = 5.0
MAX_ACTIONS: Final = 16
"""In a row, before looking again."""
LINK_TRIES: Final = 8
LINK_WAIT_S: Final = 0.25
"""Some drivers join in the background."""

NO_IW: Final = NetProblem(
    "no-iw", "Radios can't be used, since iw is not installed.", "Install the package iw."
)

Prepare: TypeAlias = Callable[[str], Awaitable[None]]


class Radios:
    """All radios of this machine."""

    def __init__(
        self,
        config: NetConfig,
        undo: Undo,
        on_change: Callable[[], None],
        *,
        prepare: Prepare | None = None,
        iw: Iw | None = None,
        users: RadioUsers | None = None,
    ) -> None:
        """`on_change` is called when `joined`, `why_not` or `problems` have changed.

        `prepare` is awaited with the name of an interface before it is switched on.
        """
        self._undo = undo
        self._on_change = on_change
        self._prepare = prepare
        self._iw = iw or Iw()
        self._look = RadioLook(config, undo, self._iw, users or RadioUsers())
        self._wake = asyncio.Event()
        self._joining = Joining(SystemRandom())
        self._seen: Mapping[str, Seen] = {}
        self._shown: tuple[dict[str, str], dict[str, str], tuple[NetProblem, ...]] = ({}, {}, ())
        undo.knows(RADIO, self._put_back)
        undo.knows(COUNTRY, self._put_country_back)

    @property
    def joined(self) -> Mapping[str, str]:
        """What has joined, by name, and as what: ``mesh, channel 6``."""
        return self._shown[0]

    @property
    def why_not(self) -> Mapping[str, str]:
        """Of the others, by name, why not, in a sentence or two."""
        return self._shown[1]

    @property
    def problems(self) -> tuple[NetProblem, ...]:
        """What the operator should know."""
        return self._shown[2]

    async def run(self) -> None:
        """Follow what changes, until cancelled; what was changed stays for the journal to undo."""
        async with Kernel(self._wake.set) as kernel:
            facts = Facts()
            try:
                while True:
                    self._wake.clear()
                    await self._pause(await self._turn(kernel, facts))
            finally:
                facts.close()

    async def _turn(self, kernel: Kernel, facts: Facts) -> float:
        """Look and act; return for how long to sleep."""
        clock = asyncio.get_running_loop().time
        try:
            self._seen = await self._look.look(kernel, facts)
            self._joining.look(clock(), [one.radio for one in self._seen.values()])
            for _ in range(MAX_ACTIONS):
                action = self._joining.next_action(clock())
                if action is None:
                    break
                await self._do(kernel, action)
                if isinstance(action, Leave):
                    self._wake.set()  # it is not as it was seen
                    break
            self._show()
        except NoIwError:
            self._show(NO_IW)
            return LOOK_EVERY_S
        except (IwError, OSError, UndoError) as error:
            log.warning("radios: %s", error)
            return FAIL_S
        if any(one.radio.unfit == BEING_SET_UP for one in self._seen.values()):
            return BUSY_S
        now = clock()
        wake_at = self._joining.wake_at(now)
        return LOOK_EVERY_S if wake_at is None else min(LOOK_EVERY_S, wake_at - now)

    async def _pause(self, sleep_s: float) -> None:
        """Sleep until something happens, and then until it is over."""
        try:
            async with asyncio.timeout(sleep_s):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(SETTLE_S)

    # -- Acting

    async def _do(self, kernel: Kernel, action: Action) -> None:
        """Do what was decided and say what came of it."""
        clock = asyncio.get_running_loop().time
        seen = self._seen[action.name]
        try:
            if isinstance(action, Scan):
                await self._note(seen)
                if not seen.up:
                    await self._switch_on(kernel, seen)
                text = await self._iw.scan(action.name, action.frequency_mhz)
                self._joining.done(clock(), action, cells=iw_text.cells(text))
            elif isinstance(action, Join):
                cell = await self._join(kernel, action, seen)
                self._joining.done(clock(), action, cell=cell)
                log.info("%s has joined: %s", action.name, action.choice)
            elif isinstance(action, Leave):
                change = self._look.change(seen.radio.index)
                if change is not None:
                    await self._undo.undo(change)
                self._joining.done(clock(), action)
        except NoIwError:
            raise
        except (IwError, KernelError, TimeoutError) as error:
            what = "look around" if isinstance(action, Scan) else "join"
            said = str(error) or "the kernel does not answer"
            log.info("%s could not %s: %s", action.name, what, said)
            why = f"It could not {what}: {said}. It is tried again."
            self._joining.done(clock(), action, error=why)

    async def _join(self, kernel: Kernel, join: Join, seen: Seen) -> str:
        """Join; return the IBSS's BSSID, where it is known."""
        name, choice = join.name, join.choice
        await self._note(seen)
        await kernel.set_up(seen.radio.index, up=False)
        await self._iw.set_type(name, choice.mode)
        await self._switch_on(kernel, seen)
        try:
            await self._iw.set_power_save(name, on=False)
        except IwError as error:  # most drivers know of it for clients only
            log.debug("%s: power save: %s", name, error)
        await self._iw.join(name, choice, ht=seen.ht and not join.plain, mcast=not join.plain)
        if choice.mode is Mode.MESH:
            return ""
        for _ in range(LINK_TRIES):
            if cell := iw_text.link(await self._iw.link(name)):
                return cell
            await asyncio.sleep(LINK_WAIT_S)
        return ""

    async def _switch_on(self, kernel: Kernel, seen: Seen) -> None:
        if self._prepare is not None:
            await self._prepare(seen.radio.name)
        await kernel.set_up(seen.radio.index, up=True)

    async def _note(self, seen: Seen) -> None:
        """Write down how a radio was, before the first change."""
        name, index = seen.radio.name, seen.radio.index
        if self._look.change(index) is not None:
            return
        try:
            sleeps = await self._iw.power_save(name)
        except IwError:  # a driver that does not know of it
            sleeps = False
        self._undo.note(RADIO, name=name, index=index, up=int(seen.up), sleeps=int(sleeps))

    # -- Putting back

    async def _put_back(self, facts: Mapping[str, Fact]) -> None:
        """Make a radio a client again, on or off as it was, unless somebody took it."""
        try:
            async with Kernel(lambda: None) as kernel:
                for one in (await kernel.look()).interfaces:
                    if one.index == facts.get("index"):  # its name may have changed
                        up = facts.get("up") == 1
                        await self._make_client(kernel, one.name, one.index, up=up)
                        if facts.get("sleeps") == 1:
                            await self._iw.set_power_save(one.name, on=True)
        except IwError as error:
            raise UndoError(str(error)) from error

    async def _make_client(self, kernel: Kernel, name: str, index: int, *, up: bool) -> None:
        told = iw_text.interfaces(await self._iw.interfaces())
        kind = next((one.kind for one in told if one.name == name), "")
        if kind in TYPES:
            await kernel.set_up(index, up=False)
            await self._iw.set_type(name, None)
            if up:
                await kernel.set_up(index, up=True)
        elif kind == CLIENT and not up and not iw_text.link(await self._iw.link(name)):
            await kernel.set_up(index, up=False)

    async def _put_country_back(self, facts: Mapping[str, Fact]) -> None:
        try:
            domains = iw_text.domains(await self._iw.domains())
            if None in domains and domains[None].country == facts.get("after"):
                await self._iw.set_country(str(facts.get("before")))
        except IwError as error:
            raise UndoError(str(error)) from error

    # -- Telling

    def _show(self, *problems: NetProblem) -> None:
        """Say how things are, if that has changed."""
        joined, why_not = {}, {}
        for report in self._joining.reports():
            if report.joined:
                joined[report.name] = report.joined
            elif report.trouble:
                why_not[report.name] = report.trouble
            if report.failed:
                fix = "Unplug it and plug it in again; stop other programs that manage Wi-Fi."
                text = f"{report.name}: {report.trouble}"
                problems += (NetProblem("radio-fails", text, fix),)
        for name, seen in self._seen.items():
            if seen.unfit is not None and seen.unfit.code:
                text = f"{name}: {seen.unfit.why}"
                problems += (NetProblem(seen.unfit.code, text, seen.unfit.fix),)
        shown = (joined, why_not, problems)
        if shown != self._shown:
            self._shown = shown
            self._on_change()
