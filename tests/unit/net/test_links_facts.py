"""What is read of drivers, udev and logins, from files that are laid out as the kernel's are."""

from pathlib import Path

import pytest
from link_samples import ETH0

from appliance.net.census import UDEV_WAIT_S, Census
from appliance.net.config import NetConfig
from appliance.net.facts import Facts, Udev, session_addresses
from appliance.net.netlink import Picture

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0401A8C0:0016 0501A8C0:D431 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0601A8C0:0050 0501A8C0:D431 01 00000000:00000000 00:00000000 00000000     0        0 3 1
   3: 0701A8C0:08AE 0501A8C0:D431 01 00000000:00000000 00:00000000 00000000     0        0 4 1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st
   0: 000080FE00000000FF00A8EC640532FE:0016 000080FE00000000FF00A8EC650532FE:D431 01 0:0
   1: 0000000000000000FFFF00000901A8C0:0016 0000000000000000FFFF00000501A8C0:D431 01 0:0
"""


def test_logins_are_found_by_the_address_that_they_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tcp").write_text(TCP)
    (tmp_path / "tcp6").write_text(TCP6)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    usual = {"192.168.1.4", "192.168.1.9", "fe80::eca8:ff:fe32:564"}
    assert session_addresses(tmp_path) == usual
    monkeypatch.setenv("SSH_CONNECTION", "192.168.1.5 54321 192.168.1.7 2222")
    assert session_addresses(tmp_path) == usual | {"192.168.1.7"}
    assert session_addresses(tmp_path / "absent") == frozenset()


def test_sys_counts_only_if_it_shows_our_namespace(tmp_path: Path) -> None:
    directory = tmp_path / "eth0"
    (directory / "phy80211").mkdir(parents=True)
    (directory / "uevent").write_text("DEVTYPE=wlan\nINTERFACE=eth0\nIFINDEX=2\n")
    facts = Facts(sys=tmp_path, udev=tmp_path)
    try:
        for address, wireless in (("02:fc:00:00:00:01\n", True), ("02:fc:00:00:00:02\n", False)):
            (directory / "address").write_text(address)
            assert facts.hardware(ETH0).wireless is wireless
    finally:
        facts.close()


def test_udev_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    facts = Facts(sys=tmp_path, udev=tmp_path)
    census = Census(NetConfig(), facts=facts)
    picture = Picture((ETH0,))
    data = tmp_path / "data" / "n2"
    data.parent.mkdir()
    try:
        assert census.judge(picture, 0.0)[2].used, "no udev here"
        (tmp_path / "control").touch()
        assert "still setting it up" in census.judge(picture, 1.0)[2].why_not
        assert census.judge(picture, 1.0 + UDEV_WAIT_S)[2].used
        data.write_text("I:123\nE:FENCEWIRE_IGNORE=1\n")
        assert facts.udev(2) == Udev(pending=False, ignore=True)
        assert census.judge(picture, 2.0)[2].hands_off
        assert census.leaves_alone("eth0")
        data.write_text("E:FENCEWIRE_IGNORE=0\n")
        assert census.judge(picture, 3.0)[2].used
    finally:
        census.close()
