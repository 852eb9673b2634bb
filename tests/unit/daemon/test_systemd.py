"""The real daemon under a service manager that is only a socket (sd_notify(3))."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.api.client import Client

TIMEOUT_S = 20.0
WATCHDOG_USEC = 200_000
SECRET = "the bridge at the mill is gone"


@dataclass(frozen=True)
class Service:
    """A daemon and what it tells its manager."""

    process: subprocess.Popen[bytes]
    manager: socket.socket
    state: Path
    api: Path
    log: Path

    def heard(self) -> str:
        return self.manager.recv(4096).decode()

    def until(self, wanted: str) -> None:
        while self.heard() != wanted:
            pass


@contextmanager
def _service(folder: Path, address: str, **more: str) -> Iterator[Service]:
    state, api, log = folder / "state", folder / "run" / "api.sock", folder / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, log.open("wb") as writing:
        manager.bind(address)
        manager.settimeout(TIMEOUT_S)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "appliance", "run", "--log-level", "debug"),
                *("--state", str(state), "--api", str(api)),
                *("--interface", "lo", "--bind", "127.0.0.1", "--port", "0"),
            ],
            env={
                **os.environ,
                "NOTIFY_SOCKET": address.replace("\0", "@", 1),
                "WATCHDOG_USEC": str(WATCHDOG_USEC),
                **more,
            },
            stderr=writing,
        )
        try:
            yield Service(process, manager, state, api, log)
        finally:
            process.kill()
            process.wait()


def test_it_says_that_it_is_ready_and_alive_and_that_it_stops(tmp_path: Path) -> None:
    with _service(tmp_path, str(tmp_path / "notify")) as daemon:
        assert daemon.heard() == "READY=1"
        assert daemon.api.is_socket()
        for _ in range(3):
            assert daemon.heard() == "WATCHDOG=1"
        daemon.process.send_signal(signal.SIGTERM)
        daemon.until("STOPPING=1")
        assert daemon.process.wait(TIMEOUT_S) == 0
        assert not daemon.api.exists()


def test_a_watchdog_for_another_process_is_left_to_it(tmp_path: Path) -> None:
    address = f"\0fencewire-test-{os.getpid()}"  # an abstract one, as containers have
    with _service(tmp_path, address, WATCHDOG_PID="1") as daemon:
        assert daemon.heard() == "READY=1"
        daemon.process.send_signal(signal.SIGINT)
        assert daemon.heard() == "STOPPING=1"
        assert daemon.process.wait(TIMEOUT_S) == 0


async def test_its_files_are_for_its_operator_and_its_log_holds_no_text(tmp_path: Path) -> None:
    with _service(tmp_path, str(tmp_path / "notify")) as daemon:
        daemon.until("READY=1")
        async with Client(daemon.api) as client:
            sent = await client.send("everyone", SECRET)
        assert sent.text == SECRET
        assert stat.S_IMODE(daemon.state.stat().st_mode) == 0o700
        assert stat.S_IMODE((daemon.state / "station.key").stat().st_mode) == 0o600
        assert stat.S_IMODE(daemon.api.stat().st_mode) == 0o660
        shared = [path for path in daemon.state.rglob("*") if path.stat().st_mode & 0o077]
        assert shared == []
        daemon.process.terminate()
        assert daemon.process.wait(TIMEOUT_S) == 0
        said = daemon.log.read_text()
    assert "is ready" in said
    assert SECRET not in said
