"""Ending the daemon, which outlives the screen that started it.

The kernel says which process answers at the socket, so none of another station is ended by mistake.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import struct
from pathlib import Path
from typing import Final

from appliance.api.errors import NotRunning
from appliance.api.paths import default_api_path
from appliance.commands import exits
from appliance.commands.output import Failure, Output
from appliance.commands.session import api_path

_PATIENCE_S: Final = 15.0
"""For it to hang up, say goodbye and write down what it holds."""


def stop(args: argparse.Namespace) -> int:
    """End the daemon in order, and return when it is gone."""
    out = Output(as_json=args.json)
    path = api_path(args) or default_api_path()
    try:
        _end(_process_at(path))
    except (NotRunning, Failure) as error:
        return out.failed(error)
    out.json({"stopped": str(path)})
    out.line("The daemon has stopped. Messages are kept; nobody can call until it runs again.")
    return exits.OK


def _process_at(path: Path) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except PermissionError:
            raise Failure(
                f"The daemon at {path} is somebody else's.", "Ask them, or root."
            ) from None
        except OSError:
            raise NotRunning(f"No daemon is running at {path}.", "") from None
        size = struct.calcsize("iII")
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    process: int = struct.unpack("iII", credentials)[0]
    if process == 0:
        raise Failure(
            f"The daemon at {path} runs in a namespace that can't be seen from here.",
            "In a village: fencewire village stop STATION",
        )
    return process


def _end(process: int) -> None:
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return  # it has ended by itself meanwhile
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], _PATIENCE_S)[0]:
            raise Failure(
                f"The daemon, process {process}, has not stopped within {_PATIENCE_S:g} s.",
                f"Look into its log; the last resort: kill -9 {process}",
                code=exits.NOT_IN_TIME,
            )
    except ProcessLookupError:
        return
    except PermissionError:
        raise Failure("The daemon is somebody else's.", "Ask them, or root.") from None
    finally:
        os.close(handle)
