"""A machine of its own whose root starts `scripts/run`: in namespaces, so ours stays as it is.

Users, `/run`, `/var/lib`, `/home` and the network are its own.  The checkout, a copy, lies below
root's home, and so does the Python where ours does; both can be entered by root alone.  There is no
other network than a cable with two ends.  Needs to be root; everything ends with its first process,
and that with whoever made it.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rights import Rights, rights_of

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = "/root/fencewire"
COMMAND_TIMEOUT_S = 45.0

_KINDS = ["--mount", "--net", "--pid", "--uts"]

_SET_UP = f"""
set -e
scratch=$1 checkout=$2 environment=$3 base=$4
mount -t tmpfs -o mode=0755 scratch "$scratch"
mkdir -p "$scratch"/root/fencewire/.venv/lib "$scratch"/root/fencewire/.venv/bin "$scratch"/base
# The environment's packages and the Python are ours, so nothing may be written there.
show() {{
    mount --rbind "$1" "$2"
    mount -o remount,bind,ro "$2"
}}
show "$base" "$scratch"/base
show "$environment"/lib "$scratch"/root/fencewire/.venv/lib
cp -a "$environment"/pyvenv.cfg "$scratch"/root/fencewire/.venv
cp -a "$environment"/bin/python* "$scratch"/root/fencewire/.venv/bin
cp -a "$checkout"/scripts "$checkout"/appliance "$checkout"/requirements.lock \
    "$scratch"/root/fencewire
chmod 0700 "$scratch"/root
cp -a /etc "$scratch"/etc
mount --bind "$scratch"/etc /etc
for own in /run /var/lib /home; do mount -t tmpfs -o mode=0755 own $own; done
mount --rbind "$scratch"/root /root
[ -d "$base" ] || {{ mkdir -p "$base" && mount --move "$scratch"/base "$base"; }}
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth0 up
ip link set eth1 up
while ip address | grep -q tentative; do sleep 0.1; done
cd {CHECKOUT}
bash -euc '. scripts/environment.sh
    stamp_for run >"$venv/.stamp"
    find_missing_packages run
    echo "${{missing_packages[*]}}" >"$venv/.packages-tried"' </dev/null
echo ready
# Until nobody has the other end of the input any more, however that came about.
exec cat
"""


_NETWORK = r"""
sysctl -a 2>/dev/null | grep -E '^net\.(ipv[46]|core)\.' | grep -v stat_refresh
ip -o address | sed -E 's/(valid|preferred)_lft \S+//g'
ip rule; ip -6 rule; ip route show table all; ip -6 route show table all
ip -o link | sed -E 's/qlen [0-9]+//'
nft list ruleset
"""
"""All that the helper may change."""


@dataclass(frozen=True)
class Process:
    """One of fencewire's processes."""

    pid: int
    """As it is called outside."""

    command: str
    """What was started, with arguments."""

    rights: Rights
    """What it may do."""

    sockets: frozenset[str]
    """Kinds of its sockets, as files of /proc/net are called; ``none``: nobody can send to it."""


class RootMachine:
    """The machine, running."""

    def __init__(self, process: int) -> None:
        self._init = process
        """Its first process, as it is called outside."""
        self.network_at_first = self.network()
        """Before anybody touched it."""

    def network(self) -> str:
        """Settings, addresses, rules, routes, links and firewall of the network."""
        return self.bash(_NETWORK)

    def bash(self, script: str, **environment: str) -> str:
        """What root's commands print; they must succeed."""
        done = subprocess.run(
            self.words(f"exec 2>&1\n{script}", **environment),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def words(self, script: str, **environment: str) -> list[str]:
        """What runs root's commands, in the checkout."""
        own = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "TERM": "xterm"}
        settings = [f"{name}={value}" for name, value in (own | environment).items()]
        enter = ["nsenter", "--target", str(self._init), *_KINDS, f"--wdns={CHECKOUT}"]
        return [*enter, "env", "-i", *settings, "bash", "-euc", script]

    def processes(self) -> list[Process]:
        """Fencewire's processes in it, and what they start."""
        inside = _pid_namespace(self._init)
        found = []
        for path in Path("/proc").iterdir():
            if path.name.isdecimal() and _pid_namespace(int(path.name)) == inside:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    found.append(_look_at(path))
        return [one for one in found if "appliance" in one.command or "babeld" in one.command]

    def user(self, name: str) -> int:
        """The number of a user."""
        return int(self.bash(f"id -u {shlex.quote(name)}"))

    def group(self, name: str) -> int:
        """The number of a group."""
        return int(self.bash(f"getent group {shlex.quote(name)}").split(":")[2])


def _pid_namespace(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    return ""


def _look_at(path: Path) -> Process:
    places: dict[str, str] = {}
    for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink", "unix"):
        _, *lines = (path / "net" / kind).read_text().splitlines()
        column = {"packet": 8, "netlink": 9, "unix": 6}.get(kind, 9)
        places |= {line.split()[column]: kind for line in lines}
    sockets = set()
    for link in (path / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(link.readlink())
            if target.startswith("socket:"):
                sockets.add(places.get(target[8:-1], "none"))
    return Process(
        pid=int(path.name),
        command=(path / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip(),
        rights=rights_of((path / "status").read_text()),
        sockets=frozenset(sockets),
    )


@contextmanager
def root_machine(scratch: Path) -> Iterator[RootMachine]:
    """Make one; `scratch` is an empty directory."""
    arguments = [str(scratch), str(ROOT), sys.prefix, sys.base_prefix]
    command = ["unshare", *_KINDS, "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen(
        [*command, "bash", "-c", _SET_UP, "bash", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as outer:
        try:
            assert outer.stdout is not None
            said = []
            while (line := outer.stdout.readline()) != "ready\n":  # warnings may come before
                said.append(line)
                assert line, f"the machine has ended: {''.join(said)}"
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text()
            yield RootMachine(int(children))
        finally:
            outer.send_signal(signal.SIGKILL)
