"""Who else may be at a radio, from files like those of /sys, /run and /proc."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.net.radio_users import RadioUsers


def put(root: Path, files: dict[str, str]) -> RadioUsers:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return RadioUsers(root)


RADIO = {"sys/class/net/wlan0/ifindex": "3\n"}
SWITCH = "sys/class/net/wlan0/phy80211/rfkill0"


@pytest.mark.parametrize(
    ("hard", "soft", "said"),
    [("0", "0", None), ("0", "1", "by software"), ("1", "0", "own switch")],
)
def test_switches(tmp_path: Path, hard: str, soft: str, said: str | None) -> None:
    users = put(tmp_path, RADIO | {f"{SWITCH}/hard": hard, f"{SWITCH}/soft": soft})
    found = users.blocked("wlan0", 3)
    assert (found is None) if said is None else (found is not None and said in found.why)
    assert users.blocked("wlan0", 4) is None, "another interface of that name"


@pytest.mark.parametrize(
    ("files", "by"),
    [
        ({"proc/9/comm": "iwd\n"}, "iwd"),
        ({"proc/9/comm": "connmand\n"}, "ConnMan"),
        ({"proc/9/comm": "NetworkManager\n"}, "NetworkManager"),
        (
            {
                "proc/9/comm": "NetworkManager\n",
                "run/NetworkManager/devices/3": "[device]\nmanaged=true\n",
            },
            "NetworkManager",
        ),
        (
            {
                "proc/9/comm": "NetworkManager\n",
                "run/NetworkManager/devices/3": "[device]\nmanaged=false\n",
            },
            None,
        ),
        (
            {
                "proc/9/comm": "wpa_supplicant\n",
                "proc/9/cmdline": "/sbin/wpa_supplicant\0-c\0x.conf\0-i\0wlan0\0",
            },
            "wpa_supplicant",
        ),
        (
            {
                "proc/9/comm": "wpa_supplicant\n",
                "proc/9/cmdline": "/sbin/wpa_supplicant\0-iwlan0\0",
            },
            "wpa_supplicant",
        ),
        (
            {
                "proc/9/comm": "wpa_supplicant\n",
                "proc/9/cmdline": "/sbin/wpa_supplicant\0-iwlan1\0",
            },
            None,
        ),
        (
            {"run/systemd/netif/links/3": "ADMIN_STATE=configuring\nNETWORK_FILE=/etc/x.network\n"},
            "systemd-networkd",
        ),
        ({"run/systemd/netif/links/3": "ADMIN_STATE=unmanaged\n"}, None),
        ({"proc/9/comm": "bash\n"}, None),
        ({}, None),
    ],
)
def test_managers(tmp_path: Path, files: dict[str, str], by: str | None) -> None:
    found = put(tmp_path, files).manager("wlan0", 3)
    assert (found is None) if by is None else (found is not None and found.why.startswith(by))
