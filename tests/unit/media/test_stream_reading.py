"""When a stream reads what comes: with the sound that is due, or at once where much comes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from voice_ends import started

from appliance.media.files import FileThread
from appliance.media.stream import BURST, CALM, Stream
from appliance.model.media import MediaEvent, OpenStream, StreamOpened
from appliance.protocol.jitter import FRAME_S


class Call:
    """A stream without files or cards, its beats, and who sends to it."""

    def __init__(self, files: FileThread, peer: socket.socket) -> None:
        self.now = 100.0
        self.events: list[MediaEvent] = []
        self.stream = Stream(
            OpenStream("call", "127.0.0.1"), self.events.append, files, lambda: self.now
        )
        (opened,) = (event for event in self.events if isinstance(event, StreamOpened))
        peer.connect(("127.0.0.1", opened.port))
        self._peer = peer

    def start(self) -> None:
        port = self._peer.getsockname()[1]
        assert self.stream.start(started("call", port), [], self.now), self.events
        self.stream.due = self.now

    def beat(self, *, packets: int) -> bool:
        """Have so many come, then 20 ms go by; whether the next ones are read at once."""
        for _ in range(packets):
            self._peer.send(b"\x80" + bytes(40))
        self.now = self.stream.due
        self.stream.beat(self.now)
        self.stream.due += FRAME_S
        return self.stream.thirsty


@pytest.fixture
def call() -> Iterator[Call]:
    files = FileThread()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        made = Call(files, peer)
        yield made
        made.stream.close()
    files.close()


def test_before_it_has_started_nothing_stays_in_its_socket(call: Call) -> None:
    assert call.stream.thirsty


def test_a_few_packets_wake_nobody(call: Call) -> None:
    call.start()
    call.beat(packets=1)
    assert [call.beat(packets=count) for count in (0, 1, CALM, 2)] == [False] * 4


def test_many_are_read_at_once_until_it_is_calm_again(call: Call) -> None:
    call.start()
    call.beat(packets=0)
    assert [call.beat(packets=count) for count in (0, 3 * CALM, 0, BURST, 1, 0)] == [
        *(False, False, True, False, True, False)
    ]
