"""Our queues on a real link: who goes first, how much everybody gets, and the old queue after.

Order is counted in packets at a rate so low that a packet takes longer than a busy machine sleeps.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from queue_traffic import QUIET_PACKETS

from appliance.village.village import Village

pytestmark = [pytest.mark.village, pytest.mark.usefixtures("may_make_namespaces")]

HERE = Path(__file__).parent
SHARES_PCT = {"voice": 50, "control": 15, "sessions": 15, "rest": 10, "bulk": 10}


class Program:
    """A program in a station that is talked to by lines."""

    def __init__(self, village: Village, station: str, *argv: str) -> None:
        command = [sys.executable, *argv]
        self.process: subprocess.Popen[str] = village.popen(
            station,
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(HERE.parent.parent), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """What it says after the end of its input."""
        return self.process.communicate(timeout=20)[0]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Bench:
    """A station with our queues, another that listens, and a cable."""

    def __init__(self, village: Village, directory: Path) -> None:
        self.village = village
        self.directory = directory
        self.listener = Program(village, "b", str(HERE / "queue_traffic.py"), "listen")
        b = village.station("b")
        self.hosts = {"ipv4": b.addresses[0], "ipv6": f"{b.addresses6[0]}%eth0"}

    def queues(self, name: str = "a") -> Program:
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        return Program(self.village, name, str(HERE / "queue_station.py"), str(directory))

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Both stations measure the link between them."""
        both = [(self.queues(name), other) for name, other in ("ab", "ba")]
        for station, other in both:
            station.say(self.village.station(other).addresses6[0])
            assert station.line() == "ready"
        try:
            yield
        finally:
            for station, _ in both:
                station.end()

    @contextmanager
    def rate(self, rate_kbit: int) -> Iterator[None]:
        station = self.queues()
        station.say(str(rate_kbit))
        assert station.line() == "ready"
        try:
            yield
        finally:
            station.end()

    def traffic(self, verb: str, *arguments: str, host: str = "ipv6") -> list[tuple[str, float]]:
        script = str(HERE / "queue_traffic.py")
        command = [sys.executable, "-I", "-S", script, verb, self.hosts[host], *arguments]
        self.village.exec("a", command, check=True)
        seen: list[tuple[str, float]] = json.loads(self.listener.line())
        return seen

    def root(self) -> dict[str, Any]:
        said = self.village.exec("a", ["tc", "-json", "qdisc", "show"], check=True).stdout
        return next(q for q in json.loads(said) if q["dev"] == "eth0" and q.get("root"))


@pytest.fixture(scope="module")
def bench(may_make_namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("v")
    with Village.up("pair", directory=directory / "village", daemons=False) as village:
        deadline = time.monotonic() + 10
        while any(tentative(village, name) for name in "ab"):
            assert time.monotonic() < deadline
        made = Bench(village, directory)
        yield made
        made.listener.kill()


def tentative(village: Village, name: str) -> bool:
    """Whether eth0 still makes sure that its address is nobody else's."""
    said = village.exec(name, "ip -6 -oneline address show dev eth0".split(), check=True).stdout
    return "tentative" in said or not said


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_voice_waits_for_one_packet_of_bulk_and_the_others_by_rank(
    bench: Bench, family: str
) -> None:
    with bench.rate(200):  # 50 ms for a packet of bulk
        arrived = [name for name, _ in bench.traffic("order", host=family)]
    assert Counter(arrived)["bulk"] == 9
    # One was in the bucket, one was next in line when the voice came.
    assert arrived.index("voice") <= 2
    ranked = [name for name in arrived if name != "bulk"]
    assert ranked == ["voice", "control", "sessions", "rest"]
    assert arrived.index("rest") <= 5


def test_everybody_keeps_their_share_when_all_want_everything(bench: Bench) -> None:
    with bench.rate(4000):
        seen = Counter(name for name, _ in bench.traffic("flood", "2", *SHARES_PCT))
    for name, share in SHARES_PCT.items():
        assert seen[name] / seen.total() == pytest.approx(share / 100, rel=0.2), seen


def test_whoever_claims_to_be_voice_starves_nobody_and_may_have_what_is_left(bench: Bench) -> None:
    with bench.rate(4000):
        seen = Counter(name for name, _ in bench.traffic("flood", "1", "voice", "control", "bulk"))
        alone = bench.traffic("flood", "1", "voice")
    assert seen["control"] / seen.total() > 0.12, seen
    assert seen["bulk"] / seen.total() > 0.08, seen
    assert seen["voice"] / seen.total() > 0.6, seen
    assert len(alone) * 1242 * 8 > 4_000_000 * 0.8


def test_voice_beside_a_transfer_over_a_slow_link(bench: Bench) -> None:
    bench.village.link("a", "b", rate_kbit=2000)
    try:
        without = statistics.median(
            delay for _, delay in bench.traffic("talk", "4")[QUIET_PACKETS:]
        )
        with bench.rate(1900):
            delays = [delay for _, delay in bench.traffic("talk", "4")[QUIET_PACKETS:]]
    finally:
        bench.village.link("a", "b", rate_kbit=0)
    assert len(delays) == 200 - QUIET_PACKETS
    # A packet of 1,514 bytes takes 6 ms on this link.
    assert statistics.median(delays) < 15
    assert statistics.median(delays) < without / 3


def test_a_slow_link_whose_rate_nobody_told_is_measured(bench: Bench) -> None:
    bench.village.link("a", "b", rate_kbit=2000)
    try:
        with bench.measured():
            delays = [delay for _, delay in bench.traffic("talk", "9")]
            root = bench.root()
    finally:
        bench.village.link("a", "b", rate_kbit=0)
    assert root["kind"] == "tbf"
    assert 1_000 < root["options"]["rate"] * 8 / 1000 < 2_400
    # The plain queue of the link holds 200 ms, and the transfer was there first.
    assert statistics.median(delays[-150:]) < 40
    assert max(delays[:-150]) > 60


def test_the_old_queue_comes_back_also_after_a_crash(bench: Bench) -> None:
    before = bench.root()
    station = bench.queues()
    station.say("500")
    assert station.line() == "ready"
    assert bench.root()["handle"] == "4a06:"
    station.kill()
    assert bench.root()["handle"] == "4a06:"
    assert bench.queues().end() == ""
    assert bench.root() == before


def test_a_queue_of_the_operator_stays(bench: Bench) -> None:
    bench.village.exec("a", "tc qdisc add dev eth0 root pfifo limit 77".split(), check=True)
    before = bench.root()
    with bench.rate(500):
        assert bench.root() == before
    assert bench.root() == before
    bench.village.exec("a", "tc qdisc del dev eth0 root".split(), check=True)
