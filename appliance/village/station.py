"""A station as the keeper sees it: its namespaces, its directories and its processes.

Those are its daemon and, where it is part of the mesh, its network helper.
"""

import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from appliance.village import namespaces
from appliance.village.errors import VillageError
from appliance.village.fabric import NETNS_DIR

DAEMON = "daemon"
NET = "net"
"""The processes of a station."""

WORDS = {DAEMON: "daemon", NET: "network helper"}
"""What people call them."""


@dataclass(frozen=True)
class StationPaths:
    """Where a station keeps its things, all under the village's directory."""

    root: Path
    """The station's own directory."""

    @property
    def state(self) -> Path:
        """The daemon's state directory."""
        return self.root / "state"

    @property
    def api(self) -> Path:
        """The daemon's API socket."""
        return self.root / "run" / "api.sock"

    @property
    def log(self) -> Path:
        """What the daemon writes to its standard output and error."""
        return self.root / "daemon.log"

    @property
    def net(self) -> Path:
        """The network helper's socket."""
        return self.root / "run" / "net.sock"

    @property
    def net_run(self) -> Path:
        """Where the network helper keeps what it needs to put everything back."""
        return self.root / "net"

    @property
    def net_config(self) -> Path:
        """What the operator would set about the network; not there unless somebody writes it."""
        return self.root / "net.toml"

    @property
    def net_log(self) -> Path:
        """What the network helper writes to its standard output and error."""
        return self.root / "net.log"

    def environment(self, name: str) -> dict[str, str]:
        """What commands in the station find in their environment."""
        return {
            "FENCEWIRE_API": str(self.api),
            "FENCEWIRE_NET": str(self.net),
            "FENCEWIRE_STATE": str(self.state),
            "FENCEWIRE_STATION": name,
        }

    def words(self, name: str) -> dict[str, str]:
        """What stands for the station's own things in the commands that start its processes."""
        return {
            "{state}": str(self.state),
            "{api}": str(self.api),
            "{name}": name,
            "{net}": str(self.net),
            "{net_run}": str(self.net_run),
            "{net_config}": str(self.net_config),
        }


def paths_of(directory: Path, name: str) -> StationPaths:
    """The paths of a station of the village in `directory`."""
    return StationPaths(directory / "stations" / name)


class Station:
    """One station inside the village; only the keeper has these."""

    def __init__(
        self, name: str, paths: StationPaths, commands: dict[str, list[str] | None]
    ) -> None:
        """Make its network namespace and its directories.

        `commands` start its processes (`DAEMON`, `NET`), with the words of `StationPaths.words`.
        """
        self.name = name
        self.paths = paths
        words = paths.words(name)
        self.processes = {
            DAEMON: StationProcess(self, DAEMON, paths.log, paths.api),
            NET: StationProcess(self, NET, paths.net_log, paths.net),
        }
        for which, command in commands.items():
            if command is not None:
                self.processes[which].command = [words.get(word, word) for word in command]
        for path in (paths.state, paths.api.parent, paths.net_run):
            path.mkdir(parents=True, mode=0o700)
        namespaces.unshare(namespaces.CLONE_NEWNET)
        self.net = namespaces.open_namespace("net")
        mark = NETNS_DIR / name
        mark.touch()
        namespaces.mount("/proc/self/ns/net", mark, flags=namespaces.MS_BIND)
        self.uts = self.mnt = -1

    def furnish(self) -> None:
        """Give it a host name and its own /sys; leaves the caller in the station's namespaces."""
        namespaces.setns(self.net)
        namespaces.unshare(namespaces.CLONE_NEWUTS | namespaces.CLONE_NEWNS)
        socket.sethostname(self.name)
        flags = namespaces.MS_NOSUID | namespaces.MS_NODEV | namespaces.MS_NOEXEC
        try:
            namespaces.mount("sysfs", Path("/sys"), kind="sysfs", flags=flags)
        except OSError as error:
            sys.stderr.write(f"{self.name} sees the machine's /sys, not its own: {error}\n")
        self.uts = namespaces.open_namespace("uts")
        self.mnt = namespaces.open_namespace("mnt")

    def process(self, which: str) -> "StationProcess":
        """One of its processes; `VillageError` where it is not to have that one."""
        process = self.processes.get(which)
        if process is None or not process.command:
            raise VillageError(
                f"Station {self.name} has no {WORDS.get(which, which)} in this village."
            )
        return process

    def describe(self) -> dict[str, Any]:
        """Its part of `village status`: the daemon's, and the same of the helper in `net`."""
        daemon, net = (self.processes[which].describe() for which in (DAEMON, NET))
        return {
            "daemon": daemon["state"],
            "pid": daemon["pid"],
            "exit_status": daemon["exit_status"],
            "net": net,
        }


class StationProcess:
    """A process of a station, which may run or not."""

    def __init__(self, station: Station, which: str, log: Path, served: Path) -> None:
        """`served`: the socket at which it answers."""
        self.command: list[str] = []
        """What starts it; empty: the station does not have it."""
        self.pid = 0
        self.exit_status: int | None = None
        self._station = station
        self._which = which
        self._log = log
        self._served = served

    @property
    def label(self) -> str:
        """For sentences: `daemon of a`."""
        return f"{WORDS[self._which]} of {self._station.name}"

    def start(self) -> None:
        """Start it, as an ordinary user's: without capabilities, but for what the helper needs."""
        self._served.unlink(missing_ok=True)
        self.exit_status = None
        self.pid = _spawn(self._become)

    def ended(self, wait_status: int) -> None:
        """Note that it is gone."""
        self.pid = 0
        self.exit_status = os.waitstatus_to_exitcode(wait_status)

    def describe(self) -> dict[str, Any]:
        """How it is, for `village status`."""
        if not self.command:
            state = "none"
        else:
            state = "running" if self.pid else "stopped" if self.exit_status is None else "ended"
        return {"state": state, "pid": self.pid or None, "exit_status": self.exit_status}

    def _become(self) -> None:
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        os.setsid()
        here = Path.cwd()
        station = self._station
        for descriptor in (station.net, station.uts, station.mnt):
            namespaces.setns(descriptor)
        os.chdir(here)
        keep = namespaces.CAP_NET_ADMIN if self._which == NET else None
        namespaces.renounce_capabilities(keep=keep)
        environment = {**os.environ, **station.paths.environment(station.name)}
        os.execvpe(self.command[0], self.command, environment)  # noqa: S606 - no shell wanted


def _spawn(become: Callable[[], None]) -> int:
    """Fork a child that becomes another program; its process id."""
    pid = os.fork()
    if pid == 0:
        _run_child(become)
    return pid


def _run_child(become: Callable[[], None]) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        become()
    except Exception as error:  # noqa: BLE001 - a forked child must not return into the keeper
        os.write(2, f"It could not start: {error}\n".encode())
    os._exit(127)
