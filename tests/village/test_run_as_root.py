"""`scripts/run` by root: who runs what then, what each may do, and that all of it is put back."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rights import NET_ADMIN
from root_machine import RootMachine, root_machine

pytestmark = [pytest.mark.village, pytest.mark.timeout(120)]

STATUS = "scripts/run status --json"
IS_UP = f"until {STATUS} >/dev/null 2>&1; do sleep 0.1; done; {STATUS}"
START = f"(scripts/run run >/root/run.log 2>&1 &); {IS_UP}"
FORMER = ".local/state/fencewire"
ASKING = f"""
. scripts/environment.sh
. scripts/privileges.sh
former=~/{FORMER}
while [[ -e $former ]]; do is_run_by_root || true; done
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RootMachine]:
    if os.geteuid() != 0:
        pytest.skip("users and mounts are made by root only")
    if sys.prefix == sys.base_prefix:
        pytest.skip("needs the environment that scripts/test makes")
    with root_machine(tmp_path_factory.mktemp("machine")) as made:
        yield made


def test_a_station_that_root_ran_goes_on_as_the_same_one(machine: RootMachine) -> None:
    """It is left alone until it is stopped, and then has a user of its own.

    Other commands that ask at the same time whether it runs do not look like a station.
    """
    former = f"(.venv/bin/python -P -m appliance run >/root/former.log 2>&1 &); {IS_UP}"
    before = json.loads(machine.bash(former))
    assert {one.rights.user for one in machine.processes()} == {0}
    machine.bash("scripts/run stop")
    after = json.loads(machine.bash(f"({ASKING}) >/dev/null 2>&1 &\n{START}"))
    assert after["id"] == before["id"]
    assert FORMER in machine.bash("cat /root/run.log")
    machine.bash(f"cd; test -f {FORMER}.before/station.key && ! test -e {FORMER}")
    kept = machine.bash("find /var/lib/fencewire ! -user fencewire -o -perm /077 -type f")
    assert [line for line in kept.splitlines() if not line.endswith("api.sock")] == []
    machine.bash("scripts/run stop")


def test_who_may_do_what(machine: RootMachine) -> None:
    """Nobody is root; the helper and what it starts have one capability, and all others none."""
    machine.bash(START)
    for port in (6696, 18951):
        machine.bash(
            f"until ss --no-header --listening --udp -n | grep -q :{port}; do sleep 0.1; done"
        )
    station, helper = machine.user("fencewire"), machine.user("fencewire-net")
    seen = {}
    for one in machine.processes():
        rights = one.rights
        assert rights.no_new_privileges, one
        if rights.user == helper:
            assert rights.held == rights.bound == NET_ADMIN, one
            assert len(rights.groups) == 1, one
        else:
            assert rights.user == station, one
            assert rights.held == rights.bound == 0, one
            assert rights.groups <= {machine.group("fencewire"), machine.group("audio")}, one
        for part in ("appliance run", "appliance.media", "appliance.net", "babeld"):
            if part in one.command:
                seen[part] = one.sockets
    assert seen["appliance.net"] <= {"netlink", "unix", "udp6", "none"}
    assert seen["babeld"] <= {"netlink", "unix", "udp6", "none"}
    assert seen["appliance run"] <= {*("netlink", "unix", "tcp", "tcp6", "udp", "udp6", "none")}
    assert seen["appliance.media"] <= {"unix"}
    listening = machine.bash("ss --no-header --listening --tcp --udp --raw --packet --numeric")
    assert {line.split()[4].rpartition(":")[2] for line in listening.splitlines()} == {
        *("18950", "5353"),
        "6696",  # babeld (RFC 8966)
        "18951",  # the helper, to neighbours: how slow a link is
    }
    machine.bash("scripts/run stop")
    machine.bash("flock --timeout 40 /run/fencewire-net.lock true")  # the helper's while it lives
    assert machine.network() == machine.network_at_first


def test_with_sudo_it_is_the_caller_s_own_station(machine: RootMachine) -> None:
    """Screen and all; the one that runs without sudo, too."""
    machine.bash(
        "useradd --create-home --groups audio ranger && chmod 0700 ~ranger"
        " && install -d -o ranger -m 0700 /run/user/$(id -u ranger)"
    )
    user = machine.user("ranger")
    sudo = {"SUDO_UID": str(user), "SUDO_GID": str(user), "SUDO_USER": "ranger"}
    with on_a_terminal(machine.words("exec scripts/run", **sudo)) as seen:
        assert b"Everyone" in seen
        machine.bash(IS_UP, **sudo)
        station = [one for one in machine.processes() if "run --state" in one.command]
        station += [one for one in machine.processes() if "appliance.media" in one.command]
        station += [one for one in machine.processes() if one.command.endswith("appliance")]
        assert len(station) == 3
        rights = {one.rights for one in station}
        assert {one.user for one in rights} == {user}
        assert {one.held | one.bound for one in rights} == {0}
        assert {one.groups for one in rights} == {
            frozenset({machine.group("ranger"), machine.group("audio")})
        }
        machine.bash("test -f ~ranger/.local/state/fencewire/station.key")
        assert "api.sock" in machine.bash("ls /run/user/$(id -u ranger)/fencewire")
    machine.bash("scripts/run stop", **sudo)


@contextmanager
def on_a_terminal(words: list[str]) -> Iterator[bytes]:
    """Run a program on a terminal; gives the first screenful."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs) as program:
        os.close(theirs)
        seen = b""
        try:
            while b"Everyone" not in seen and select.select([ours], [], [], 30)[0]:
                seen += os.read(ours, 65536)
            yield seen
        finally:
            program.kill()
            os.close(ours)
