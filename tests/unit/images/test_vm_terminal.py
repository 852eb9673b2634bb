"""Consoles without a machine: what a terminal makes of bytes, waiting for words, keys."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from images.vm import MachineError, Result, SerialConsole, Terminal, VirtualConsole
from images.vm.console import last_lines
from images.vm.keys import NAMES, qemu_codes, terminal_bytes
from images.vm.terminal import MAX_SEQUENCE_BYTES, plain_text


def screen_after(data: bytes) -> str:
    terminal = Terminal(rows=3, columns=30)
    terminal.feed(data)
    return terminal.text.rstrip()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"one\r\ntwo", "one\ntwo"),
        (b"\x1b[2;3Hhere", "\n  here"),
        (b"old\x1b[2J\x1b[Hnew", "new"),
        ("Grüße │─".encode(), "Grüße │─"),
        (b"\x1b[1;38;5;9mred\x1b[0m", "red"),
        (b"\x1b[38:2::1:2:3mcolour\x1b[0m", "colour"),  # pyte would print a part of it
        (b"\x1b[!p\x1b]104\x07\x1b[?7hsystemd's", "systemd's"),
        (b"\x1bP+q436f\x1b\\asked", "asked"),
        (b"\x1b[>1u\x1b[=5u\x1b[<u\x1b[?u\x1b[?2026$p\x1b[>4;1mkeyboard", "keyboard"),
        (b"\x1b[?4mprivate colour", "private colour"),
        (b"\x1b]0;a title\x07\x1b]2;another\x1b\\text", "text"),
        (b"\x1b]P1aabbcc\x1b]Rpalette", "palette"),
        (b"\x1b[2 qcursor", "cursor"),
        (b"\x1b_G\x1b\\\x1b^p\x1b\\strings", "strings"),
    ],
)
def test_the_screen_shows_text_whatever_goes_around_it(data: bytes, text: str) -> None:
    assert screen_after(data) == text
    terminal = Terminal(rows=3, columns=30)
    for at in range(len(data)):
        terminal.feed(data[at : at + 1])
    assert terminal.text.rstrip() == text


def test_a_sequence_that_never_ends_is_not_kept_for_ever() -> None:
    terminal = Terminal()
    terminal.feed(b"\x1b]0;" + b"x" * MAX_SEQUENCE_BYTES)
    terminal.feed(b"\x07\x1b[H\x1b[2Jon")
    assert terminal.text.strip() == "on"


def test_a_terminal_says_how_large_it_is() -> None:
    said: list[bytes] = []
    terminal = Terminal(rows=24, columns=80, answer=said.append)
    terminal.feed(b"\x1b[32766;32766H\x1b[6n")
    assert said == [b"\x1b[24;80R"]


def test_errors_show_text_without_control_characters(tmp_path: Path) -> None:
    assert plain_text(b"\x1b[1mok\x1b[0m\r\n\x07\xff") == "ok\n\ufffd"
    log = tmp_path / "log"
    assert last_lines(log) == ""
    log.write_bytes(b"".join(b"\x1b[32m%d\x1b[0m\r\n\r\n" % number for number in range(100)))
    assert last_lines(log).splitlines()[-2:] == ["98", "99"]


@pytest.mark.parametrize(
    ("key", "sent", "codes"),
    [
        ("a", b"a", ["a"]),
        ("A", b"A", ["shift", "a"]),
        ("?", b"?", ["shift", "slash"]),
        ("-", b"-", ["minus"]),
        ("_", b"_", ["shift", "minus"]),
        ("5", b"5", ["5"]),
        ("%", b"%", ["shift", "5"]),
        ("\n", b"\n", ["ret"]),
        ("F2", b"\x1bOQ", ["f2"]),
        ("F10", b"\x1b[21~", ["f10"]),
        ("Ctrl-C", b"\x03", ["ctrl", "shift", "c"]),
        ("Ctrl-c", b"\x03", ["ctrl", "c"]),
        ("Alt-F2", b"\x1b\x1bOQ", ["alt", "f2"]),
    ],
)
def test_keys_of_both_kinds_of_console(key: str, sent: bytes, codes: list[str]) -> None:
    assert terminal_bytes(key) == sent
    assert qemu_codes(key) == codes


def test_every_named_key_is_one_of_both_and_others_are_refused() -> None:
    assert all(terminal_bytes(name) and qemu_codes(name) for name in NAMES)
    with pytest.raises(ValueError, match="terminal"):
        terminal_bytes("F13")
    with pytest.raises(ValueError, match="keyboard"):
        qemu_codes("ü")


@dataclass
class Line:
    """A serial line with a test at its far end."""

    console: SerialConsole
    far: socket.socket


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "serial"))
        listener.listen()
        console = SerialConsole(
            tmp_path / "serial",
            log=tmp_path / "log",
            started_s=0.0,
            check_alive=lambda: None,
            error=MachineError,
        )
        far, _ = listener.accept()
    with far:
        far.settimeout(5)
        yield Line(console, far)
        console.close()


def test_words_are_waited_for_and_keys_arrive(line: Line, tmp_path: Path) -> None:
    line.far.sendall(b"login: ")
    first_s = line.console.wait_for("login:", timeout_s=5)
    assert first_s == line.console.first_byte_s
    line.console.type("root")
    line.console.press("Enter", "F2")
    typed = b""
    while len(typed) < 8:
        typed += line.far.recv(100)
    assert typed == b"root\r\x1bOQ"
    line.far.sendall(b"\x1b[2J\x1b[Hnumber 12")
    assert line.console.wait_for(re.compile(r"number \d\d"), timeout_s=5) > first_s
    assert line.console.screen()[0] == "number 12"
    assert line.console.wait_for_output(b"login", timeout_s=5) == first_s
    assert (tmp_path / "log").read_bytes().startswith(b"login: ")


def test_words_that_never_come_are_an_error_with_the_screen(line: Line) -> None:
    line.far.sendall(b"something else")
    line.console.wait_for("else", timeout_s=5)
    with pytest.raises(MachineError, match="never on the serial console: F1\nThe screen:\nsometh"):
        line.console.wait_for("F1", timeout_s=0.05)


def test_a_program_that_asks_for_the_size_is_answered(line: Line) -> None:
    line.far.sendall(b"\x1b[999;999H\x1b[6n")
    assert line.far.recv(100) == b"\x1b[24;80R"


def test_a_machine_that_ends_ends_the_waiting(tmp_path: Path) -> None:
    def ended() -> None:
        raise MachineError("it has ended")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "serial"))
        listener.listen()
        console = SerialConsole(
            tmp_path / "serial",
            log=tmp_path / "log",
            started_s=0.0,
            check_alive=ended,
            error=MachineError,
        )
        listener.accept()[0].close()
    with pytest.raises(MachineError, match="it has ended"):
        console.wait_for("anything", timeout_s=30)
    console.close()


def test_the_monitor_is_read_from_the_kernel() -> None:
    cells = "ab  ü│  ".encode("utf-32-le")

    def run(script: str) -> Result:
        assert "/dev/vcsu1" in script
        return Result(0, bytes([2, 4]) + cells, b"")

    monitor = VirtualConsole(
        run=run, qmp=lambda: pytest.fail("no keys"), now_s=lambda: 7.0, error=MachineError
    )
    assert monitor.screen() == ["ab", "ü│"]
    assert monitor.wait_for("ü", timeout_s=1) == 7.0
