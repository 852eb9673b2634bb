"""A village from Python: what `fencewire village`, the tests and the benches use.

    with Village.up("pair", directory=tmp_path / "v", daemons=False) as village:
        village.exec("a", ["ping", "-c1", village.station("b").addresses[0]])
        village.link("a", "b", loss_pct=5)

A village that was made so dies with the process that made it, however that ends.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from appliance.village import launch, place, protocol, tools
from appliance.village.enter import UNPRIVILEGED
from appliance.village.errors import VillageError
from appliance.village.protocol import Message
from appliance.village.station import DAEMON, NET, WORDS, paths_of
from appliance.village.topology import Topology, parse_topology

DAEMONS_TIMEOUT_S = 30.0
"""For all daemons to answer on their API sockets, and per station a second more."""

STOP_TIMEOUT_S = 10.0
"""For a daemon to end after SIGTERM, before it is killed."""

_POLL_S = 0.02


@dataclass(frozen=True)
class StationInfo:
    """What is known of a station from the plan alone."""

    name: str
    """Its name, which is its host name too."""
    number: int
    """Its number, from 1."""
    addresses: tuple[str, ...]
    """IPv4 addresses, eth0's first."""
    addresses6: tuple[str, ...]
    """IPv6 link-local addresses without scope, eth0's first."""
    state: Path
    """Its daemon's state directory."""
    api: Path
    """Its daemon's API socket."""
    log: Path
    """Its daemon's output."""
    net: Path
    """Its network helper's socket."""
    net_config: Path
    """Its operator's settings of the network, which a test may write before the helper starts."""
    net_log: Path
    """Its network helper's output."""


class Village:
    """A village that is up."""

    def __init__(
        self, directory: Path, topology: Topology, keeper: launch.KeeperProcess | None = None
    ) -> None:
        """Use `up` or `attach`."""
        self.directory = directory
        self.topology = topology
        self._keeper = keeper

    @classmethod
    def up(
        cls,
        topology: str,
        *,
        directory: Path,
        daemons: bool = True,
        net: bool = False,
        command: Sequence[str] | None = None,
        tied: bool = True,
    ) -> "Village":
        """Make a village in `directory` and, with `daemons`, wait until all of them answer.

        `net`: each station has a network helper too, which makes it part of the mesh once its
        daemon, or a test, joins. `command` starts a daemon; the words {state}, {api} and {name} in
        it stand for the station's own. `tied`: the village dies with this process. `VillageError`
        says what failed.
        """
        plan = parse_topology(topology)
        tools.require_all()
        directory = directory.absolute()
        lock = place.claim(directory, plan)
        order = {
            "directory": str(directory),
            "topology": topology,
            "daemons": daemons,
            "command": launch.daemon_command() if command is None else list(command),
            "net_command": launch.net_command() if net else None,
            "keep": [path for path in (os.environ.get("XDG_RUNTIME_DIR"),) if path],
        }
        keeper = launch.KeeperProcess(directory, order, lock)
        village = cls(directory, plan, keeper)
        try:
            keeper.wait_ready()
            if net:
                village.wait_ready(which=NET)
            if daemons:
                village.wait_ready()
            if not tied:
                keeper.detach()
        except BaseException:
            village.close()
            raise
        return village

    @classmethod
    def attach(cls, directory: Path) -> "Village":
        """The village that is up in `directory`."""
        directory = directory.absolute()
        status = protocol.request(directory, {"do": "status"})
        return cls(directory, parse_topology(status["topology"]))

    def __enter__(self) -> "Village":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End a village that this object made, at once and with all that runs in it."""
        if self._keeper:
            self._keeper.close()

    def down(self) -> None:
        """Stop the daemons in order, then end the village and delete its directory.

        What the helpers would put back goes with the namespaces.
        """
        running = [s["name"] for s in self.status()["stations"] if s["pid"]]
        for name in running:
            self.signal(name, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for name in running:
            self._wait_ended(name, DAEMON, timeout_s=max(0.1, deadline - time.monotonic()))
        protocol.request(self.directory, {"do": "down"})
        place.wait_until_gone(self.directory)
        self.close()
        place.remove(self.directory)

    def station(self, name: str) -> StationInfo:
        """What is known of a station, by name or number."""
        name = self.topology.resolve(name)
        plugs = self.topology.plugs(name)
        paths = paths_of(self.directory, name)
        return StationInfo(
            name=name,
            number=self.topology.stations.index(name) + 1,
            addresses=tuple(plug.ipv4 for plug in plugs),
            addresses6=tuple(plug.ipv6_link_local for plug in plugs),
            state=paths.state,
            api=paths.api,
            log=paths.log,
            net=paths.net,
            net_config=paths.net_config,
            net_log=paths.net_log,
        )

    def popen(
        self,
        station: str,
        argv: Sequence[str],
        *,
        unprivileged: bool = False,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        text: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[Any]:
        """Start a command in a station: its process, or rather one that stands for it (`enter`).

        Signals and exit status are the command's; killing it kills the command. It is root of the
        village with all capabilities there, unless `unprivileged`.
        """
        return subprocess.Popen(
            self._enter(station, argv, unprivileged=unprivileged),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=text,
            cwd=cwd,
            env=env,
        )

    def exec(
        self,
        station: str,
        argv: Sequence[str],
        *,
        timeout_s: float = 30.0,
        check: bool = False,
        stdin: str | None = None,
        unprivileged: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a station to its end; its output as text."""
        return subprocess.run(
            self._enter(station, argv, unprivileged=unprivileged),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=check,
        )

    def link(
        self,
        a: str,
        b: str,
        *,
        up: bool | None = None,
        loss_pct: float | None = None,
        delay_ms: float | None = None,
        rate_kbit: int | None = None,
    ) -> Message:
        """Change what is given about the link between two stations; how it is now."""
        wanted = {"up": up, "loss_pct": loss_pct, "delay_ms": delay_ms, "rate_kbit": rate_kbit}
        change = {key: value for key, value in wanted.items() if value is not None}
        return self.change_link(a, b, change)

    def change_link(self, a: str, b: str, change: Message) -> Message:
        """Like `link`, with fields of `LinkSettings` by name."""
        cable = self.topology.cable(a, b)
        near, far = cable.ends
        message = {"do": "link", "a": near, "b": far, "change": change}
        return protocol.request(self.directory, message)

    def status(self) -> Message:
        """Everything about the village, as `fencewire village status --json` prints it."""
        answer = protocol.request(self.directory, {"do": "status"})
        host_pids = _host_pids(self.keeper_pid())
        for item in answer["stations"]:
            info = self.station(item["name"])
            item["host_pid"] = host_pids.get(item["pid"])
            item["net"]["host_pid"] = host_pids.get(item["net"]["pid"])
            item["number"] = info.number
            item["addresses"] = list(info.addresses)
            item["addresses6"] = list(info.addresses6)
            item["state"], item["api"], item["log"] = map(str, (info.state, info.api, info.log))
        return {"directory": str(self.directory), "keeper_pid": self.keeper_pid(), **answer}

    def keeper_pid(self) -> int:
        """Process id of the keeper; killing it ends the village."""
        with protocol.connect(self.directory, timeout_s=5.0) as connection:
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(raw[:4], sys.byteorder)

    def start(self, station: str, *, which: str = DAEMON) -> None:
        """Start a station's daemon, or its helper, and wait until it answers."""
        name = self.topology.resolve(station)
        protocol.request(self.directory, {"do": "start", "station": name, "which": which})
        self.wait_ready([name], which=which)

    def stop(self, station: str, *, which: str = DAEMON) -> None:
        """End a station's daemon, or helper, in order; kill it when it does not end."""
        self.signal(station, signal.SIGTERM, which=which)
        if not self._wait_ended(station, which, timeout_s=STOP_TIMEOUT_S):
            self.kill(station, which=which)

    def kill(self, station: str, *, which: str = DAEMON) -> None:
        """kill -9 a station's daemon, or helper, and wait until it is gone."""
        self.signal(station, signal.SIGKILL, which=which)
        self._wait_ended(station, which, timeout_s=STOP_TIMEOUT_S)

    def restart(self, station: str, *, which: str = DAEMON) -> None:
        """Stop a station's daemon, or helper, if it runs, and start it."""
        name = self.topology.resolve(station)
        if any(_process(s, which)["pid"] for s in self.status()["stations"] if s["name"] == name):
            self.stop(name, which=which)
        self.start(name, which=which)

    def signal(self, station: str, number: int, *, which: str = DAEMON) -> None:
        """Send a signal to a station's daemon, or helper."""
        name = self.topology.resolve(station)
        message = {"do": "signal", "station": name, "which": which, "number": int(number)}
        protocol.request(self.directory, message)

    def wait_ready(self, stations: Sequence[str] | None = None, *, which: str = DAEMON) -> None:
        """Return when daemons, or helpers, answer at their sockets; `VillageError` if they do not.

        One that ends meanwhile is such an error too, which has the end of its log.
        """
        names = list(self.topology.stations if stations is None else stations)
        deadline = time.monotonic() + DAEMONS_TIMEOUT_S + len(names)
        while names:
            names = [name for name in names if not self._answers(name, which)]
            answer = protocol.request(self.directory, {"do": "status"}) if names else {}
            for item in answer.get("stations", []):
                if item["name"] in names and not _process(item, which)["pid"]:
                    raise VillageError(self._complaint(item["name"], which, "ended at its start"))
            if names and time.monotonic() > deadline:
                raise VillageError(self._complaint(names[0], which, "does not answer"))
            if names:
                time.sleep(_POLL_S)

    def _answers(self, name: str, which: str) -> bool:
        info = self.station(name)
        if which == NET:
            return _answers(info.net, socket.SOCK_SEQPACKET)
        return _answers(info.api, socket.SOCK_STREAM)

    def _complaint(self, name: str, which: str, what: str) -> str:
        info = self.station(name)
        log = info.net_log if which == NET else info.log
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        said = "\n  ".join(lines or ["(nothing)"])
        return f"The {WORDS[which]} of {name} {what}. It said:\n  {said}"

    def _enter(self, station: str, argv: Sequence[str], *, unprivileged: bool) -> list[str]:
        name = self.topology.resolve(station)
        options = [UNPRIVILEGED] if unprivileged else []
        return [*launch.boot("enter"), str(self.directory), name, *options, "--", *argv]

    def _wait_ended(self, station: str, which: str, *, timeout_s: float) -> bool:
        name = self.topology.resolve(station)
        with protocol.connect(self.directory, timeout_s=timeout_s) as connection:
            try:
                protocol.send_line(connection, {"do": "wait", "station": name, "which": which}, [])
                protocol.receive_line(connection)
            except TimeoutError:
                return False
        return True


def _process(item: Message, which: str) -> Message:
    """What a station's status says of one of its processes."""
    process: Message = item["net"] if which == NET else item
    return process


def _answers(path: Path, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


def _host_pids(keeper_pid: int) -> dict[int, int]:
    """For every process of the village, its id in there -> its id out here."""
    wanted = Path(f"/proc/{keeper_pid}/ns/pid").readlink()
    found: dict[int, int] = {}
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal():
            continue
        try:
            if (path / "ns" / "pid").readlink() != wanted:
                continue
            status = (path / "status").read_text(encoding="utf-8")
        except OSError:
            continue
        line = next(line for line in status.splitlines() if line.startswith("NSpid:"))
        found[int(line.split()[-1])] = int(path.name)
    return found
