"""Switches between virtual machines, in user space and without privileges.

Each network is a thread that hands Ethernet frames on between the machines' cards, which QEMU
connects by Unix sockets (`-netdev stream`: each frame after its length, 4 bytes, big endian). It
learns who is where as a switch does. A card whose machine is killed can be connected again by the
next start. Addresses, and any way out of here, are not a network's business.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import shutil
import socket
import struct
import tempfile
import threading
from pathlib import Path

LENGTH = struct.Struct("!I")
MAX_FRAME_BYTES = 70_000
MAX_WAITING_BYTES = 2 * 1024 * 1024
"""Waiting for one machine; frames beyond that are dropped, as by any switch."""
READ_BYTES = 256 * 1024
MIN_FRAME_BYTES = 14

_card_numbers = itertools.count(1)


class FrameReader:
    """Frames from a stream's bytes in any pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the frames that they complete. ValueError: that is no stream."""
        data = self._rest + data
        frames = []
        at = 0
        while len(data) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data, at)
            if length > MAX_FRAME_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            end = at + LENGTH.size + length
            if end > len(data):
                break
            frames.append(data[at + LENGTH.size : end])
            at = end
        self._rest = data[at:]
        return frames


class Card:
    """A network card of one machine, in one network."""

    def __init__(self, network: Network, path: Path) -> None:
        number = next(_card_numbers)
        self.network = network
        self.mac = f"52:54:00:46:{number >> 8 & 255:02x}:{number & 255:02x}"
        """Its address; no two cards of this process share one."""
        self.path = path
        """The Unix socket that QEMU connects to."""
        self.is_cut = False
        """Whether nothing passes, though the carrier may be there."""
        self.reader = FrameReader()
        self.waiting = bytearray()
        self.connection: socket.socket | None = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.setblocking(False)

    def close(self) -> None:
        """End it."""
        self.listener.close()
        if self.connection is not None:
            self.connection.close()


class Network:
    """One network: a context manager, or `close()` it."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="fencewire-net-"))
        self._cards: list[Card] = []
        self._places: dict[bytes, Card] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, name="network", daemon=True)
        self._thread.start()

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, after the machines that use it."""
        self._wake.close()
        self._thread.join()
        for card in self._cards:
            card.close()
        self._selector.close()
        self._woken.close()
        shutil.rmtree(self._directory)

    def add_card(self) -> Card:
        """Make a card for a machine."""
        with self._lock:
            card = Card(self, self._directory / str(len(self._cards)))
            self._cards.append(card)
            self._selector.register(card.listener, selectors.EVENT_READ, card)
        self._wake.send(b"!")  # the thread may be waiting already, without it
        return card

    def cut(self, card: Card) -> None:
        """Let nothing pass any more; the machine's carrier stays, as behind a second switch."""
        card.is_cut = True

    def mend(self, card: Card) -> None:
        """Undo a cut."""
        card.is_cut = False

    def _serve(self) -> None:
        while True:
            for key, events in self._selector.select():
                if key.data is None:
                    if not self._woken.recv(64):
                        return
                    continue
                with self._lock:
                    self._serve_card(key.data, key.fileobj, events)

    def _serve_card(self, card: Card, which: object, events: int) -> None:
        if which is card.listener:
            self._connect(card)
        elif which is card.connection:  # and not one that has just ended
            if events & selectors.EVENT_WRITE:
                self._flush(card)
            if events & selectors.EVENT_READ:
                self._receive(card)

    def _connect(self, card: Card) -> None:
        self._disconnect(card)
        card.connection, _ = card.listener.accept()
        card.connection.setblocking(False)
        self._selector.register(card.connection, selectors.EVENT_READ, card)

    def _disconnect(self, card: Card) -> None:
        if card.connection is not None:
            self._selector.unregister(card.connection)
            card.connection.close()
            card.connection = None
        card.reader = FrameReader()
        card.waiting.clear()

    def _receive(self, card: Card) -> None:
        assert card.connection is not None
        try:
            data = card.connection.recv(READ_BYTES)
            frames = card.reader.feed(data)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            data = b""
        if not data:
            self._disconnect(card)
            return
        for frame in frames:
            if len(frame) >= MIN_FRAME_BYTES and not card.is_cut:
                self._pass_on(card, frame)

    def _pass_on(self, sender: Card, frame: bytes) -> None:
        target, source = frame[:6], frame[6:12]
        self._places[source] = sender
        place = self._places.get(target)
        for card in self._cards if place is None else [place]:
            if card is not sender and not card.is_cut:
                self._send(card, frame)

    def _send(self, card: Card, frame: bytes) -> None:
        if card.connection is None or len(card.waiting) > MAX_WAITING_BYTES:
            return
        card.waiting += LENGTH.pack(len(frame)) + frame
        self._flush(card)

    def _flush(self, card: Card) -> None:
        assert card.connection is not None
        with contextlib.suppress(BlockingIOError):
            try:
                sent = card.connection.send(card.waiting)
                del card.waiting[:sent]
            except (ConnectionError, BrokenPipeError):  # the next read says so, too
                card.waiting.clear()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if card.waiting else 0)
        self._selector.modify(card.connection, wanted, card)
