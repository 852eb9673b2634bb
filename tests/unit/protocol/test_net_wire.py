"""The edges of the network helper's messages; that they come back is in the property tests."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from appliance.model import codec
from appliance.model.net import (
    NET_VERSION,
    Avoid,
    Join,
    Joined,
    NetNews,
    NetRefused,
    NetRoute,
    NetState,
)
from appliance.protocol.net_wire import (
    MAX_FRAME_BYTES,
    MAX_ITEMS,
    MAX_TEXT,
    NetWireError,
    decode_command,
    decode_event,
    encode,
)

KEY = bytes(range(32))
ROUTE = NetRoute(
    prefix="fd12:3456:789a:bcde:f012:3456:789a:bcde/128",
    interface="enx0123456789ab",
    via="fe80::1234:56ff:fe78:9abc",
    metric=65535,
    refmetric=65535,
    origin="0123456789abcdef",
    installed=True,
)


def raw(kind: str, **fields: Any) -> bytes:
    return codec.encode({"type": kind, **fields})


def test_a_full_message_of_routes_fits_four_times() -> None:
    news = NetNews(routes=(ROUTE,) * MAX_ITEMS)
    assert decode_event(encode(news)) == news
    assert 4 * len(encode(news)) < MAX_FRAME_BYTES


@pytest.mark.parametrize(
    "data",
    [
        raw("Join", version=NET_VERSION, station=KEY[:31]),
        raw("Join", version=NET_VERSION, station=KEY + b"\0"),
        raw("Join", version=NET_VERSION, station="x" * 32),
        raw("Join", version=True, station=KEY),
        raw("Join", version=NET_VERSION),
        raw("Join", version=NET_VERSION, station=KEY, address="fd00::1"),
        raw("Avoid", station=KEY, interface="eth0\0", via="fe80::1"),
        raw("Avoid", station=KEY, interface="e" * (MAX_TEXT + 1), via="fe80::1"),
        raw("Exec", command="id"),
        codec.encode([1, 2]),
        b"",
        encode(Joined(NET_VERSION, "fd00::1")),
    ],
)
def test_what_is_no_command_is_refused(data: bytes) -> None:
    with pytest.raises(NetWireError):
        decode_command(data)


@pytest.mark.parametrize(
    "fields",
    [
        {"links_gone": ["eth0"] * (MAX_ITEMS + 1)},
        {"neighbours_gone": [["eth0"]]},
        {"neighbours_gone": [["eth0", "fe80::1", "more"]]},
        {"routes_gone": [["fd00::/64", "eth0", 1]]},
        {"routes": [{**asdict(ROUTE), "metric": 1.0}]},
        {"links": [{}]},
    ],
)
def test_what_is_no_news_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(NetWireError):
        decode_event(raw("NetNews", **{**asdict(NetNews()), **fields}))


def test_what_is_too_long_or_no_text_is_not_sent() -> None:
    with pytest.raises(NetWireError):
        encode(NetRefused("x" * MAX_FRAME_BYTES))
    with pytest.raises(NetWireError):
        encode(Avoid(KEY, "eth\udcff", "fe80::1"))


def test_a_command_is_no_event() -> None:
    with pytest.raises(NetWireError):
        decode_event(encode(Join(NET_VERSION, KEY)))
    assert decode_event(encode(NetState(routing=False, synced=True, problems=()))) == NetState(
        routing=False, synced=True, problems=()
    )
