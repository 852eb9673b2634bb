"""Traffic of all classes from one station to another, to see in which order it arrives.

    queue_traffic.py listen               prints what arrives on port 9
    queue_traffic.py order HOST           bulk, session, control and voice packets, in this order
    queue_traffic.py flood HOST SECONDS CLASS...  as much of these classes as leaves
    queue_traffic.py talk HOST SECONDS    a packet of voice every 20 ms, after a while beside a
                                          TCP transfer

The listener says "ready", and after each of the others prints a list of class and delay in ms, as
the packets arrived.  The others end when it has answered that it does.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
import time

PORT = 9
DSCP = {"voice": 46, "control": 48, "sessions": 24, "rest": 0, "bulk": 8}
BULK_PACKETS = 9
BULK_BYTES = 1_200
VOICE_BYTES = 160
QUIET_PACKETS = 75
"""Of voice, before the transfer begins."""

MAX_SEEN = 100_000

ASK_AGAIN_S = 1.0
"""A question waits behind bulk traffic, or is dropped there."""

ASKS = 15

FEW_BYTES = 4_608
"""Fewer than a queue holds, so that whoever sends waits for the queue, which then drops nothing."""


def listen() -> None:
    """Note what arrives; answer "hello" and "report", and print at each new one of the latter."""
    threading.Thread(target=swallow, daemon=True).start()
    seen: list[tuple[str, float]] = []
    reported_ns = 0
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as here:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        here.bind(("::", PORT))
        print("ready", flush=True)
        while True:
            data, peer = here.recvfrom(2_000)
            name, sent_ns, _ = data.split(b" ", 2)
            if name == b"hello":
                here.sendto(data, peer)
            elif name == b"report":
                here.sendto(data, peer)  # first: who reads what we print waits for it
                if int(sent_ns) > reported_ns:
                    print(json.dumps(seen), flush=True)
                    seen.clear()
                    reported_ns = int(sent_ns)
            elif len(seen) < MAX_SEEN:
                seen.append((name.decode(), (time.monotonic_ns() - int(sent_ns)) / 1e6))


def swallow() -> None:
    """Take TCP connections, one after the other, and all that comes."""
    with socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        while True:
            connection, _ = server.accept()
            with connection:
                while connection.recv(65_536):
                    pass


def marked(host: str, name: str, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    """A socket that is connected to the listener, of one of the classes."""
    family, _, _, _, address = socket.getaddrinfo(host, PORT, type=kind)[0]
    made = socket.socket(family, kind)
    option = (
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
        if family == socket.AF_INET6
        else (socket.IPPROTO_IP, socket.IP_TOS)
    )
    made.setsockopt(*option, DSCP[name] << 2)
    made.connect(address)
    return made


def packet(name: str, size: int) -> bytes:
    return f"{name} {time.monotonic_ns()} ".encode().ljust(size, b".")


def meet(host: str) -> None:
    """Have the neighbour's address resolved."""
    with marked(host, "rest") as here:
        here.settimeout(10)
        here.send(packet("hello", 100))
        here.recv(2_000)


def report(here: socket.socket) -> None:
    """Have the listener print; ask the same again until it is answered."""
    question = packet("report", 100)
    here.settimeout(ASK_AGAIN_S)
    for _ in range(ASKS):
        here.send(question)
        with contextlib.suppress(TimeoutError):
            if here.recv(2_000) == question:
                return
    raise TimeoutError("the listener does not answer")


def order(host: str) -> None:
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(marked(host, name)) for name in DSCP}
        for _ in range(BULK_PACKETS):
            sockets["bulk"].send(packet("bulk", BULK_BYTES))
        for name in ("rest", "sessions", "control", "voice"):
            sockets[name].send(packet(name, VOICE_BYTES))
        report(sockets["bulk"])


def flood(host: str, seconds: float, names: list[str]) -> None:
    until = time.monotonic() + seconds

    def pour(name: str) -> None:
        with marked(host, name) as here:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, FEW_BYTES)
            while time.monotonic() < until:
                here.send(packet(name, BULK_BYTES))

    threads = [threading.Thread(target=pour, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with marked(host, "bulk") as here:
        report(here)


def talk(host: str, seconds: float) -> None:
    transfer = marked(host, "bulk", socket.SOCK_STREAM)
    begun = time.monotonic()
    with marked(host, "voice") as here:
        for number in range(int(seconds * 50)):
            time.sleep(max(0.0, begun + number * 0.02 - time.monotonic()))
            here.send(packet("voice", VOICE_BYTES))
            if number == QUIET_PACKETS:
                threading.Thread(target=pour_stream, args=(transfer,), daemon=True).start()
        report(here)


def pour_stream(transfer: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            transfer.send(bytes(65_536))


def main(verb: str, arguments: list[str]) -> None:
    if verb == "listen":
        listen()
        return
    host, *rest = arguments
    meet(host)
    if verb == "order":
        order(host)
    elif verb == "flood":
        flood(host, float(rest[0]), rest[1:])
    else:
        talk(host, float(rest[0]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
