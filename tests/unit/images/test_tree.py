"""What the image's files say, as far as it can be read: rights, order, names that must agree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from appliance.adapters.realtime import PRIORITY
from appliance.api.paths import (
    MEDIA_SERVICE_SOCKET,
    NET_SERVICE_SOCKET,
    SERVICE_SOCKET,
    trouble_path,
)

IMAGES = Path(__file__).resolve().parents[3] / "images"
TREE = IMAGES / "common" / "tree"
UNITS = TREE / "etc" / "systemd" / "system"

Settings = dict[str, list[str]]

DAEMON, VOICE, DATA = "fencewire.service", "fencewire-media.service", "fencewire-data.service"
NET = "fencewire-net.service"
SCREEN = "getty@.service.d/screen.conf"

SANDBOX = {
    "KeyringMode": "private",
    "LockPersonality": "yes",
    "NoNewPrivileges": "yes",
    "PrivateIPC": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
}


def settings_of(path: Path) -> Settings:
    """A unit's settings by name, whatever their section, in their order."""
    found: Settings = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            name, separator, value = line.partition("=")
            assert separator, f"{path}: {line}"
            found.setdefault(name, []).append(value)
    return found


def unit(name: str) -> Settings:
    return settings_of(UNITS / name)


def own_files() -> list[Path]:
    return [path for path in sorted(TREE.rglob("*")) if path.is_file() and not path.is_symlink()]


@pytest.mark.parametrize(
    ("name", "capability"), [(DAEMON, ""), (VOICE, ""), (SCREEN, ""), (NET, "CAP_NET_ADMIN")]
)
def test_what_runs_our_code_has_no_other_rights_and_bounds(name: str, capability: str) -> None:
    found = unit(name)
    assert found["User"] != ["root"]
    assert found["CapabilityBoundingSet"] == [capability]
    assert found.get("AmbientCapabilities", [""]) == [capability]
    # In a user namespace a capability would count for nothing.
    assert found.get("PrivateUsers") == (None if capability else ["identity"])
    # The helper has to see who else is at a radio, such as root's wpa_supplicant.
    exception = {"ProtectProc": "default"} if name == NET else {}
    assert {key: found[key][-1] for key in SANDBOX} == SANDBOX | exception
    assert found["SystemCallFilter"][:2] == ["@system-service", "~@privileged @resources"]
    for bound in ("MemoryMax", "MemorySwapMax", "TasksMax", "LimitNOFILE"):
        assert bound in found
    assert found["Restart"] == ["always"]
    assert found["StartLimitIntervalSec"] == ["0"], "it is started for as long as it takes"


def test_the_voice_process_may_be_in_time_and_has_sound_alone() -> None:
    found = unit(VOICE)
    assert int(found["LimitRTPRIO"][0]) >= PRIORITY
    assert found["LimitMEMLOCK"] == ["infinity"]
    assert (found["DevicePolicy"], found["DeviceAllow"]) == (["closed"], ["char-alsa rw"])
    assert "ReadWritePaths" not in found
    assert "snd" in (TREE / "etc/modules-load.d/fencewire.conf").read_text().split()
    assert found["User"] != unit(DAEMON)["User"]


def test_the_station_may_read_input_devices_for_the_key_of_push_to_talk_and_no_others() -> None:
    found = unit(DAEMON)
    assert (found["DevicePolicy"], found["DeviceAllow"]) == (["closed"], ["char-input r"])
    assert "m fencewire input" in (TREE / "usr/lib/sysusers.d/fencewire.conf").read_text()


def test_when_memory_runs_out_the_screens_go_first_and_the_daemon_last() -> None:
    scores = [int(unit(name)["OOMScoreAdjust"][0]) for name in (DAEMON, NET, VOICE, SCREEN)]
    assert scores == sorted(scores)
    assert len(set(scores)) == 4


def test_units_and_program_mean_the_same_places() -> None:
    environment = dict(entry.split("=", 1) for entry in unit(DAEMON)["Environment"])
    assert environment["FENCEWIRE_API"] == str(SERVICE_SOCKET)
    assert environment["FENCEWIRE_MEDIA"] == str(MEDIA_SERVICE_SOCKET)
    assert f"FENCEWIRE_API={SERVICE_SOCKET}" in unit(SCREEN)["Environment"]
    assert environment["FENCEWIRE_NET"] == str(NET_SERVICE_SOCKET)
    for name, path in (("media", MEDIA_SERVICE_SOCKET), ("net", NET_SERVICE_SOCKET)):
        socket = unit(f"fencewire-{name}.socket")
        assert socket["ListenSequentialPacket"] == [str(path)]
        assert (socket["SocketUser"], socket["SocketMode"]) == (unit(DAEMON)["User"], ["0600"])
    waiting = (TREE / "usr/libexec/fencewire/wait-for-data").read_text()
    assert f"trouble={trouble_path(SERVICE_SOCKET)}\n" in waiting
    made = (TREE / "usr/lib/tmpfiles.d/fencewire.conf").read_text()
    for place in (str(SERVICE_SOCKET.parent), environment["FENCEWIRE_STATE"]):
        assert re.search(rf"^d {place} 07[05]0 fencewire fencewire", made, re.MULTILINE)


def test_users_have_fixed_numbers() -> None:
    lines = (TREE / "usr/lib/sysusers.d/fencewire.conf").read_text().splitlines()
    users = {words[1]: words[2] for words in map(str.split, lines) if words[0] == "u"}
    assert users == {"fencewire": "880", "fencewire-media": "881", "fencewire-net": "882"}
    assert "m fencewire-media audio" in lines
    for name in (DAEMON, VOICE, NET, SCREEN):
        assert unit(name)["User"][0] in users


def test_nobody_is_asked_to_log_in() -> None:
    for name in ("getty@.service", "serial-getty@.service"):
        assert unit(name)["ExecStart"] == ["/usr/libexec/fencewire/screen"]
        assert (UNITS / f"{name}.d/screen.conf").read_text() == (UNITS / SCREEN).read_text()
    for name in ("emergency.service", "rescue.service"):
        assert unit(name)["ExecStart"] == ["/usr/libexec/fencewire/start-again"]
    for name in ("getty-static.service", "systemd-firstboot.service"):
        assert (UNITS / name).readlink() == Path("/dev/null")
    words = re.compile(r"\b(agetty|sulogin|login|bash)\b")
    assert not [path for path in own_files() if words.search(_without_comments(path))]


def _without_comments(path: Path) -> str:
    return re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE)


def test_a_station_waits_for_its_data_and_nothing_else_does() -> None:
    daemon, fstab = unit(DAEMON), (TREE / "etc/fstab").read_text().splitlines()[-1].split()
    assert daemon["Requires"] == [DATA]
    assert DATA in daemon["After"][0].split()
    assert daemon["AssertPathIsMountPoint"] == ["/data"]
    device, folder, kind, options, _, check = fstab
    assert (device, folder, kind, check) == ("/dev/fencewire/data", "/data", "ext4", "2")
    wanted = {"nosuid", "nodev", "noexec", "nofail", "errors=remount-ro", "data=ordered"}
    assert wanted <= set(options.split(","))
    # With it all of the boot waits for /data, "nofail" or not.
    assert "x-systemd.growfs" not in options


def test_the_data_partition_has_the_name_that_the_initrd_looks_for() -> None:
    made = settings_of(TREE / "etc/repart.d/10-data.conf")
    initrd = (IMAGES / "initrd" / "init").read_text()
    assert f'ENV{{ID_PART_ENTRY_NAME}}=="{made["Label"][0]}"' in initrd
    assert 'SYMLINK+="fencewire/data"' in initrd


def test_what_is_enabled_is_there_and_all_else_is_not() -> None:
    preset = (TREE / "etc/systemd/system-preset/00-fencewire.preset").read_text().splitlines()
    rules = [line for line in preset if not line.startswith("#")]
    assert rules[-1] == "disable *"
    ours = {rule.split()[1] for rule in rules if "fencewire" in rule}
    assert ours == {DAEMON, VOICE, NET, "fencewire-media.socket", "fencewire-net.socket"}
    for name in ours:
        assert "WantedBy" in unit(name)


def test_programs_are_executable_and_have_no_slips() -> None:
    for path in own_files():
        begins = path.read_text().startswith("#!")
        assert begins == bool(path.stat().st_mode & 0o111), path
        if begins:
            subprocess.run(["sh", "-n", path], check=True)


def test_every_link_leads_nowhere_or_stays_in_the_tree() -> None:
    for path in TREE.rglob("*"):
        if path.is_symlink() and path.readlink() != Path("/dev/null"):
            assert path.resolve().is_relative_to(TREE), path
            assert path.exists(), path
