"""One station that was started from the image: what runs, as whom, and what it leaves alone."""

from __future__ import annotations

import re

import pytest
from booted import WITHIN_S, Booted, eventually
from figures import Figures
from rights import NET_ADMIN, rights_of

from images.vm import Kind

pytestmark = pytest.mark.timeout(900)

VM_LACKS = {"sound"}
"""Checks of doctor that a machine without a sound card cannot pass."""

MAX_USED_MB = 300
"""Memory in use of 512 MB; a Pi Zero 2 W gives some of them to its graphics."""

PROCESSES = r"""
cd /proc && for process in [0-9]*; do
    printf '%s\t' "$(stat -c %U $process)"; tr '\0\n' '  ' <$process/cmdline; echo
done
"""
"""User and command of each."""

STATUSES = """
for process in $(cat /sys/fs/cgroup/$(systemctl show -P ControlGroup {unit})/cgroup.procs); do
    cat /proc/$process/status && printf '\\f'
done
"""
"""What the kernel says of each process of a unit."""

ADVERTISEMENT = """
import socket, struct
card = socket.if_nametoindex("{interface}")
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, card)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
router = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 600, 600, 0)
network = socket.inet_pton(socket.AF_INET6, "2001:db8:1::")
raw.sendto(router + prefix + network, ("ff02::1", 0, 0, card))
"""
"""A router that offers a way out (RFC 4861 section 4.2)."""

MESH = """
ip -6 rule; ip -6 route show table all | grep '^fd' | sort; ip -6 address show dev lo
cat /proc/sys/net/ipv6/conf/*/forwarding; nft list table inet fencewire | grep -v counter
"""
"""What the network helper has made."""

CONFIGURED = "! networkctl list --no-legend | grep -v ' lo ' | grep -qv configured"


@pytest.fixture
def station(two: tuple[Booted, Booted]) -> Booted:
    return two[0]


def test_doctor_finds_nothing_but_what_a_machine_lacks(station: Booted) -> None:
    checks = station.ask("GET", "/v1/doctor")
    wrong = {one["name"]: one for one in checks if one["result"] != "ok"}
    assert set(wrong) <= VM_LACKS, wrong


def test_no_unit_failed(station: Booted) -> None:
    assert station.machine.output("systemctl --failed --no-legend --plain") == ""


def test_memory_in_use(station: Booted, figures: Figures, kind: Kind) -> None:
    lines = dict(
        line.split(":")
        for line in station.machine.output("cat /proc/meminfo").splitlines()
        if ":" in line
    )
    kb = {name: int(value.split()[0]) for name, value in lines.items()}
    used_mb = (kb["MemTotal"] - kb["MemAvailable"]) / 1024
    figures.add(f"memory in use, {kind} with {kb['MemTotal'] / 1024:.0f} MB", f"{used_mb:.0f} MB")
    assert used_mb < MAX_USED_MB


def test_nothing_else_listens(station: Booted) -> None:
    """Sessions, mDNS, babeld (RFC 8966), the helper's own: no other takes anything from outside."""
    listening = set()
    for line in station.machine.output(
        "ss --no-header --listening --tcp --udp --numeric"
    ).splitlines():
        kind, _, _, _, local, *_ = line.split()
        listening.add((kind, int(local.rpartition(":")[2])))
    assert listening == {("tcp", 18950), ("udp", 5353), ("udp", 6696), ("udp", 18951)}
    raw = station.machine.output("ss --no-header --listening --raw --packet --numeric --processes")
    others = [line for line in raw.splitlines() if "systemd-network" not in line]
    assert others == []


def test_the_root_is_read_only_below_a_bounded_overlay(station: Booted) -> None:
    mounts = {
        fields[1]: fields
        for fields in (
            line.split() for line in station.machine.output("cat /proc/mounts").splitlines()
        )
    }
    assert mounts["/"][2] == "overlay"
    image, changes = mounts["/run/fencewire/image"], mounts["/run/fencewire/changes"]
    assert image[2] == "squashfs"
    assert "ro" in image[3].split(",")
    assert changes[2] == "tmpfs"
    assert "size=" in changes[3]
    data = mounts["/data"]
    assert data[2] == "ext4"
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(data[3].split(","))


def test_data_fills_the_disk(station: Booted) -> None:
    whole, part = station.machine.output(
        "lsblk --noheadings --bytes --output SIZE --nodeps "
        "/dev/$(lsblk --noheadings --output PKNAME $(findmnt --noheadings --output SOURCE /data)) "
        "$(findmnt --noheadings --output SOURCE /data)"
    ).split()
    size = int(station.machine.output("findmnt --noheadings --bytes --output SIZE /data"))
    assert int(part) > 0.5 * int(whole)
    assert size > 0.85 * int(part)


def test_who_runs_what(station: Booted) -> None:
    """Daemon and screens are the operator's, voice and network helper have users of their own."""
    rows = [line.split("\t") for line in station.machine.output(PROCESSES).splitlines()]
    users: dict[str, set[str]] = {}
    for user, command in rows:
        for part in (
            "appliance run",
            "appliance tui",
            "appliance.media",
            "appliance.net",
            "babeld",
        ):
            if part in command:
                users.setdefault(part, set()).add(user)
    assert users == {
        "appliance run": {"fencewire"},
        "appliance tui": {"fencewire"},
        "appliance.media": {"fencewire-media"},
        "appliance.net": {"fencewire-net"},
        "babeld": {"fencewire-net"},
    }


@pytest.mark.parametrize(
    ("unit", "user", "more", "capabilities"),
    [
        ("fencewire.service", "fencewire", set(), 0),
        ("fencewire-media.service", "fencewire-media", {"audio"}, 0),
        ("fencewire-net.service", "fencewire-net", set(), NET_ADMIN),
        ("getty@tty1.service", "fencewire", set(), 0),
    ],
)
def test_what_each_process_of_a_unit_may_do(
    station: Booted, unit: str, user: str, more: set[str], capabilities: int
) -> None:
    processes = station.machine.output(STATUSES.format(unit=unit)).split("\f")[:-1]
    assert processes
    uid = int(station.machine.output(f"id -u {user}"))
    groups = {
        station.machine.output(f"getent group {name}").split(":")[2] for name in {user} | more
    }
    for status in processes:
        rights = rights_of(status)
        assert rights.user == uid
        assert rights.groups == set(map(int, groups))
        assert rights.held == rights.bound == capabilities
        assert rights.no_new_privileges


def test_the_voice_process_is_real_time(station: Booted) -> None:
    assert station.ask("GET", "/v1/status")["media"]["realtime"] is True


def test_nobody_is_asked_to_log_in(station: Booted) -> None:
    """Other consoles give no login, and no account has a password that opens it."""
    assert "login" not in station.machine.output(PROCESSES)
    shadow = station.machine.output("cat /etc/shadow").splitlines()
    assert all(line.split(":")[1].startswith(("!", "*")) for line in shadow)


def test_logs_are_bounded(station: Booted) -> None:
    shown = station.machine.output("systemd-analyze cat-config systemd/journald.conf")
    assert re.search(r"^Storage=volatile$", shown, re.MULTILINE)
    assert re.search(r"^RuntimeMaxUse=\d+M$", shown, re.MULTILINE)


def test_services_are_hardened(station: Booted, figures: Figures) -> None:
    for unit in ("fencewire.service", "fencewire-media.service", "fencewire-net.service"):
        shown = station.machine.output(f"systemd-analyze security --no-pager {unit} | tail -1")
        level = float(shown.split(":")[1].split()[0])
        figures.add(f"exposure of {unit} (0 best, 10 worst)", f"{level:.1f}")
        assert level < 3.0


def test_networkd_leaves_the_mesh_alone(three: tuple[Booted, Booted, Booted]) -> None:
    """It is started anew and configures all links again; the mesh is what it was."""
    a, b, c = three
    before = b.machine.output(MESH)
    b.machine.output("systemctl restart systemd-networkd.service")
    b.machine.output(f"until {CONFIGURED}; do sleep 0.5; done", timeout_s=WITHIN_S)
    eventually(lambda: b.machine.output(MESH) == before)
    eventually(lambda: a.hops() == {b.name: 1, c.name: 2})


def test_a_router_is_heeded_by_a_station_that_forwards(
    three: tuple[Booted, Booted, Booted],
) -> None:
    """The machine gets an address and a way out; the mesh goes on without either."""
    a, b, c = three
    interface = c.machine.output("ls /sys/class/net | grep -v lo")
    c.machine.output(["python3", "-c", ADVERTISEMENT.format(interface=interface)])
    eventually(lambda: "proto ra" in b.machine.output("ip -6 route show default"))
    assert "2001:db8:1:" in b.machine.output("ip -6 address")
    assert b.machine.output("cat /proc/sys/net/ipv6/conf/all/forwarding") == "1"
    assert a.hops() == {b.name: 1, c.name: 2}
    assert "2001:db8" not in a.machine.output("ip -6 route show table all")
