"""A talk group in virtual time: one speaks, one passes it on, listeners are behind slow links."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.sender import IP_BYTES
from appliance.media.spurt import Spurt
from appliance.media.talk_paths import TalkChoice, TalkPaths
from appliance.model.talk_media import TalkHop, TalkReport
from appliance.protocol.jitter import FRAME_S


@dataclass
class Link:
    """From a station to one that hears it, with a queue in front of it."""

    random: Random
    bit_s: float = 1e6
    loss: float = 0.0
    queue_s: float = 1.0
    """What would wait longer is dropped."""

    free_at: float = 0.0
    under_way: deque[tuple[float, bytes]] = field(default_factory=deque)
    bits: list[tuple[float, int]] = field(default_factory=list)
    delays: list[tuple[float, float]] = field(default_factory=list)
    now: float = 0.0

    def send(self, data: bytes, _address: object) -> None:
        waits = max(0.0, self.free_at - self.now)
        if waits > self.queue_s:
            return
        bits = 8 * (len(data) + IP_BYTES)
        self.free_at = self.now + waits + bits / self.bit_s
        self.bits.append((self.now, bits))
        self.delays.append((self.now, self.free_at - self.now))
        if self.random.random() >= self.loss:
            self.under_way.append((self.free_at + 0.002, data))

    def arrived(self, now: float) -> list[bytes]:
        self.now = now
        came = []
        while self.under_way and self.under_way[0][0] <= now:
            came.append(self.under_way.popleft()[1])
        return came

    def rate(self, since: float, until: float) -> float:
        """bit/s that were sent."""
        return sum(bits for at, bits in self.bits if since <= at < until) / (until - since)

    def longest_s(self, since: float) -> float:
        """Delay of what was sent since then."""
        return max((delay for at, delay in self.delays if at >= since), default=0.0)


class Stop:
    """A station on the way, with one link to each of its children."""

    def __init__(self, name: str, links: dict[str, Link]) -> None:
        self.name, self.links = name, links
        self.paths, self.choice = TalkPaths(), TalkChoice()
        self.spurt: Spurt | None = None

    def hop(self, child: str) -> TalkHop:
        return TalkHop(self.name, child, 4000)

    def begin(self, spurt: str, now: float, keep: Callable[[object], None]) -> Spurt:
        made = Spurt(spurt, 7, keep, now, paths=self.paths, choice=self.choice)
        ways = {self.hop(child): (link, ("", 0)) for child, link in self.links.items()}
        made.set_children(ways, now)  # type: ignore[arg-type]
        self.spurt = made
        return made


class Tree:
    """a speaks, b passes on, all others hear b; reports take as long as a session needs."""

    def __init__(self, links: dict[str, Link], *, random: Random) -> None:
        self.now = 1_000.0
        self.random = random
        self.first = Link(random)
        self.a = Stop("a", {"b": self.first})
        self.b = Stop("b", links)
        self.ears = {name: Stop(name, {}) for name in links}
        self.sound: dict[str, list[bytes]] = {name: [] for name in links}
        self._reports: deque[tuple[float, Stop, str, TalkReport]] = deque()

    def begin(self, spurt: str) -> None:
        key = new_key(AES_GCM)
        self.a.begin(spurt, self.now, lambda _: None).speak(AES_GCM, key, self.now)
        self.b.begin(spurt, self.now, lambda _: None)
        for ear in self.ears.values():
            ear.begin(spurt, self.now, lambda _: None).hear(AES_GCM, key, 100)

    def run(self, frames: list[bytes]) -> None:
        """Speak these, 20 ms each."""
        for index, frame in enumerate(frames):
            self.now += FRAME_S
            self.a.spurt.microphone(frame, self.now)  # type: ignore[union-attr]
            self._carry(self.first, self.b)
            for name, ear in self.ears.items():
                self._carry(self.b.links[name], ear)
                self.sound[name].append(ear.spurt.sound(self.now)[0])  # type: ignore[union-attr]
            for parent, child in self._hops:
                if child.spurt.reports_early(self.now):  # type: ignore[union-attr]
                    self._report(parent, child)
            if index % 50 == 49:
                self._tell()
            while self._reports and self._reports[0][0] <= self.now:
                _, parent, name, report = self._reports.popleft()
                parent.spurt.heard(parent.hop(name), report, self.now)  # type: ignore[union-attr]

    @property
    def _hops(self) -> list[tuple[Stop, Stop]]:
        return [(self.a, self.b), *((self.b, ear) for ear in self.ears.values())]

    def _carry(self, link: Link, to: Stop) -> None:
        for data in link.arrived(self.now):
            to.spurt.packet(data, self.now)  # type: ignore[union-attr]

    def _report(self, to: Stop, child: Stop) -> None:
        assert child.spurt is not None
        report = child.spurt.stats("all", (0, 0, 0, 0), self.now).report
        if report is not None:
            self._reports.append((self.now + 0.05, to, child.name, report))

    def _tell(self) -> None:
        for to, child in self._hops:
            assert child.spurt is not None
            child.spurt.tick(self.now)
            self._report(to, child)
        assert self.a.spurt is not None
        self.a.spurt.tick(self.now)
