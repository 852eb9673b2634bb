"""Whatever a neighbour puts into a TXT record, only the documented error comes out."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.identity import StationId
from appliance.protocol.dnssd import Announcement, DnssdError

stations = st.binary(min_size=32, max_size=32).map(StationId)
announcements = st.builds(
    Announcement, stations, version=st.integers(1, 0xFFFF), port=st.integers(1, 0xFFFF)
)
values = st.one_of(st.binary(max_size=60), stations.map(lambda one: one.text.encode()))
strings = st.one_of(
    st.binary(max_size=255),
    st.tuples(st.sampled_from([b"id", b"v", b"port", b"Port"]), values).map(b"=".join),
)


def record(strings: list[bytes]) -> bytes:
    return b"".join(bytes([len(one)]) + one for one in strings)


@given(st.one_of(st.binary(max_size=1500), st.lists(strings, max_size=8).map(record)))
def test_only_the_documented_error(txt: bytes) -> None:
    with contextlib.suppress(DnssdError):
        found = Announcement.parse(txt)
        assert 1 <= found.port <= 0xFFFF
        assert 1 <= found.version <= 0xFFFF


@given(announcements, st.lists(st.binary(max_size=100).map(lambda one: b"x-" + one), max_size=3))
def test_what_was_said_is_understood(said: Announcement, more: list[bytes]) -> None:
    pairs = [f"{key}={value}".encode() for key, value in said.to_properties().items()]
    assert Announcement.parse(record([*more, *pairs])) == said
