"""Where the local API's socket and the station's state are, when nobody says it.

Only names: nothing here is made or opened, apart from trying whether a socket is answered.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

SOCKET_NAME: Final = "api.sock"
SERVICE_SOCKET: Final = Path("/run/fencewire") / SOCKET_NAME
"""Where the systemd service listens."""

MEDIA_SERVICE_SOCKET: Final = Path("/run/fencewire-media/media.sock")
"""Where the voice process listens that is a systemd service."""

NET_SERVICE_SOCKET: Final = Path("/run/fencewire-net/net.sock")
"""Where the network helper listens, which is always a service."""


def default_state_dir() -> Path:
    """Return where keys, messages and settings are kept.

    ``$FENCEWIRE_STATE``; under systemd its StateDirectory; else ``$XDG_STATE_HOME/fencewire``,
    which is ``~/.local/state/fencewire`` unless set.
    """
    chosen = os.environ.get("FENCEWIRE_STATE")
    if chosen:
        return Path(chosen).absolute()
    service = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if service:
        return Path(service)
    return (_xdg("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "fencewire"


def daemon_api_path() -> Path:
    """Return where a daemon that is started here should listen.

    ``$FENCEWIRE_API``; under systemd its RuntimeDirectory; else ``$XDG_RUNTIME_DIR/fencewire``;
    else the state directory.
    """
    chosen = os.environ.get("FENCEWIRE_API")
    if chosen:
        return Path(chosen).absolute()
    service = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if service:
        return Path(service) / SOCKET_NAME
    runtime = _xdg("XDG_RUNTIME_DIR")
    return (runtime / "fencewire" if runtime else default_state_dir()) / SOCKET_NAME


def media_path() -> Path | None:
    """Return the socket of a voice process that is a service; None: the daemon starts its own.

    ``$FENCEWIRE_MEDIA``; else the service's, where there is one that we may use.
    """
    chosen = os.environ.get("FENCEWIRE_MEDIA")
    if chosen:
        return Path(chosen).absolute()
    return MEDIA_SERVICE_SOCKET if os.access(MEDIA_SERVICE_SOCKET, os.W_OK) else None


def net_path() -> Path:
    """Return where the network helper's socket is, or would be: ``$FENCEWIRE_NET`` or its own."""
    chosen = os.environ.get("FENCEWIRE_NET")
    return Path(chosen).absolute() if chosen else NET_SERVICE_SOCKET


def trouble_path(api: Path) -> Path:
    """Return where it says why there is no daemon at the socket `api`, if somebody knows."""
    return api.with_suffix(".trouble")


def default_api_path() -> Path:
    """Return the socket that a client should use.

    ``$FENCEWIRE_API``, and nothing else where that is set; else the first that is answered: the
    service's, ``$XDG_RUNTIME_DIR/fencewire``, the state directory.  Where none is, one that is
    there but not for us (so that the error names the cause), else where a daemon would listen.
    """
    if os.environ.get("FENCEWIRE_API"):
        return daemon_api_path()
    refused = None
    for path in (SERVICE_SOCKET, daemon_api_path(), default_state_dir() / SOCKET_NAME):
        try:
            if is_answered(path):
                return path
        except PermissionError:
            refused = refused or path
    return refused or daemon_api_path()


def is_answered(path: Path) -> bool:
    """Tell whether somebody listens at a Unix socket; PermissionError when we may not ask."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # its queue of connections is full, so it lives
        except PermissionError:
            raise
        except OSError:
            return False
        return True


def _xdg(variable: str) -> Path | None:
    """Return a base directory; the XDG specification has relative ones ignored."""
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else None
