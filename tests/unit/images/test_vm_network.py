"""Switches between machines: frames of a stream, learning, cut cables, restarts."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from images.vm import Card, Network
from images.vm.network import LENGTH, MAX_FRAME_BYTES, MAX_WAITING_BYTES, FrameReader

BROADCAST = b"\xff" * 6


def frame(target: bytes, source: bytes, data: bytes = b"") -> bytes:
    return target + source + b"\x88\xb5" + data


def packed(data: bytes) -> bytes:
    return LENGTH.pack(len(data)) + data


def mac(number: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, number])


class Plug:
    """What QEMU is to a card."""

    def __init__(self, card: Card) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(card.path))
        self.socket.settimeout(5)
        self.reader = FrameReader()
        self.frames: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.socket.sendall(packed(data))

    def receive(self) -> bytes:
        """The next frame."""
        while not self.frames:
            data = self.socket.recv(65536)
            assert data
            self.frames = self.reader.feed(data)
        return self.frames.pop(0)


@pytest.fixture
def three() -> Iterator[tuple[Network, list[Card], list[Plug]]]:
    """Three machines on a network, which has accepted all of them."""
    with Network() as network:
        cards = [network.add_card() for _ in range(3)]
        plugs = [Plug(card) for card in cards]
        # Connections are accepted in their order, and nobody forgets a frame that comes before.
        for plug in plugs[::-1]:
            settle(plug, plugs)
        yield network, cards, plugs
        for plug in plugs:
            plug.socket.close()


def settle(plug: Plug, plugs: list[Plug]) -> None:
    """Have one machine say where it is until all others have heard it."""
    for other in plugs:
        if other is not plug:
            say_until_heard(plug, other, frame(BROADCAST, mac(plugs.index(plug))))
    # What the others were sent twice meanwhile ends with a word of its own.
    plug.send(frame(BROADCAST, mac(plugs.index(plug)), b"settled"))
    for other in plugs:
        while other is not plug and not other.receive().endswith(b"settled"):
            pass


def say_until_heard(plug: Plug, other: Plug, data: bytes) -> None:
    other.socket.settimeout(0.05)
    while True:
        plug.send(data)
        with contextlib.suppress(TimeoutError):
            other.receive()
            other.socket.settimeout(5)
            return


def test_frames_survive_any_cut() -> None:
    frames = [bytes([number]) * number * 100 for number in range(5)]
    data = b"".join(map(packed, frames))
    for size in (1, 3, 64, len(data)):
        reader = FrameReader()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [one for piece in pieces for one in reader.feed(piece)] == frames


def test_an_impossible_length_is_refused() -> None:
    with pytest.raises(ValueError, match="bytes"):
        FrameReader().feed(LENGTH.pack(MAX_FRAME_BYTES + 1))


def test_a_frame_to_everyone_reaches_everyone_else(
    three: tuple[Network, list[Card], list[Plug]],
) -> None:
    _, _, (a, b, c) = three
    a.send(frame(BROADCAST, mac(0), b"hello"))
    a.send(frame(mac(9), mac(0), b"unknown"))
    for plug in (b, c):
        assert plug.receive() == frame(BROADCAST, mac(0), b"hello")
        assert plug.receive() == frame(mac(9), mac(0), b"unknown")
    b.send(frame(BROADCAST, mac(1), b"answer"))
    assert a.receive() == frame(BROADCAST, mac(1), b"answer")  # and nothing of its own


def test_a_frame_to_one_reaches_that_one(three: tuple[Network, list[Card], list[Plug]]) -> None:
    _, _, (a, b, c) = three
    a.send(frame(mac(1), mac(0), b"for b"))
    a.send(frame(mac(2), mac(0), b"for c"))
    assert b.receive() == frame(mac(1), mac(0), b"for b")
    assert c.receive() == frame(mac(2), mac(0), b"for c")


def test_nothing_passes_a_cut_in_either_direction(
    three: tuple[Network, list[Card], list[Plug]],
) -> None:
    network, cards, (a, b, c) = three
    network.cut(cards[1])
    a.send(frame(BROADCAST, mac(0), b"lost"))
    b.send(frame(BROADCAST, mac(1), b"lost"))
    assert c.receive() == frame(BROADCAST, mac(0), b"lost")
    # c hears a's next word and not b's, and b hears what comes after the cut.
    say_until_heard(a, c, frame(BROADCAST, mac(0), b"lost"))
    network.mend(cards[1])
    a.send(frame(BROADCAST, mac(0), b"back"))
    assert b.receive() == frame(BROADCAST, mac(0), b"back")


def test_a_machine_that_starts_again_is_connected_again(
    three: tuple[Network, list[Card], list[Plug]],
) -> None:
    _, cards, plugs = three
    plugs[0].socket.sendall(LENGTH.pack(1000) + b"the beginning of a frame")
    plugs[0].socket.close()
    plugs[0] = Plug(cards[0])
    settle(plugs[0], plugs)
    plugs[1].send(frame(mac(0), mac(1), b"welcome"))
    assert plugs[0].receive() == frame(mac(0), mac(1), b"welcome")


def test_what_is_no_stream_of_frames_is_disconnected(
    three: tuple[Network, list[Card], list[Plug]],
) -> None:
    _, _, (a, b, c) = three
    a.socket.sendall(b"\xff" * 100)
    assert a.socket.recv(1) == b""
    b.send(frame(mac(2), mac(1), b"still here"))
    assert c.receive() == frame(mac(2), mac(1), b"still here")


def test_a_machine_that_reads_nothing_holds_nobody_up(
    three: tuple[Network, list[Card], list[Plug]],
) -> None:
    _, cards, (a, b, c) = three
    data = bytes(60_000)
    for _ in range(2 * MAX_WAITING_BYTES // len(data)):
        a.send(frame(mac(1), mac(0), data))
    a.send(frame(mac(2), mac(0), b"for c"))
    assert c.receive() == frame(mac(2), mac(0), b"for c")
    assert len(cards[1].waiting) <= MAX_WAITING_BYTES + MAX_FRAME_BYTES
    assert b.receive() == frame(mac(1), mac(0), data)  # the oldest are kept


def test_no_two_cards_share_an_address() -> None:
    with Network() as one, Network() as other:
        cards = [network.add_card() for network in (one, other) for _ in range(300)]
        assert len({card.mac for card in cards}) == 600
