"""A station as the keeper sees it: its namespaces, its directories and its daemon."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from appliance.village import namespaces
from appliance.village.fabric import NETNS_DIR


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

    def environment(self, name: str) -> dict[str, str]:
        """What commands in the station find in their environment."""
        return {
            "FENCEWIRE_API": str(self.api),
            "FENCEWIRE_STATE": str(self.state),
            "FENCEWIRE_STATION": name,
        }


def paths_of(directory: Path, name: str) -> StationPaths:
    """The paths of a station of the village in `directory`."""
    return StationPaths(directory / "stations" / name)


class Station:
    """One station inside the village; only the keeper has these."""

    def __init__(self, name: str, paths: StationPaths, command: list[str]) -> None:
        """Make its network namespace and its directories; `command` starts its daemon."""
        self.name = name
        self.paths = paths
        self.pid = 0
        self.exit_status: int | None = None
        self._command = command
        for path in (paths.state, paths.api.parent):
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

    def start(self) -> None:
        """Start the daemon, as an ordinary user's: without capabilities."""
        self.paths.api.unlink(missing_ok=True)
        self.exit_status = None
        self.pid = _spawn(self._become_daemon)

    def ended(self, wait_status: int) -> None:
        """Note that the daemon is gone."""
        self.pid = 0
        self.exit_status = os.waitstatus_to_exitcode(wait_status)

    def describe(self) -> dict[str, Any]:
        """The daemon's part of `village status`."""
        state = "running" if self.pid else "stopped" if self.exit_status is None else "ended"
        return {"daemon": state, "pid": self.pid or None, "exit_status": self.exit_status}

    def _become_daemon(self) -> None:
        log = os.open(self.paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, log), (2, log)):
            os.dup2(source, target)
        os.setsid()
        here = Path.cwd()
        for descriptor in (self.net, self.uts, self.mnt):
            namespaces.setns(descriptor)
        os.chdir(here)
        namespaces.renounce_capabilities()
        environment = {**os.environ, **self.paths.environment(self.name)}
        os.execvpe(self._command[0], self._command, environment)  # noqa: S606 - no shell wanted


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
        os.write(2, f"The daemon could not start: {error}\n".encode())
    os._exit(127)
