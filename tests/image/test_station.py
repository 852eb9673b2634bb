"""One station that was started from the image: what runs, as whom, and what it leaves alone."""

from __future__ import annotations

import re

import pytest
from booted import Booted
from figures import Figures

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
    """Sessions and mDNS, and no other socket takes anything from the network."""
    listening = set()
    for line in station.machine.output(
        "ss --no-header --listening --tcp --udp --numeric"
    ).splitlines():
        kind, _, _, _, local, *_ = line.split()
        listening.add((kind, int(local.rpartition(":")[2])))
    assert listening == {("tcp", 18950), ("udp", 5353)}
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
    """The daemon and the screens are the operator's, the voice process has its own user."""
    rows = [line.split("\t") for line in station.machine.output(PROCESSES).splitlines()]
    users: dict[str, set[str]] = {}
    for user, command in rows:
        for part in ("appliance run", "appliance tui", "appliance.media"):
            if part in command:
                users.setdefault(part, set()).add(user)
    assert users == {
        "appliance run": {"fencewire"},
        "appliance tui": {"fencewire"},
        "appliance.media": {"fencewire-media"},
    }


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
    for unit in ("fencewire.service", "fencewire-media.service"):
        shown = station.machine.output(f"systemd-analyze security --no-pager {unit} | tail -1")
        level = float(shown.split(":")[1].split()[0])
        figures.add(f"exposure of {unit} (0 best, 10 worst)", f"{level:.1f}")
        assert level < 3.0
