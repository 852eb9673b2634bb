"""The socket of a call: marked for the voice queue, deaf to strangers, quiet about errors."""

from __future__ import annotations

import select
import socket
import time

import pytest

from appliance.adapters.dscp import Dscp
from appliance.adapters.udp import UdpError, VoiceSocket

FAMILIES = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
OPTIONS = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TOS),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
}


@pytest.mark.parametrize("host", FAMILIES)
def test_it_talks_to_one_address_and_is_marked(host: str) -> None:
    family = FAMILIES[host]
    voice = VoiceSocket(host)
    with (
        socket.socket(family, socket.SOCK_DGRAM) as peer,
        socket.socket(family, socket.SOCK_DGRAM) as stranger,
    ):
        for other in (peer, stranger):
            other.bind((host, 0))
            other.settimeout(5)
        with socket.socket(fileno=socket.dup(voice.fileno())) as same:
            assert same.getsockopt(*OPTIONS[family]) == Dscp.VOICE.octet == 0xB8
        voice.connect(host, peer.getsockname()[1])
        assert voice.receive() is None
        stranger.sendto(b"noise", (host, voice.port))
        peer.sendto(b"voice", (host, voice.port))
        assert select.select([voice], [], [], 5)[0]
        assert voice.receive() == b"voice"
        assert voice.receive() is None
        voice.send(b"answer")
        assert peer.recv(100) == b"answer"
    voice.close()


@pytest.mark.parametrize("host", FAMILIES)
def test_the_kernel_says_how_long_a_datagram_has_waited(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = VoiceSocket(host)
    with socket.socket(FAMILIES[host], socket.SOCK_DGRAM) as peer:
        peer.bind((host, 0))
        voice.connect(host, peer.getsockname()[1])

        def age_s(passed_s: float) -> float:
            peer.sendto(b"voice", (host, voice.port))
            came = time.time()
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda: came + passed_s)
                assert voice.receive() == b"voice"
            return voice.age_s

        assert age_s(0.1) == pytest.approx(0.1, abs=0.05)
        assert age_s(0.0) < 0.05
        assert [age_s(3600.0), age_s(-3600.0)] == [0.0, 0.0], "the clock was set"
        assert voice.stamps
    voice.close()


def test_nobody_at_the_other_end_is_no_error() -> None:
    voice = VoiceSocket("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        voice.connect("127.0.0.1", gone.getsockname()[1])
    for _ in range(3):
        voice.send(b"voice")
        assert voice.receive() in {b"", None}
    voice.close()


@pytest.mark.parametrize("host", ["", "example.org", "192.0.2.1", "fe80::1%nowhere", "\udcff"])
def test_addresses_that_are_not_ours_are_refused(host: str) -> None:
    with pytest.raises(UdpError, match=r"\.$"):
        VoiceSocket(host)


@pytest.mark.parametrize("host", ["::1", "example.org", "x\0y"])
def test_peers_of_another_kind_are_refused(host: str) -> None:
    voice = VoiceSocket("127.0.0.1")
    with pytest.raises(UdpError):
        voice.connect(host, 9)
    voice.close()
