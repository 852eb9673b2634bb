"""Runs one command inside a station: what `village exec` and `Village.popen` do.

The keeper hands over the station's namespaces; this process enters them, forks (only a child is in
the new process namespace) and then stands for the command: it passes on the signals that it gets,
stops and continues with it, and ends as it ended. When this process is killed the command is too.
"""

import contextlib
import os
import resource
import select
import signal
import sys
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

_NOT_FORWARDED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT}


def run(directory: Path, station: str, argv: list[str], *, unprivileged: bool = False) -> int:
    """Run a command in a station and return its exit status; a deadly signal ends us as well."""
    answer, descriptors = protocol.request_descriptors(
        directory, {"do": "enter", "station": station}
    )
    watched = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    here = Path.cwd()
    for descriptor in descriptors:
        namespaces.setns(descriptor)
        os.close(descriptor)
    with contextlib.suppress(OSError):
        os.chdir(here)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        environment = {**os.environ, **answer["env"]}
        _become(argv, environment, reading, unprivileged=unprivileged)
    os.close(reading)
    try:
        return _stand_for(child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _become(
    argv: list[str], environment: dict[str, str], parent: int, *, unprivileged: bool
) -> NoReturn:
    """Turn the forked child into the command. `parent` is readable when the parent has gone."""
    status = CANNOT_RUN
    try:
        if unprivileged:
            namespaces.renounce_capabilities()
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        namespaces.die_with_parent(signal.SIGKILL)
        if not select.select([parent], [], [], 0)[0]:
            os.execvpe(argv[0], argv, environment)  # noqa: S606 - no shell wanted
    except FileNotFoundError:
        status = NOT_FOUND
        os.write(2, f"{argv[0]}: there is no such command.\n".encode())
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}.\n".encode())
    finally:
        os._exit(status)


def _stand_for(child: int) -> int:
    """Wait for the command as its proxy; every signal is blocked here and taken one by one."""
    watched = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
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
        got = signal.sigwaitinfo(watched)
        if got.si_signo not in _NOT_FORWARDED and got.si_code != _FROM_KERNEL:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, got.si_signo)


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
