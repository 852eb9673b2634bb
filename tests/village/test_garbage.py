"""Garbage on every socket of a real daemon, during a call."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from seats import Seat, meet, pid_of, talk, write_to_each_other
from speech import long_speech, needs_speech

from appliance.api.schema import CallInfo

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]


TCP_GARBAGE = """
import random, socket, ssl, sys
host, port = sys.argv[1], int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
upgrade = (b"GET /v1/session HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\n"
    b"Connection: Upgrade\\r\\nSec-WebSocket-Version: 13\\r\\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n")
kept = []
for number in range(60):
    rng = random.Random(number)
    noise = rng.randbytes(rng.randrange(1, 60000))
    try:
        s = socket.create_connection((host, port), timeout=1)
        if number % 4 == 1:
            s.sendall(b"\\x16\\x03\\x01" + noise)
        elif number % 4 == 2:
            s = context.wrap_socket(s)
            s.sendall(b"GET / HTTP/1.1\\r\\n" + noise)
        elif number % 4 == 3:
            s = context.wrap_socket(s)
            s.sendall(upgrade + b"\\x82\\xfe\\xff\\xff" + noise)
        else:
            s.sendall(noise)
        kept.append(s)
    except OSError:
        pass
"""

UDP_GARBAGE = """
import random, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
multicast = sys.argv[1].startswith("224.")
if multicast:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[3]))
for number in range(2000):
    rng = random.Random(number)
    answer = b"\\0\\0\\x84\\0\\0\\0\\0\\3\\0\\0\\0\\0"
    head = (b"", answer, b"\\x80\\x60", b"\\x80\\xc8")[number % 4]
    try:
        s.sendto(head + rng.randbytes(rng.randrange(1200)), (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
"""

API_GARBAGE = """
import random, socket, sys
requests = [
    b"POST /v1/messages HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 99999999999\\r\\n\\r\\n{",
    b"POST /v1/messages HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 3\\r\\n\\r\\n[[[",
    b"GET /v1/status HTTP/1.1\\r\\n" + b"A: b\\r\\n" * 20000,
    b"GET /" + b"x" * 100000 + b" HTTP/1.1\\r\\n\\r\\n",
    b"GET /v1/messages/%ff%fe HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n",
]
kept = []
for number in range(60):
    rng = random.Random(number)
    data = rng.choice([*requests, rng.randbytes(5000)])
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(1)
    try:
        s.connect(sys.argv[1])
        s.sendall(data)
    except OSError:
        pass
    kept.append(s)
"""


@needs_speech
async def test_garbage_on_every_socket_changes_nothing(
    two: tuple[Seat, Seat], tmp_path: Path
) -> None:
    a, b = two
    village = a.village
    speech = long_speech(tmp_path / "speech.wav", times=6)
    here, there = a.info.addresses[0], b.info.addresses[0]

    def memory_kb() -> int:
        text = village.exec("b", ["cat", f"/proc/{pid_of(b)}/status"], check=True).stdout
        return int(text.partition("VmRSS:")[2].split()[0])

    async with a.diary() as ours, b.diary() as theirs:
        await talk(a, b, play=(speech, speech), record=(tmp_path / "a.wav", tmp_path / "b.wav"))
        loud = [await d.first(CallInfo, lambda c: c.level_out_db > -50) for d in (ours, theirs)]
        sockets = village.exec("b", ["ss", "-Hunap"], check=True).stdout.splitlines()
        ports = {line.split()[3].rpartition(":")[2] for line in sockets} - {"5353"}
        assert ports
        before = memory_kb()
        for argv in (
            [TCP_GARBAGE, there, "18950"],
            [UDP_GARBAGE, "224.0.0.251", "5353", here],
            *([UDP_GARBAGE, there, port] for port in ports),
        ):
            await asyncio.to_thread(
                village.exec, "a", [sys.executable, "-I", "-S", "-c", *argv], check=True
            )
        await asyncio.to_thread(
            village.exec,
            "b",
            [sys.executable, "-I", "-S", "-c", API_GARBAGE, str(b.info.api)],
            check=True,
        )
        await write_to_each_other(a, b)
        assert memory_kb() - before < 20_000
        for seat, diary, since in ((a, ours, loud[0]), (b, theirs, loud[1])):
            call = await seat.call_in("talking")
            assert call is not None, diary.all(CallInfo)[-1]
            after = diary.all(CallInfo)[diary.all(CallInfo).index(since) :]
            assert not [c.problems for c in after if c.problems]
    village.restart("a")
    await meet(a, b)
