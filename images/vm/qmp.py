"""QEMU's machine protocol (QMP): one request at a time, events are skipped."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from images.vm.errors import MachineError

TIMEOUT_S = 20.0


class Qmp:
    """A connection to one QEMU."""

    def __init__(self, path: Path) -> None:
        """Connect and leave the negotiation mode."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._rest = b""
        try:
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(str(path))
            self._receive()
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def execute(self, command: str, **arguments: object) -> Any:
        """Run a command; return its value.

        Raises MachineError when QEMU refuses it, does not answer or is gone.
        """
        request = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            deadline = time.monotonic() + TIMEOUT_S
            while time.monotonic() < deadline:
                answer = self._receive()
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise MachineError(f"QEMU refuses {command}: {answer['error']['desc']}")
        except OSError as problem:
            raise MachineError(f"QEMU does not answer {command}: {problem}") from problem
        raise MachineError(f"QEMU does not answer {command}")

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            data = self._socket.recv(65536)
            if not data:
                raise MachineError("QEMU is gone")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer
