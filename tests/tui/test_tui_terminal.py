"""What becomes of the screen when its terminal goes."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from pathlib import Path

import pytest

PATIENCE_S = 20.0


@pytest.mark.parametrize("told", [True, False], ids=["hang-up", "hang-up kept from it"])
def test_the_screen_ends_with_its_terminal(tmp_path: Path, told: bool) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL if told else signal.SIG_IGN)
        os.environ["TERM"] = "linux"
        os.dup2(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT), 2)
        api = str(tmp_path / "nobody.sock")
        os.execv(sys.executable, [sys.executable, "-m", "appliance", "--api", api, "tui"])
    seen = b""
    while b"F1" not in seen:
        ready, _, _ = select.select([terminal], [], [], PATIENCE_S)
        assert ready, seen
        seen += os.read(terminal, 65536)
    os.close(terminal)
    end = time.monotonic() + PATIENCE_S
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.fail("it goes on without a terminal")
        select.select([], [], [], 0.02)
    os.waitpid(pid, 0)
    assert (tmp_path / "log").read_bytes() == b"", "what is drawn goes to the terminal"
