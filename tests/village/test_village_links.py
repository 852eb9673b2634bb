"""The village itself, with real namespaces: cables and what they do, commands, daemons, the end.

Traffic is UDP and TCP of small programs in the stations. Chances are checked at five standard
deviations.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.village import command
from appliance.village.errors import VillageError
from appliance.village.village import Village

pytestmark = pytest.mark.village

BOUND_S = 10.0
PYTHON = [sys.executable, "-I", "-S", "-c"]

ECHO = """
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 7))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(data, peer)
"""

# Sends COUNT numbered datagrams GAP_S apart and says which came back, in their order, and when.
PROBE = """
import json, select, socket, sys, time
address, count, gap, linger = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
family, _, _, _, peer = socket.getaddrinfo(address, 7, type=socket.SOCK_DGRAM)[0]
s = socket.socket(family, socket.SOCK_DGRAM)
s.connect(peer)
start, sent, order, trips = time.monotonic(), [], [], []
while True:
    while len(sent) < count and time.monotonic() >= start + len(sent) * gap:
        sent.append(time.monotonic())
        s.send(str(len(sent) - 1).encode())
    due = start + len(sent) * gap if len(sent) < count else sent[-1] + linger
    wait = due - time.monotonic()
    if len(order) == count or len(sent) == count and wait <= 0:
        break
    if select.select([s], [], [], max(0, wait))[0]:
        order.append(int(s.recv(2000)))
        trips.append((time.monotonic() - sent[order[-1]]) * 1000)
print(json.dumps([order, trips]))
"""

SINK = """
import socket, time
s = socket.create_server(("0.0.0.0", 9))
print("ready", flush=True)
peer, _ = s.accept()
count = len(peer.recv(65536))
start, count = time.monotonic(), 0
while data := peer.recv(65536):
    count += len(data)
print(count * 8 / 1000 / (time.monotonic() - start))
"""

SOURCE = """
import socket, sys
s = socket.create_connection((sys.argv[1], 9))
s.sendall(bytes(int(sys.argv[2])))
"""

DAEMON = """
import os, signal, socket, sys
if os.environ["FENCEWIRE_STATION"] == sys.argv[2]:
    sys.exit("no luck today")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
signal.sigwait([signal.SIGTERM])
"""


@pytest.fixture(scope="module")
def may_make_namespaces() -> None:
    """Skips where the machine does not let this user make namespaces."""
    tried = subprocess.run(
        ["unshare", "-Urnmp", "--fork", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"this machine does not let us make namespaces: {tried.stderr.strip()}")


@pytest.fixture(scope="module")
def shared_pair(
    may_make_namespaces: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Village]:
    with Village.up("pair", directory=tmp_path_factory.mktemp("v"), daemons=False) as village:
        yield village


@pytest.fixture
def pair(shared_pair: Village) -> Iterator[Village]:
    """Two stations and a perfect cable, an echo at b."""
    with running(shared_pair, "b", ECHO):
        yield shared_pair
    shared_pair.link("a", "b", up=True, loss_pct=0, delay_ms=0, rate_kbit=0)


@contextmanager
def running(village: Village, station: str, program: str) -> Iterator[subprocess.Popen[Any]]:
    """A program in a station, from its first word on."""
    process = village.popen(station, [*PYTHON, program], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def probe(
    village: Village, *, count: int, gap_s: float = 0.0005, to: str = "", linger_s: float = 0.3
) -> tuple[list[int], list[float]]:
    """Which datagrams from a came back from b, and their round trips in milliseconds."""
    address = to or village.station("b").addresses[0]
    numbers = [str(count), str(gap_s), str(linger_s)]
    done = village.exec("a", [*PYTHON, PROBE, address, *numbers], check=True)
    order, trips = json.loads(done.stdout)
    return order, trips


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def read_interface(village: Village, station: str, name: str) -> str:
    return village.exec(station, ["cat", f"/sys/class/net/eth0/{name}"]).stdout.strip()


def test_a_cable_carries_ipv4_and_ipv6_in_order(pair: Village) -> None:
    assert probe(pair, count=300)[0] == list(range(300))
    here = pair.station("a").addresses6[0]
    there = pair.station("b").addresses6[0] + "%eth0"
    show = ["ip", "-6", "address", "show", "dev", "eth0", "tentative"]
    # Duplicate address detection takes a second or two.
    wait_until(lambda: not any(pair.exec(station, show).stdout for station in "ab"))
    assert here in pair.exec("a", ["ip", "-6", "address"]).stdout
    assert probe(pair, count=20, to=there)[0] == list(range(20))


@pytest.mark.parametrize("delay_ms", [0, 2], ids=["kernel", "relay"])
def test_loss_takes_its_share_each_way(pair: Village, delay_ms: int) -> None:
    state = pair.link("a", "b", loss_pct=20, delay_ms=delay_ms)
    assert bool(state["relay"]) == bool(delay_ms)
    count, share = 2000, 0.8**2
    back = len(probe(pair, count=count, gap_s=0.0003)[0])
    deviation = (count * share * (1 - share)) ** 0.5
    assert abs(back - count * share) < 5 * deviation
    pair.link("a", "b", loss_pct=100)
    assert probe(pair, count=20)[0] == []
    pair.link("a", "b", loss_pct=0)
    assert probe(pair, count=300)[0] == list(range(300))


def test_delay_holds_every_frame_for_its_time_and_keeps_the_order(pair: Village) -> None:
    pair.link("a", "b", delay_ms=25)
    order, trips = probe(pair, count=400)
    assert order == list(range(400))
    assert min(trips) >= 50
    assert sorted(trips)[200] < 75
    slow = pair.popen(
        "a",
        [*PYTHON, PROBE, pair.station("b").addresses[0], "300", "0.001", "0.5"],
        stdout=subprocess.PIPE,
        text=True,
    )
    pair.link("a", "b", delay_ms=200)
    pair.link("a", "b", delay_ms=5)
    output, _ = slow.communicate(timeout=BOUND_S)
    order = json.loads(output)[0]
    assert order == list(range(300))


def test_segments_and_checksums_survive_the_relay(pair: Village) -> None:
    pair.link("a", "b", delay_ms=1)
    assert tcp_kbit(pair, size=30_000_000) > 0
    state = pair.status()["links"][0]["relay"]
    assert state["overflowed"] == 0
    assert state["carried"] < 30_000_000 / 1460, "segments crossed whole"


@pytest.mark.parametrize("delay_ms", [0, 5], ids=["alone", "with delay"])
def test_rate_is_a_ceiling(pair: Village, delay_ms: int) -> None:
    pair.link("a", "b", rate_kbit=2000, delay_ms=delay_ms)
    assert 1000 < tcp_kbit(pair, size=200_000) < 2400


def tcp_kbit(village: Village, *, size: int) -> float:
    """The rate at which b gets bytes from a."""
    target = village.station("b").addresses[0]
    sink = village.popen("b", [*PYTHON, SINK], stdout=subprocess.PIPE, text=True)
    with sink:
        assert sink.stdout is not None
        assert sink.stdout.readline() == "ready\n"
        village.exec("a", [*PYTHON, SOURCE, target, str(size)], check=True)
        return float(sink.stdout.readline())


def test_a_pulled_cable_is_seen_at_both_ends_and_addresses_stay(pair: Village) -> None:
    before = pair.exec("a", ["ip", "-4", "-o", "address", "show", "eth0"]).stdout
    pair.link("a", "b", up=False)
    for station in ("a", "b"):
        assert read_interface(pair, station, "carrier") == "0"
        assert "UP" in pair.exec(station, ["ip", "link", "show", "eth0"]).stdout
    assert pair.exec("a", ["ip", "-4", "-o", "address", "show", "eth0"]).stdout == before
    pair.link("a", "b", up=True)
    wait_until(lambda: all(read_interface(pair, name, "carrier") == "1" for name in "ab"))
    assert probe(pair, count=20)[0] == list(range(20))


def test_changing_a_link_leaves_the_interfaces_alone(pair: Village) -> None:
    def look() -> list[str]:
        names = ("carrier_changes", "ifindex", "address", "operstate")
        return [read_interface(pair, station, name) for station in "ab" for name in names]

    before = look()
    for change in ({"delay_ms": 3}, {"loss_pct": 5}, {"rate_kbit": 500}, {"delay_ms": 0}):
        pair.change_link("a", "b", change)
    pair.link("a", "b", loss_pct=0, rate_kbit=0)
    assert look() == before


def test_a_pulled_cable_with_a_relay_works_again(pair: Village) -> None:
    pair.link("a", "b", delay_ms=2)
    pair.link("a", "b", up=False)
    pair.link("a", "b", up=True)
    assert len(probe(pair, count=50, gap_s=0.002)[0]) == 50


def test_a_relay_that_dies_is_replaced(pair: Village) -> None:
    pair.link("a", "b", delay_ms=2)
    keeper = str(pair.keeper_pid())
    children = subprocess.run(["pgrep", "-P", keeper], capture_output=True, text=True, check=True)
    for pid in children.stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: len(probe(pair, count=5, linger_s=0.1)[0]) == 5)


def test_commands_get_input_and_place_and_give_status(pair: Village, tmp_path: Path) -> None:
    done = pair.exec("b", ["sh", "-c", "hostname; cat; ls /sys/class/net; exit 3"], stdin="hi\n")
    assert (done.returncode, done.stdout) == (3, "b\nhi\neth0\nlo\n")
    done = pair.exec("2", ["sh", "-c", "echo $FENCEWIRE_API $FENCEWIRE_STATE $FENCEWIRE_STATION"])
    info = pair.station("b")
    assert done.stdout == f"{info.api} {info.state} b\n"
    assert pair.exec("a", ["no-such-command"]).returncode == 127
    assert pair.exec("a", ["sh", "-c", "kill -9 $$"]).returncode == -signal.SIGKILL
    empty = "CapEff:\t0000000000000000"
    seen = [
        pair.exec("a", ["cat", "/proc/self/status"], unprivileged=u).stdout for u in (False, True)
    ]
    assert [empty in text for text in seen] == [False, True]


def test_signals_reach_a_command_and_a_kill_takes_it_along(pair: Village) -> None:
    script = "trap 'echo ended; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with pair.popen("a", ["sh", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(BOUND_S) == 5
        assert process.stdout.read() == "ended\n"
    with running(pair, "a", "print('ready', flush=True); import time; time.sleep(1000)"):
        pass
    wait_until(lambda: "time.sleep(1000)" not in pair.exec("a", ["ps", "ax", "-o", "args"]).stdout)


def test_a_shared_network_has_a_cable_for_each(may_make_namespaces: None, tmp_path: Path) -> None:
    with Village.up("lan:3", directory=tmp_path, daemons=False) as village:
        with running(village, "b", ECHO):
            village.link("c", "lan", up=False)
            assert probe(village, count=50)[0] == list(range(50))
            village.link("a", "lan", loss_pct=100)
            assert probe(village, count=10, linger_s=0.1)[0] == []
            village.link("a", "lan", loss_pct=0, delay_ms=10)
            assert min(probe(village, count=10)[1]) >= 20
        with pytest.raises(VillageError, match="share one network"):
            village.link("a", "b", loss_pct=1)


def test_killing_the_keeper_ends_everything_and_the_place_is_free(
    may_make_namespaces: None, tmp_path: Path
) -> None:
    village = Village.up("line:3", directory=tmp_path, daemons=False)
    village.link("a", "b", delay_ms=5)
    namespace = Path(f"/proc/{village.keeper_pid()}/ns/pid").readlink()
    with running(village, "c", ECHO) as process:
        with pytest.raises(VillageError, match=r"up in .* already"):
            Village.up("pair", directory=tmp_path, daemons=False)
        os.kill(village.keeper_pid(), signal.SIGKILL)
        assert process.wait(BOUND_S) == -signal.SIGKILL
    with Village.up("pair", directory=tmp_path, daemons=False) as again:
        assert namespace not in process_namespaces()
        assert again.exec("b", ["hostname"]).stdout == "b\n"
    village.close()


def test_a_village_dies_with_the_process_that_made_it(
    may_make_namespaces: None, tmp_path: Path
) -> None:
    program = (
        "import pathlib, sys, time; from appliance.village.village import Village; "
        "v = Village.up('pair', directory=pathlib.Path(sys.argv[1]), daemons=False); "
        "v.popen('a', ['sleep', '1000']); print(v.keeper_pid(), flush=True); time.sleep(1000)"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with maker:
        assert maker.stdout is not None
        namespace = Path(f"/proc/{int(maker.stdout.readline())}/ns/pid").readlink()
        maker.kill()
    wait_until(lambda: namespace not in process_namespaces())


def process_namespaces() -> set[Path]:
    """The process namespaces of all processes that we may look at."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/pid"):
        try:
            found.add(path.readlink())
        except OSError:
            continue
    return found


def test_daemons_start_die_and_come_back(may_make_namespaces: None, tmp_path: Path) -> None:
    words = [sys.executable, "-c", DAEMON, "{api}", "-"]
    with Village.up("pair", directory=tmp_path, command=words) as village:

        def state(name: str) -> list[Any]:
            found = next(s for s in village.status()["stations"] if s["name"] == name)
            return [found["daemon"], found["exit_status"]]

        first = village.status()["stations"][0]["host_pid"]
        environment = Path(f"/proc/{first}/environ").read_bytes()
        assert f"FENCEWIRE_API={village.station('a').api}".encode() in environment
        village.kill("a")
        assert [state("a"), state("b")] == [["ended", -9], ["running", None]]
        village.start("a")
        village.restart("b")
        assert [state("a"), state("b")] == [["running", None], ["running", None]]
        village.stop("b")
        assert state("b") == ["ended", 0]
    with pytest.raises(VillageError, match=r"daemon of b ended[^\0]*no luck today"):
        Village.up("pair", directory=tmp_path, command=[*words[:-1], "b"])


def test_the_command_line_makes_uses_and_ends_a_village(
    may_make_namespaces: None,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    villages = tmp_path_factory.mktemp("l") / "villages"  # short, since sockets have short names
    monkeypatch.setenv("FENCEWIRE_VILLAGE", str(villages))

    def fencewire_village(*words: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        command.configure(parser)
        status = command.run(parser.parse_args(words))
        return status, "".join(capfd.readouterr())

    assert fencewire_village("up", "pair", "--no-daemons")[0] == 0
    status, said = fencewire_village("up", "pair", "--no-daemons")
    assert (status, "already" in said) == (1, True)
    assert fencewire_village("exec", "b", "--", "sh", "-c", "hostname; exit 7") == (7, "b\n")
    line = "a - b: up loss=2% delay=3ms\n"
    assert fencewire_village("link", "b", "a", "loss=2", "delay=3") == (0, line)
    assert line.strip() in fencewire_village("status")[1]
    links = json.loads(fencewire_village("status", "--json")[1])["links"]
    assert (links[0]["loss_pct"], links[0]["delay_ms"]) == (2, 3)
    assert fencewire_village("link", "a", "q", "down")[0] == 1
    assert fencewire_village("down") == (0, "The village is down.\n")
    assert not list((villages).iterdir())
    assert fencewire_village("status")[0] == 1
