"""What the kernel says of an interface is read, whatever its name."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.net.netlink import _interface


@pytest.mark.parametrize(("name", "text"), [("eth0", "eth0"), (b"\xff\x01", "\ufffd\x01")])
def test_a_name_may_be_any_bytes(name: str | bytes, text: str) -> None:
    link: dict[str, Any] = {"IFLA_IFNAME": name, "index": 2, "flags": 0, "ifi_type": 1}
    assert _interface(link, ()).name == text
