"""A person's terminal on the serial line of a machine that is up."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

from images.vm import qemu

LEAVE = b"\x1d"
"""Ctrl-]"""
SHOWN_BYTES = 256 * 1024
"""Of what was written before, this much is shown again, so that the screen stands there."""
CLEAN_UP = b"\x1b[?1049l\x1b[?1000;1002;1003;1006;2004l\x1b[?25h\x1b[0m\r\n"
"""Undoes what a program on the line may have switched on in this terminal."""


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """Every key goes to the machine as it is, if there is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        write(CLEAN_UP)


def write(data: bytes) -> None:
    """Show bytes on this terminal."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def attach(place: Path) -> None:
    """Connect this terminal until Ctrl-], the end of the input or of the machine."""
    with socket.socket(socket.AF_UNIX) as line, raw_terminal():
        line.connect(str(place / qemu.SERIAL_SOCKET))
        write((place / qemu.SERIAL_LOG).read_bytes()[-SHOWN_BYTES:])
        keyboard = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([line, keyboard], [], [])
            if line in ready:
                data = line.recv(65536)
                if not data:
                    return
                write(data)
            if keyboard in ready:
                typed, left, _ = os.read(keyboard, 1024).partition(LEAVE)
                line.sendall(typed)
                if left or not typed:
                    return
