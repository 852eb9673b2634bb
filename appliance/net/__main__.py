"""``python -m appliance.net``: the network helper.

It makes its socket or is handed one, gives up all privileges but CAP_NET_ADMIN, waits for a daemon
to join, and puts everything back when it is told to end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import pwd
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from appliance.net.config import DEFAULT_PATH
from appliance.net.control import BACKLOG
from appliance.net.privilege import PrivilegeError, keep_net_admin
from appliance.net.service import Service
from appliance.net.undo import UndoError

log = logging.getLogger("appliance.net")

RUN_DIR: Final = Path("/run/fencewire-net")


class StartError(Exception):
    """The helper can't start; the message says why and what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run until told to end."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    os.umask(0o077)
    try:
        return 0 if _run(options) else 1
    except (StartError, PrivilegeError, UndoError) as error:
        log.error("%s", error)
        return 1
    except OSError as error:
        log.error("The network helper can't run: %s.", error)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m appliance.net", description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", type=Path, help="make a socket there (default: in --run-dir)")
    where.add_argument("--listen-fd", type=int, help="inherited socket to take daemons at")
    parser.add_argument("--run-dir", type=Path, default=RUN_DIR, help="default: %(default)s")
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help="default: %(default)s")
    parser.add_argument("--owner", type=int, help="user id that may connect, besides root and us")
    parser.add_argument("--user", help="become this user, if started by root")
    parser.add_argument(
        "--linger",
        type=float,
        metavar="SECONDS",
        help="end when there has been no daemon for so long (default: never)",
    )
    return parser


def _run(options: argparse.Namespace) -> bool:
    allowed = {0} if options.owner is None else {0, options.owner}
    _make_run_dir(options.run_dir, options.user)
    if options.listen_fd is not None:
        listener = socket.socket(fileno=options.listen_fd)
        listener.set_inheritable(False)
        allowed.add(Path(listener.getsockname()).stat().st_uid)
        made = None
    else:
        path = options.socket or options.run_dir / "net.sock"
        listener = _make_socket(path, options.owner)
        made = path, path.stat().st_ino
    with listener:
        keep_net_admin(options.user)
        service = Service(
            listener,
            allowed=frozenset(allowed | {os.geteuid()}),
            run_dir=options.run_dir,
            config_path=options.config,
            linger_s=options.linger,
        )
        gc.collect()
        gc.freeze()
        try:
            return asyncio.run(_serve(service))
        finally:
            if made is not None:
                # In another user's folder it stays; the next start removes it.
                with contextlib.suppress(OSError):
                    if made[0].stat().st_ino == made[1]:  # else it is the next one's by now
                        made[0].unlink()


async def _serve(service: Service) -> bool:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, service.stop)
    return await service.run()


def _make_run_dir(path: Path, user: str | None) -> None:
    """Make the folder, for the user that we become."""
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(0o755)  # The daemon has to get at the socket; the files are ours alone.
    if user is not None and os.geteuid() == 0:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise PrivilegeError(f"There is no user {user}. Make one, or name another.") from None
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _make_socket(path: Path, owner: int | None) -> socket.socket:
    """Make the socket; where a helper answers already, StartError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            if probe.connect_ex(os.fspath(path)) == 0:
                raise StartError(f"A network helper runs at {path} already.")
        path.unlink(missing_ok=True)
        listener.bind(os.fspath(path))
        listener.listen(BACKLOG)  # So that another helper sees at once that there is one.
        if owner is not None and owner != os.geteuid():
            try:
                os.chown(path, owner, -1, follow_symlinks=False)
            except PermissionError:
                path.chmod(0o666)  # Who may say something is decided by who connects.
    except BaseException:
        listener.close()
        raise
    return listener


if __name__ == "__main__":
    sys.exit(main())
