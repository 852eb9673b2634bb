"""babeld (RFC 8966) as a child: started, told its links, listened to, started again.

It has no config file: filters and the like are set at its start, links come and go by its control
socket.  Forwarding and the other sysctls are ours, not its.  What it says is read by
`protocol.babel`; what stays out is what follows from it.

One that is killed leaves its routes in the kernel, and packets go on.  The next one can't change
them, so its own are made preferred to them, and they are removed when it has had time to find its
neighbours again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import re
import shutil
import signal
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from appliance.adapters.realtime import die_with_parent
from appliance.model.net import NetProblem
from appliance.net.babel_link import COSTS, BabelLink
from appliance.net.ip_route import flush_routes, flush_unreachable
from appliance.net.numbers import MESH_NETWORK, ROUTE_TABLE
from appliance.protocol.babel import MAX_LINE, BabelTable
from appliance.protocol.hello_interval import FASTEST_MS
from appliance.protocol.starved_routes import StarvedRoutes

log = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 0.2
MAX_RETRY_S: Final = 30.0
LASTING_S: Final = 10.0
"""One that ran so long is started again at once."""

GIVEN_UP: Final = 4
"""Starts in vain after which its routes are removed and the operator is told, until it answers; it
goes on."""

SETTLE_S: Final = 5.0
"""What the one before has left goes when the next one has listened for so long."""

SOCKET_WITHIN_S: Final = 5.0
SMOOTHING_S: Final = 1
"""Half-life of what babeld remembers of a route's former cost.  One that is new has to be better
for five of these before it is taken; babeld's own 4 s left a shorter way unused for 20."""

MINOR_S: Final = 1.0
"""How long changes of mere costs are gathered."""

STOP_S: Final = 3.0
RECONNECTS: Final = 3
"""It hangs up on us when we do not read for a tenth of a second.  So often in its life we call
again; then it is started anew."""

OKS_TO_ALL: Final = 2
"""It greets with one, and answers ``monitor`` with another when it has told everything."""

BUFFER_BYTES: Final = 0x40000
STARVED_LOOK_S: Final = 1.0
"""How often destinations are looked for that are offered and not taken."""

LAST_LINES: Final = 5
"""Of what it says when it fails."""

LOG_CHARS: Final = 200

SEQNOS: Final = 0x10000
SEQNO_STEP: Final = 16
"""After a crash its sequence number (RFC 8966 section 3.2.1) goes on so much higher.

For 200 s routers do not believe a number lower than the last, except that one which is lower by
less than 100 is brought up, some steps a second.  A random one, which is what babeld takes without
its state file, would be lower every other time.  So ours start at 0 and stay small, which helps
after a reboot, too, when nobody remembers."""

FIRST_PRIORITY: Final = 1000
PRIORITIES: Final = 500
"""Each start has a priority for its routes in the kernel that goes before that of the last."""

NOTHING: Final = "fencewire-none"
"""An interface that is not there: without any it does not start."""


class Babeld:
    """A supervised babeld for one address."""

    def __init__(
        self,
        run_dir: Path,
        address: IPv6Address,
        on_change: Callable[[], None],
        *,
        program: str = "babeld",
    ) -> None:
        """Route for the station of that address; files are kept in `run_dir`.

        `on_change` is called when the table, `running` or `problem` may be different.
        """
        self.table = BabelTable()
        """What it has said."""

        self.running = False
        """It answers."""

        self.problem: NetProblem | None = None
        """Why it does not, when that lasts."""

        self._run_dir, self._address, self._on_change = run_dir, address, on_change
        self._program = program
        self._links: dict[str, BabelLink] = {}
        self._told: dict[str, BabelLink] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._starts = 0
        self._soon: asyncio.TimerHandle | None = None
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._starved = StarvedRoutes((f"{address}/128", f"{self._network}/64"))
        self._oks_to_all = 0
        """How many more "ok" until it has told everything again; below that nobody waits for it."""

    def set_links(self, links: Mapping[str, BabelLink]) -> None:
        """Say which links to use, by name; takes effect at once."""
        self._links = dict(links)
        self.table.set_perfect({name: COSTS[link.kind] for name, link in links.items()})
        self._tell_links()

    async def run(self) -> None:
        """Keep it running, until cancelled; then it says goodbye to its neighbours."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                why = await self._run_once()
            except OSError as error:  # No process, or no room for its files.
                why = str(error)
            self.running = False
            failures = 0 if loop.time() - began > LASTING_S else failures + 1
            log.warning("babeld ended: %s", why)
            if failures >= GIVEN_UP and self.problem is None:
                # Until now packets went on over the routes that it left in the kernel.  One that
                # answers for a moment each time leaves new ones each time.
                await flush_routes()
                self.table.clear()
                self.problem = NetProblem(
                    "no-babeld",
                    f"The router babeld does not run: {why}.",
                    "Only stations on the same network are reached. "
                    "Install it: apt-get install babeld.",
                )
            self._on_change()
            await asyncio.sleep(
                min(FIRST_RETRY_S * 2 ** min(failures, 10), MAX_RETRY_S) * (0.5 + random.random())  # noqa: S311
            )

    async def _run_once(self) -> str:
        """Start it and serve it to its end; returns why it ended."""
        program = shutil.which(self._program, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if program is None:
            return "it is not installed"
        socket_path = self._run_dir / "babeld.sock"
        socket_path.unlink(missing_ok=True)
        self._go_on_counting()
        await flush_unreachable()
        self._starts += 1
        self._told = {}
        self._said.clear()
        child = await asyncio.create_subprocess_exec(
            program,
            *self._arguments(socket_path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=MAX_LINE,
            preexec_fn=partial(die_with_parent, os.getpid()),  # without us nobody would stop it
        )
        parts = [
            asyncio.create_task(self._follow(socket_path), name="babeld-monitor"),
            asyncio.create_task(child.wait(), name="babeld"),
            asyncio.create_task(self._until_starved(child), name="babeld-starved"),
            asyncio.create_task(self._keep_last(child), name="babeld-log"),
            asyncio.create_task(self._settle(), name="babeld-settle"),
        ]
        try:
            await asyncio.wait(parts[:3], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(child)
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
        return "; ".join(self._said) or f"exit status {child.returncode}"

    def _go_on_counting(self) -> None:
        """See that its sequence number does not fall; one that ended well has kept its own."""
        state, ours = self._run_dir / "babeld.state", self._run_dir / "babeld.seqno"
        number = _read_number(state)
        if number is None:
            last = _read_number(ours)
            number = 0 if last is None else (last + SEQNO_STEP) % SEQNOS
            state.write_text(f"{number}\n", encoding="ascii")
        ours.write_text(f"{number}\n", encoding="ascii")

    @property
    def _priority(self) -> int:
        return FIRST_PRIORITY - self._starts % PRIORITIES

    async def _settle(self) -> None:
        """Remove what earlier ones have left, when this one knows better."""
        await asyncio.sleep(SETTLE_S)
        self.table.settle()
        self._on_change()
        await flush_routes(but=self._priority)

    async def _until_starved(self, child: asyncio.subprocess.Process) -> None:
        """Kill it when it waits in vain for leave to use a way; see `protocol.starved_routes`.

        It is not asked to end, since it would take its routes away, and packets go on over them.
        """
        starved = False
        while not starved:
            await asyncio.sleep(STARVED_LOOK_S)
            starved = self._starved.look(self.table.told(), asyncio.get_running_loop().time())
        self._said.append("it waits in vain for leave to use a way that is there")
        with contextlib.suppress(ProcessLookupError):
            child.kill()

    @property
    def _network(self) -> IPv6Address:
        return IPv6Address(self._address.packed[:8] + bytes(8))

    def _arguments(self, socket_path: Path) -> list[str]:
        own = f"{self._address}/128"
        router_id = self._address.packed[8:].hex(":")
        statements = (
            "skip-kernel-setup true",
            f"router-id {router_id}",
            # Routes for some senders only would go before a station's own.
            "in src-ip ::/0 src-ge 1 deny",
            f"in ip {MESH_NETWORK} ge 64 allow",
            "in deny",
            f"install ip {MESH_NETWORK} pref-src {self._address}",
            f"redistribute local ip {own} eq 128 allow",
            "redistribute local deny",
            # For what is attached to this station later.
            f"redistribute ip {self._network}/64 eq 64 proto 2 allow",
            "redistribute deny",
        )
        # The defaults for hellos decide how soon what may have been lost is said again.
        fast = f"{FASTEST_MS / 1000:g}"
        options = [
            "-l",
            "-M",
            str(SMOOTHING_S),
            "-h",
            fast,
            "-H",
            fast,
            "-t",
            str(ROUTE_TABLE),
            "-I",
            "",
            "-c",
            "/dev/null",
        ]
        options += ["-k", str(self._priority)]
        options += ["-S", str(self._run_dir / "babeld.state"), "-G", str(socket_path)]
        return [*options, *(word for line in statements for word in ("-C", line)), NOTHING]

    async def _follow(self, socket_path: Path) -> None:
        """Listen to it to its end."""
        try:
            for number in range(1 + RECONNECTS):
                await self._listen(socket_path, again=number > 0)
        except (OSError, TimeoutError, ValueError) as error:
            self._said.append(f"it does not answer: {error}")

    def _mention(self) -> None:
        """Tell of what was read: at once, or with mere costs, of which there are many, soon."""
        differs, urgent = self.table.take_change()
        if urgent:
            self._on_change()
        elif differs and (
            self._soon is None or self._soon.when() <= asyncio.get_running_loop().time()
        ):
            self._soon = asyncio.get_running_loop().call_later(MINOR_S, self._on_change)

    async def _listen(self, socket_path: Path, *, again: bool) -> None:
        """Listen to the control socket until it closes."""
        reader, writer = await _connect(socket_path)
        try:
            self.table.begin()
            writer.write(b"monitor\n")
            self._writer = writer
            self._tell_links()
            self.running, self.problem = True, None
            self._on_change()
            self._oks_to_all = OKS_TO_ALL if again else 0
            rest = ""
            while data := await reader.read(BUFFER_BYTES):
                # Many lines at once: on a link of fifty it is a thousand a second.
                *lines, rest = (rest + data.decode("ascii", "replace")).split("\n")
                for line in lines:
                    self._take(line)
                self._mention()
                if len(rest) > BUFFER_BYTES:
                    raise ValueError("a line without an end")
        except ConnectionError as error:
            log.info("the control socket of babeld: %s", error)
        finally:
            self._writer = None
            writer.close()

    def _take(self, line: str) -> None:
        if line == "ok":
            self._oks_to_all -= 1
            if self._oks_to_all == 0:
                self.table.settle()
        elif line.startswith(("no", "bad")):
            log.warning("babeld refuses: %s", line[:LOG_CHARS])
        else:
            self.table.read(line)

    def _tell_links(self) -> None:
        if self._writer is None:
            return
        for name in self._told.keys() - self._links.keys():
            self._writer.write(f"flush interface {name}\n".encode())
        for name, link in self._links.items():
            told = self._told.get(name)
            if told == link:
                continue
            if told is not None:  # settings do not change while it is used
                self._writer.write(f"flush interface {name}\n".encode())
            self._writer.write(f"{link.statement(name)}\n".encode())
        self._told = dict(self._links)

    async def _keep_last(self, child: asyncio.subprocess.Process) -> None:
        """Read its log; the last lines say why it failed."""
        if child.stdout is None:
            raise RuntimeError("its output is a pipe")
        while True:
            try:
                line = await child.stdout.readline()
            except ValueError:  # longer than any line should be
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").strip()
            if text and NOTHING not in text:
                self._said.append(text[:LOG_CHARS])
                log.debug("babeld: %s", text[:LOG_CHARS])


def _read_number(path: Path) -> int | None:
    """Return a sequence number from a file; None where there is none."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) and int(text) < SEQNOS else None


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(SOCKET_WITHIN_S):
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return await asyncio.open_unix_connection(path, limit=BUFFER_BYTES)
            await asyncio.sleep(0.01)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Let it withdraw its routes, and end it if it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await child.wait()
