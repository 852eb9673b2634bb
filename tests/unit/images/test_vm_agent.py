"""Root shell: framing, and both ends of it joined by a socket pair, without a machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.vm import MachineError
from images.vm.agent import CHUNK_BYTES, MAX_LINE_BYTES, Agent, Decoder, Frame, encode
from images.vm.shell import Shell


def test_frames_survive_any_cut() -> None:
    frames: list[Frame] = [{"id": 1, "out": bytes(range(256))}, {"id": 2, "code": -9}]
    data = b"".join(map(encode, frames))
    for size in (1, 2, 7, len(data)):
        decoder = Decoder()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [frame for piece in pieces for frame in decoder.feed(piece)] == frames


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"[1]", b'"x"', b'{"do":"run"}', b'{"id":"1"}', b'{"id":1,"out":"%"}', b"\xff\0"],
)
def test_garbage_is_skipped_up_to_the_next_line(garbage: bytes) -> None:
    assert Decoder().feed(garbage + b"\n" + encode({"id": 3})) == [{"id": 3}]


def test_an_endless_line_is_not_kept() -> None:
    decoder = Decoder()
    for _ in range(8):
        assert decoder.feed(b"x" * MAX_LINE_BYTES) == []
    assert decoder.feed(b"\n" + encode({"id": 4})) == [{"id": 4}]


class Guest:
    """An agent that serves one connection of a Unix socket at a time, in a thread."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.agent: Agent | None = None
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            agent = Agent(connection.fileno())
            while not agent.hung_up or agent.jobs:
                agent.step()
            agent.selector.close()

    def close(self) -> None:
        self.thread.join()
        self.listener.close()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    guest = Guest(tmp_path / "shell")
    shell = Shell(tmp_path / "shell")
    shell.wait_ready(timeout_s=10)
    yield shell
    shell.close()
    guest.close()


def test_a_command_has_output_errors_and_a_code(shell: Shell) -> None:
    result = shell.popen("echo said; echo wrong >&2; exit 7").wait(timeout_s=10)
    assert (result.stdout, result.stderr, result.code) == ("said\n", "wrong\n", 7)


def test_output_is_heard_while_a_command_runs(shell: Shell, tmp_path: Path) -> None:
    heard: list[tuple[str, bytes]] = []
    go_on = tmp_path / "go on"
    command = shell.popen(
        f"echo one; until [ -e '{go_on}' ]; do sleep 0.05; done; echo two",
        listener=lambda name, data: heard.append((name, data)),
    )
    while not heard:
        assert command.poll() is None
        shell.pump(1)
    assert shell.popen("echo meanwhile").wait(timeout_s=10).stdout == "meanwhile\n"
    go_on.touch()
    assert command.wait(timeout_s=10).stdout == "one\ntwo\n"
    assert b"".join(data for _, data in heard) == b"one\ntwo\n"


def test_much_output_comes_whole(shell: Shell) -> None:
    size = 20 * CHUNK_BYTES + 1
    result = shell.popen(f"head -c {size} /dev/zero").wait(timeout_s=20)
    assert result.stdout_bytes == bytes(size)
    assert not result.cut


def test_output_beyond_the_bound_is_dropped_and_said(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("images.vm.shell.MAX_OUTPUT_BYTES", 10)
    result = shell.popen("printf 123456789; printf abcdef").wait(timeout_s=10)
    assert (result.stdout, result.cut) == ("123456789a", True)


def test_a_command_that_takes_too_long_is_killed_with_its_children(shell: Shell) -> None:
    with pytest.raises(MachineError, match=r"not done after 0.3 s.*\nIt wrote: begun"):
        shell.popen("echo begun; sleep 60 & sleep 60").wait(timeout_s=0.3)
    assert shell.popen("true").wait(timeout_s=10).code == 0


def test_what_is_left_in_the_background_keeps_nobody_waiting(shell: Shell) -> None:
    result = shell.popen("sleep 60 & echo $!").wait(timeout_s=10)
    assert shell.popen(f"kill {result.stdout}").wait(timeout_s=10).code == 0


def test_files_come_and_go(shell: Shell, tmp_path: Path) -> None:
    data = bytes(range(256)) * 300
    path = tmp_path / "put there"
    shell.put(data, str(path), mode=0o600, timeout_s=10)
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    shell.put(b"", str(path), mode=0o644, timeout_s=10)
    assert path.read_bytes() == b""
    with pytest.raises(MachineError, match=r"cannot write .*No such file"):
        shell.put(data, str(tmp_path / "no" / "where"), mode=0o600, timeout_s=10)


def test_a_hang_up_ends_what_runs(tmp_path: Path) -> None:
    guest = Guest(tmp_path / "shell")
    shell = Shell(tmp_path / "shell")
    shell.popen("sleep 60")
    shell.wait_ready(timeout_s=10)
    shell.close()
    guest.close()  # waits for the end of all jobs


def test_a_machine_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no way to the machine's shell"):
        Shell(tmp_path / "nobody")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "shell"))
        listener.listen()
        shell = Shell(tmp_path / "shell")
        connection, _ = listener.accept()
        connection.close()
        with pytest.raises(MachineError, match="shell"):
            shell.wait_ready(timeout_s=10)
        shell.close()


def test_nobody_at_the_other_end_is_an_error_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "shell"))
        listener.listen()
        shell = Shell(tmp_path / "shell")
        with pytest.raises(MachineError, match=r"no root shell after 0\.1 s"):
            shell.wait_ready(timeout_s=0.1)
        shell.close()
