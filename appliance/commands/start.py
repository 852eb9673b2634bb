"""Starting things: the daemon, here or in the background, and the screen."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from appliance.api.paths import daemon_api_path, default_api_path, default_state_dir, is_answered
from appliance.commands import exits
from appliance.commands.session import api_path

LOG_NAME: Final = "daemon.log"
CRASH_NAME: Final = "daemon.err"
_MAX_LOG_BYTES: Final = 1_000_000
_MAX_SHOWN_CHARS: Final = 2_000
"""Of what a daemon said before it died."""


def run(args: argparse.Namespace) -> int:
    """Be the daemon, until it is told to stop."""
    from appliance.daemon.main import run_daemon

    if args.log_file:
        try:
            _log_to(Path(args.log_file), args.log_level)
        except OSError as error:
            sys.stderr.write(
                f"The log can't be written to {args.log_file}: {error.strerror}."
                " Choose another file with --log-file.\n"
            )
            return exits.FAILED
    return run_daemon(
        state=Path(args.state).absolute() if args.state else default_state_dir(),
        api=api_path(args) or daemon_api_path(),
        port=args.port,
        hosts=tuple(args.bind),
        interfaces=tuple(args.interface),
        ring_s=args.ring_for,
        log_level=args.log_level,
    )


def _log_to(path: Path, level: str) -> None:
    """Log to a file and one older one, each of a bounded size, for our own eyes."""
    os.umask(0o077)
    handler = RotatingFileHandler(path, maxBytes=_MAX_LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def tui(args: argparse.Namespace) -> int:
    """Show the screen of a daemon that is running."""
    if not _has_terminal():
        return exits.FAILED
    from appliance.tui.app import run_tui

    return run_tui(api_path(args))


def everything(args: argparse.Namespace) -> int:
    """Start a daemon unless there is one, and show its screen."""
    if not _has_terminal():
        return exits.FAILED
    path = api_path(args) or default_api_path()
    started = None
    try:
        if not is_answered(path):
            started = Background(api_path(args) or daemon_api_path())
            path = started.api
    except PermissionError:
        pass  # somebody else's: the screen says so
    except OSError as error:
        sys.stderr.write(
            f"The daemon can't be started: {error.strerror}: {error.filename}."
            " Correct that, or choose another place with FENCEWIRE_STATE.\n"
        )
        return exits.FAILED
    args.api = str(path)
    code = tui(args)
    if started is not None and (said := started.last_words()) is not None:
        sys.stderr.write(f"The daemon has stopped. It said:\n{said}\n")
        return exits.FAILED
    return code


def _has_terminal() -> bool:
    """Tell whether somebody could see a screen and press keys; says what else there is if not."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return True
    sys.stderr.write(
        "There is no terminal here to show a screen at."
        " Without one: fencewire run; and fencewire --help lists the commands.\n"
    )
    return False


class Background:
    """A daemon in a session of its own, so that it outlives the terminal; and calls with it."""

    def __init__(self, api: Path) -> None:
        self.api = api
        state = default_state_dir()
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._crash_log = state / CRASH_NAME
        """What it says before its log is open, and how it crashed; anew at each start."""
        self._log = state / LOG_NAME
        descriptor = os.open(self._crash_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "appliance", "run"),
                    *("--state", str(state), "--api", str(api)),
                    *("--log-file", str(self._log)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end; raises subprocess.TimeoutExpired."""
        self._process.wait(timeout_s)

    def last_words(self) -> str | None:
        """Return what it said if it has died; None while it lives."""
        if self._process.poll() is None:
            # It is meant to go on without us; Popen would warn about a child left behind.
            self._process.returncode = 0
            return None
        for path in (self._crash_log, self._log):
            if path.is_file():
                said = path.read_text(encoding="utf-8", errors="replace").strip()
                if said:
                    return said[-_MAX_SHOWN_CHARS:]
        return f"nothing. Try: fencewire run --state {self._log.parent}"
