"""Runs one command inside a station: what `village exec` and `Village.popen` do.

The keeper hands over the station's namespaces. This process stays outside and stands for the
command: it passes on the signals that it gets, stops and continues with it, and ends as it ended.
Between them is a steward, which enters the namespaces and is the command's parent: when this
process is killed, the steward kills the command and collects it. (A process namespace cannot end
while a dead member waits to be collected by somebody outside, who may never do it.)
"""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from appliance.village import namespaces, protocol
from appliance.village.errors import VillageError

UNPRIVILEGED = "--unprivileged"

CANNOT_RUN = 126
NOT_FOUND = 127
"""Exit statuses of a shell for a command that cannot be run or is not there."""

_FROM_KERNEL = 0x80
"""si_code of a signal that the terminal sent: the command, in the same group, has it already."""

_WATCHED = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_NOT_FORWARDED = {signal.SIGCHLD, signal.SIGCONT}
_PARENT_GONE = signal.SIGRTMIN
"""What the kernel sends to the steward when the process outside has died."""


def run(directory: Path, station: str, argv: list[str], *, unprivileged: bool = False) -> int:
    """Run a command in a station and return its exit status; a deadly signal ends us as well."""
    answer, descriptors = protocol.request_descriptors(
        directory, {"do": "enter", "station": station}
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    parent = os.getpid()
    steward = os.fork()
    if steward == 0:
        with _ending():
            _enter(descriptors, parent)
            command = os.fork()
            if command == 0:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                _become(argv, {**os.environ, **answer["env"]}, unprivileged=unprivileged)
            os.setpgid(0, 0)  # out of reach of what is sent to the command's group
            os._exit(_stand_for(command))
    for descriptor in descriptors:
        os.close(descriptor)
    try:
        return _stand_for(steward)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """The body of a forked child, which never returns into its parent's code."""
    try:
        yield
    except FileNotFoundError as error:
        os.write(2, f"{error.filename}: there is no such command.\n".encode())
        os._exit(NOT_FOUND)
    except OSError as error:
        os.write(2, f"{error.filename or 'Entering the station'}: {error.strerror}.\n".encode())
    finally:
        os._exit(CANNOT_RUN)


def _enter(descriptors: list[int], parent: int) -> None:
    """Put the steward into the namespaces, bound to the life of its parent."""
    here = Path.cwd()
    for descriptor in descriptors:
        namespaces.setns(descriptor)
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.chdir(here)
    namespaces.die_with_parent(_PARENT_GONE)
    if os.getppid() != parent:
        os._exit(CANNOT_RUN)


def _become(argv: list[str], environment: dict[str, str], *, unprivileged: bool) -> NoReturn:
    """Turn the steward's child into the command."""
    if unprivileged:
        namespaces.renounce_capabilities()
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    namespaces.die_with_parent(signal.SIGKILL)
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 - no shell wanted
    except OSError as error:
        error.filename = argv[0]
        raise


def _stand_for(child: int) -> int:
    """Wait for a child as its proxy; every signal is blocked here and taken one by one."""
    while True:
        pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            os.kill(os.getpid(), signal.SIGSTOP)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
            continue
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else _die_likewise(-code)
        got = signal.sigwaitinfo(_WATCHED)
        number = signal.SIGKILL if got.si_signo == _PARENT_GONE else got.si_signo
        # A terminal that hangs up tells the leader of its session alone.
        known = got.si_code == _FROM_KERNEL and number != signal.SIGHUP
        if number not in _NOT_FORWARDED and not known:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)


def _die_likewise(number: int) -> int:
    """End by the same signal, without a second core dump, so that callers see what happened."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    return 128 + number


def main(arguments: list[str]) -> int:
    """Entry point for `Village.popen`: DIRECTORY STATION [--unprivileged] -- COMMAND..."""
    place = arguments.index("--")
    options, argv = arguments[:place], arguments[place + 1 :]
    try:
        return run(Path(options[0]), options[1], argv, unprivileged=UNPRIVILEGED in options[2:])
    except (VillageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_RUN
