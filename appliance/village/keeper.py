"""The first process inside a village: it makes the stations, holds them, and is their end.

It runs in user, process, mount and network namespaces of its own, so its death, by whatever cause,
makes the kernel end every process of the village and take every interface and mount away. It is
started by `village` (never by hand) with the number of an inherited socket: the first line there is
the plan; it answers `ready` or an error. If that socket closes before its other end said `detach`,
whoever wanted the village is gone, and the keeper goes too.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

from appliance.village import namespaces, protocol
from appliance.village.errors import VillageError
from appliance.village.fabric import NETNS_DIR, Fabric
from appliance.village.protocol import Message
from appliance.village.station import DAEMON, NET, Station, StationProcess, paths_of
from appliance.village.topology import parse_topology

REQUEST_TIMEOUT_S = 5.0
"""A client has this long to send its line and to take its answer."""

MAX_WAITING = 64
"""Clients that may wait for a process's end at one time."""


class Keeper:
    """The stations, the fabric and the loop that serves clients, one after another."""

    def __init__(self, plan: Message) -> None:
        """Make everything that `plan` (see `village.up`) says."""
        self.directory = Path(plan["directory"])
        self.topology = parse_topology(plan["topology"])
        self.stations: dict[str, Station] = {}
        self._waiting: list[tuple[StationProcess, socket.socket]] = []
        _prepare_run([self.directory, *map(Path, plan["keep"])])
        homes = {kind: namespaces.open_namespace(kind) for kind in ("net", "uts", "mnt")}
        here = Path.cwd()
        for name in self.topology.stations:
            commands = {DAEMON: plan["command"], NET: plan["net_command"]}
            self.stations[name] = Station(name, paths_of(self.directory, name), commands)
        for station in self.stations.values():
            station.furnish()
            namespaces.setns(homes["mnt"])
        namespaces.setns(homes["net"])
        namespaces.setns(homes["uts"])
        os.chdir(here)
        self.fabric = Fabric(self.topology, {n: s.net for n, s in self.stations.items()})
        self.fabric.build()
        self._own = [namespaces.open_namespace(kind) for kind in ("user", "pid")]

    def start_all(self, which: str) -> None:
        """Start the daemon, or the helper, of every station."""
        for station in self.stations.values():
            station.process(which).start()

    def serve(self, listener: socket.socket, lifeline: socket.socket) -> None:
        """Answer clients until `down`, or until the lifeline breaks."""
        woken, waker = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        watched: list[socket.socket] = [listener, woken, lifeline]
        self._reap()
        while True:
            ready, _, _ = select.select(watched, [], [])
            if woken in ready:
                woken.recv(4096)
                self._reap()
            if lifeline in ready:
                if lifeline.recv(64) != b"detach\n":
                    return
                watched.remove(lifeline)
            if listener in ready and not self._serve_one(listener):
                return

    def _serve_one(self, listener: socket.socket) -> bool:
        """Serve one client; false after `down`."""
        connection, _ = listener.accept()
        connection.settimeout(REQUEST_TIMEOUT_S)
        descriptors: list[int] = []
        try:
            message, unwanted = protocol.receive_line(connection)
            for descriptor in unwanted:
                os.close(descriptor)
            if message.get("do") == "wait" and self._hold(message, connection):
                return True
            answer, descriptors = self._obey(message)
        except (VillageError, OSError, KeyError, TypeError, ValueError) as error:
            words = str(error) if isinstance(error, VillageError) else repr(error)
            message, answer = {}, {"error": words}
        with contextlib.suppress(OSError), connection:
            protocol.send_line(connection, answer, descriptors)
        return message.get("do") != "down"

    def _obey(self, message: Message) -> tuple[Message, list[int]]:
        """The answer to a request, and the descriptors that go with it."""
        match message["do"]:
            case "status":
                return self._status(), []
            case "link":
                cable = self.topology.cable(message["a"], message["b"])
                settings = self.fabric.settings[cable.index].changed(message["change"])
                if settings != self.fabric.settings[cable.index]:
                    self.fabric.apply(cable, settings)
                return self.fabric.describe(cable), []
            case "enter":
                station = self._station(message)
                environment = station.paths.environment(station.name)
                return {"env": environment}, [*self._own, station.net, station.uts, station.mnt]
            case "start":
                process = self._process(message)
                if process.pid:
                    raise VillageError(f"The {process.label} is running already.")
                process.start()
            case "signal":
                process = self._process(message)
                if not process.pid:
                    raise VillageError(f"The {process.label} is not running.")
                os.kill(process.pid, message["number"])
            case "wait" | "down":
                pass
            case other:
                raise VillageError(f"The village cannot do {other!r}.")
        return {"done": True}, []

    def _station(self, message: Message) -> Station:
        return self.stations[self.topology.resolve(message["station"])]

    def _process(self, message: Message) -> StationProcess:
        return self._station(message).process(message.get("which", DAEMON))

    def _hold(self, message: Message, connection: socket.socket) -> bool:
        """Keep a client until the process that it asks about has ended; false if that is now."""
        process = self._process(message)
        if not process.pid:
            return False
        if len(self._waiting) >= MAX_WAITING:
            raise VillageError("Too many clients wait for processes to end.")
        self._waiting.append((process, connection))
        return True

    def _status(self) -> Message:
        stations = [{"name": n, **s.describe()} for n, s in self.stations.items()]
        links = [self.fabric.describe(cable) for cable in self.topology.cables]
        return {"topology": self.topology.text, "stations": stations, "links": links}

    def _reap(self) -> None:
        """Collect every child that has ended: daemons, helpers, relays and orphans."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for station in self.stations.values():
                for process in station.processes.values():
                    if process.pid == pid:
                        process.ended(status)
                        self._release(process)
            with _complaining():
                self.fabric.mend(pid)

    def _release(self, process: StationProcess) -> None:
        released = [connection for waiting, connection in self._waiting if waiting is process]
        self._waiting = [item for item in self._waiting if item[0] is not process]
        for connection in released:
            with contextlib.suppress(OSError), connection:
                protocol.send_line(connection, {"done": True}, [])


class _complaining(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a verb
    """Write a `VillageError` to the log and go on."""

    def __exit__(self, _kind: object, error: object, _trace: object) -> bool:
        if isinstance(error, VillageError):
            sys.stderr.write(f"{error}\n")
            return True
        return False


def _prepare_run(keep: list[Path]) -> None:
    """A fresh /run, so that no service of the machine is met, with what is wanted of the old one.

    The village's directory may be in /run, and the user's runtime directory has the sound server.
    """
    run = Path("/run")
    kept = [path for path in keep if path.is_relative_to(run) and path.is_dir()]
    handles = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in kept]
    namespaces.mount(
        "tmpfs",
        run,
        kind="tmpfs",
        flags=namespaces.MS_NOSUID | namespaces.MS_NODEV,
        data="mode=755",
    )
    for path, handle in zip(kept, handles, strict=True):
        path.mkdir(parents=True, exist_ok=True)
        flags = namespaces.MS_BIND | namespaces.MS_REC
        namespaces.mount(f"/proc/self/fd/{handle}", path, flags=flags)
        os.close(handle)
    NETNS_DIR.mkdir()


def _listen(directory: Path) -> socket.socket:
    """The control socket, which only the user who made the village may connect to."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    (directory / protocol.CONTROL).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o077)
    listener.bind(f"/proc/self/fd/{descriptor}/{protocol.CONTROL}")
    os.umask(before)
    listener.listen(64)
    os.close(descriptor)
    return listener


def main(arguments: list[str]) -> int:
    """Entry point: the numbers of the lifeline socket and of the locked file."""
    lifeline = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(int(arguments[0]), False)
    os.set_inheritable(int(arguments[1]), False)
    plan = json.loads(lifeline.makefile("rb").readline())
    try:
        keeper = Keeper(plan)
        listener = _listen(keeper.directory)
        for which, wanted in ((NET, plan["net_command"]), (DAEMON, plan["daemons"])):
            if wanted:
                keeper.start_all(which)
    except (VillageError, OSError) as error:
        lifeline.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
        return 1
    lifeline.sendall(b'{"ready": true}\n')
    keeper.serve(listener, lifeline)
    return 0
