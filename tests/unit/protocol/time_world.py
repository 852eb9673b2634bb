"""Boards with clocks and sources of time, which ask each other for it, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.model.identity import StationId
from appliance.protocol.agreed_time import AgreedTime, OwnSource, Reading
from appliance.protocol.time_claim import SourceTime, TimeClaim

TRUE_S = 1_800_000_000.0
"""The right time at the beginning of a test."""

ROUND_TRIP_S = 0.02


@dataclass
class World:
    """Boards that ping each other; time passes when told."""

    at: float = 0.0
    boards: list[Board] = field(default_factory=list)

    @property
    def true_s(self) -> float:
        return TRUE_S + self.at

    def board(self, off_s: float = 0.0, *, booted: float = 1000.0) -> Board:
        board = Board(self, off_s, booted + 77.0 * len(self.boards), len(self.boards) + 1)
        self.boards.append(board)
        return board

    def ping(self, *boards: Board, rounds: int = 2) -> None:
        """All of these ask all others."""
        for _ in range(rounds):
            for asking in boards:
                for asked in boards:
                    if asked is not asking:
                        asking.ask(asked)

    def pass_s(self, seconds: float) -> None:
        """Let time pass and look at all clocks meanwhile."""
        for _ in range(20):
            self.at += seconds / 20
            for board in self.boards:
                board.read()


@dataclass
class Board:
    """One of them."""

    world: World
    off_s: float
    """How far its machine's clock is ahead."""
    booted: float
    """Its even time when the world began."""
    number: int
    time: AgreedTime = field(default_factory=AgreedTime)
    went_back_s: list[float] = field(default_factory=list)
    latest: float = 0.0

    @property
    def id(self) -> StationId:
        return StationId(self.number.to_bytes(32, "big"))

    @property
    def even(self) -> float:
        return self.booted + self.world.at

    @property
    def own_s(self) -> float:
        return self.world.true_s + self.off_s

    def ask(self, other: Board) -> None:
        self.hear(other.id, other.time.tell(other.own_s, other.even))

    def hear(self, peer: StationId, claim: TimeClaim, round_trip_s: float = ROUND_TRIP_S) -> None:
        # The answer was given half a round trip ago; here both moments are now.
        late_ms = round(round_trip_s * 500)
        own_ms, source = claim.own_ms - late_ms, claim.source
        if source is not None:
            source = SourceTime(source.ms - late_ms, source.error_ms, source.hops, source.gps)
        self.time.heard(peer, TimeClaim(own_ms, source), round_trip_s, self.even)

    def lies(self, off_s: float, *, hops: int = 0) -> TimeClaim:
        """What a liar says that has this board's place."""
        ms = int((self.world.true_s + off_s) * 1000)
        return TimeClaim(ms, SourceTime(ms, 0, hops, True))

    def has(self, *, gps: bool = True, off_s: float = 0.0) -> None:
        offset = self.world.true_s + off_s - self.even if gps else None
        self.time.looked(OwnSource(offset, 0.5, gps), self.even)

    def read(self) -> Reading:
        reading = self.time.read(self.own_s, self.even)
        if reading.wall_s < self.latest:
            self.went_back_s.append(self.latest - reading.wall_s)
        self.latest = reading.wall_s
        return reading

    @property
    def wrong_s(self) -> float:
        return self.read().wall_s - self.world.true_s
