"""What a session asks of its TCP socket."""

import socket
from pathlib import Path

from appliance.adapters.session import TCP_THIN_LINEAR_TIMEOUTS, USER_TIMEOUT_MS, tune

ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


def test_the_socket_gives_up_in_time_and_keeps_little_unsent() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        tune(sock)
        level = socket.IPPROTO_TCP
        assert sock.getsockopt(level, socket.TCP_USER_TIMEOUT) == USER_TIMEOUT_MS
        assert sock.getsockopt(level, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(level, socket.TCP_NOTSENT_LOWAT) <= 64 * 1024
        assert sock.getsockopt(level, TCP_THIN_LINEAR_TIMEOUTS)
        offered = ALLOWED.read_text().split()
        using = sock.getsockopt(level, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
        assert using == "bbr" or "bbr" not in offered
