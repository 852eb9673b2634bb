"""How a client talks with the keeper of a village: one JSON line each way on its control socket.

A request is an object with `do` (`status`, `link`, `enter`, `start`, `signal`, `wait`, `down`) and
its arguments; `which` (`daemon`, `net`) says which process of a station is meant, the daemon if
nothing. An answer is an object, with `error` in words when it was refused. The answer to
`enter` brings descriptors of the namespaces along. Paths of sockets go through a descriptor of
their directory, since a Unix socket's path may have 107 bytes only.
"""

import json
import os
import socket
from pathlib import Path
from typing import Any

from appliance.village.errors import VillageError

CONTROL = "control"
"""Name of the socket in the village's directory."""

LOCK = "lock"
"""Name of the file that the keeper, and nobody else, holds locked for as long as it lives."""

MAX_LINE_BYTES = 1 << 20
"""A status of 250 stations and their links is 150 kB."""

MAX_PASSED_DESCRIPTORS = 8

ENTERED = ("user", "pid", "net", "uts", "mnt")
"""The namespaces of a station in the order in which they are entered."""

Message = dict[str, Any]


def send_line(connection: socket.socket, message: Message, descriptors: list[int]) -> None:
    """Send one message, with descriptors if there are any."""
    line = json.dumps(message).encode() + b"\n"
    sent = socket.send_fds(connection, [line], descriptors) if descriptors else 0
    connection.sendall(line[sent:])


def receive_line(connection: socket.socket) -> tuple[Message, list[int]]:
    """One message and its descriptors; an empty one where the other end went away."""
    line, descriptors, _, _ = socket.recv_fds(connection, 65_536, MAX_PASSED_DESCRIPTORS)
    while line and not line.endswith(b"\n") and len(line) < MAX_LINE_BYTES:
        more = connection.recv(65_536)
        if not more:
            break
        line += more
    if not line.endswith(b"\n"):
        return {}, descriptors
    message: Message = json.loads(line)
    return message, descriptors


def connect(directory: Path, *, timeout_s: float) -> socket.socket:
    """A connection to the keeper; `VillageError` when no village is up there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{descriptor}/{CONTROL}")
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        connection.close()
        raise VillageError(
            f"No village is up in {directory}. Start one, for example: fencewire village up pair"
        ) from error
    except OSError as error:
        connection.close()
        raise VillageError(f"The village in {directory} cannot be reached: {error}") from error
    return connection


def request(directory: Path, message: Message, *, timeout_s: float = 30.0) -> Message:
    """Ask the keeper; its answer, or `VillageError` with its reason."""
    answer, descriptors = request_descriptors(directory, message, timeout_s=timeout_s)
    for descriptor in descriptors:
        os.close(descriptor)
    return answer


def request_descriptors(
    directory: Path, message: Message, *, timeout_s: float = 30.0
) -> tuple[Message, list[int]]:
    """Like `request`, for an answer that may bring descriptors, which are then the caller's."""
    with connect(directory, timeout_s=timeout_s) as connection:
        try:
            send_line(connection, message, [])
            answer, descriptors = receive_line(connection)
        except TimeoutError as error:
            raise VillageError(
                f"The village did not finish {message['do']!r} within {timeout_s:g} s."
            ) from error
        except OSError as error:
            raise VillageError(f"The village went away: {error}") from error
    if not answer:
        raise VillageError("The village went away.")
    if "error" in answer:
        raise VillageError(str(answer["error"]))
    return answer, descriptors
