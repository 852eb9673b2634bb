"""Starting the keeper from outside, and holding on to it.

Only the process; what it is told to make is the caller's (`village`).
"""

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

from appliance.village import protocol, tools
from appliance.village.errors import VillageError

READY_TIMEOUT_S = 60.0
"""For the namespaces and cables of the largest village on a slow board."""

SOURCE_ROOT = Path(__file__).resolve().parents[2]
"""Where `appliance` is, for programs that are started from anywhere."""

PROGRAM = (sys.executable, "-P", "-m", "appliance")
"""What `fencewire` is, installed or not; needs `module_environment`."""

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from appliance.village.{0} import main; sys.exit(main(sys.argv[2:]))"
)
"""Starts a module without site-packages, which saves a third of the interpreter's start."""


class KeeperProcess:
    """The keeper of a village that this process makes."""

    def __init__(self, directory: Path, order: protocol.Message, lock: int) -> None:
        """Start it with its order. `lock`, the locked file, becomes its own and is closed here."""
        self._log = directory / "keeper.log"
        self._lifeline, theirs = socket.socketpair()
        try:
            self._process = self._start(theirs.fileno(), lock)
        except BaseException:
            self._lifeline.close()
            raise
        finally:
            theirs.close()
            os.close(lock)
        self._lifeline.sendall(json.dumps(order).encode() + b"\n")

    def wait_ready(self) -> None:
        """Return when stations and cables are there; `VillageError` with the reason if not."""
        if not select.select([self._lifeline], [], [], READY_TIMEOUT_S)[0]:
            raise VillageError(f"The village was not up after {READY_TIMEOUT_S:g} s.")
        try:
            answer, _ = protocol.receive_line(self._lifeline)
        except ConnectionResetError:
            answer = {}
        if "ready" in answer:
            return
        said = self._log.read_text(encoding="utf-8", errors="replace").strip()
        words = str(answer.get("error", said))
        raise VillageError(f"The village could not be made: {words}{_advice(words)}")

    def detach(self) -> None:
        """Let it live on without this process."""
        self._lifeline.sendall(b"detach\n")
        self._lifeline.close()
        self._process.returncode = 0  # not ours to collect any more, so nothing to warn about

    def close(self) -> None:
        """End it, unless it is detached, and with it everything in the village."""
        self._lifeline.close()
        self._process.wait()

    def _start(self, lifeline: int, lock: int) -> subprocess.Popen[bytes]:
        """The keeper in namespaces of its own and a session of its own."""
        unshare = tools.find("unshare") or "unshare"
        kinds = ["--user", "--map-root-user", "--net", "--mount", "--uts", "--pid", "--fork"]
        command = [unshare, *kinds, "--mount-proc", "--kill-child", *boot("keeper")]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [*command, str(lifeline), str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lifeline, lock],
                env=module_environment(),
                start_new_session=True,
            )


def boot(module: str) -> list[str]:
    """What starts a module of the village quickly; its own arguments follow."""
    return [sys.executable, "-I", "-S", "-c", _BOOT.format(module), str(SOURCE_ROOT)]


def daemon_command() -> list[str]:
    """What starts a station's daemon."""
    return [*PROGRAM, "run", "--state", "{state}", "--api", "{api}"]


def net_command() -> list[str]:
    """What starts a station's network helper."""
    places = ["--socket", "{net}", "--run-dir", "{net_run}", "--config", "{net_config}"]
    return [sys.executable, "-P", "-m", "appliance.net", *places]


def module_environment() -> dict[str, str]:
    """Our environment, in which `python -m appliance` works from any directory."""
    roots = [str(SOURCE_ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))}


def _advice(words: str) -> str:
    """What to do when the machine does not let its users make namespaces."""
    if "ermi" not in words or "unshare" not in words:
        return ""
    for name, value in (
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),
        ("kernel.unprivileged_userns_clone", "1"),
    ):
        switch = Path("/proc/sys", *name.split("."))
        if switch.exists() and switch.read_text(encoding="ascii").strip() != value:
            return f"\nThis machine keeps namespaces from users. Allow: sudo sysctl {name}={value}"
    return "\nThis machine does not let you make namespaces (a container?). Try it as root."
