"""What one run is like; everything follows from the seed, the number of stations and the length."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

SPREADS: Final = True
"""Whether a message to one station is judged wherever its recipient is.  Off: only between stations
that end up on one link, for a layer that delivers over direct sessions alone."""

EVERYONE_REACHES_ALL: Final = True
"""Whether messages to everyone are judged.  Off: for a layer that tells only neighbours."""

MAX_DATABASE: Final = 16 * 1024 * 1024
"""Bytes that no station's database may exceed here; far more than these runs write."""


ARM_S: Final = 0.005
"""After an input, until a station is asked when it wants to be woken; often there are more inputs
by then, and asking takes about as long as an input."""

CROWD: Final = 100
"""From so many stations on, the net is as bad as it gets: 30 % loss, one partition a minute, and so
few on a link that there is often one way only."""

CROWD_ARM_S: Final = 0.2
"""Such stations look at the time a little later, as on a busy board: each would else be asked after
nearly every frame, which is a fifth of what they cost here."""


@dataclass(frozen=True)
class Scenario:
    """One run."""

    seed: int
    """Decides everything that is left to chance."""

    stations: int
    """How many."""

    minutes: float
    """Of faults and traffic, before everything heals."""

    settle_s: float
    """Time from then until all must be as it should be."""

    segment_size: int
    """Stations on one link, about."""

    islands: bool
    """Nothing but couriers joins some of the links, not even in the end."""

    couriers: int
    """Stations that wander from link to link."""

    stay_s: float
    """How long a courier stays, on average."""

    loss: float
    """Share of frames that have to be sent again; some handshakes fail as well."""

    latency_s: float
    """One way, on average over the links."""

    rate: float
    """Bytes a second of a session, on average over the links."""

    session_s: float
    """After how long a session breaks, on average."""

    write_every_s: float
    """Between two messages of one operator, on average, and the same for everything below."""

    to_everyone: float
    """Share of them that are for everyone."""

    crash_every_s: float
    """Between two ends of one station's process, half of them by the power."""

    partition_every_s: float
    """Between two partitions of one link."""

    full_every_s: float
    """Between two times at which one station's disk is full."""

    bad_clocks: float
    """Share of the stations whose wall clock is off, and jumps."""

    lost_for_good: float
    """Share of the stations that stop in the middle and never come back."""

    groups: bool = False
    """There is a group, and somebody is taken out of it while the net is parted."""

    restored: float = 0.0
    """Share of the stations that go on from a backup, having forgotten what came after it."""

    arm_s: float = ARM_S
    """See there."""

    spreads: bool = SPREADS
    """See there."""

    everyone_reaches_all: bool = EVERYONE_REACHES_ALL
    """See there."""

    max_database: int = MAX_DATABASE
    """See there."""

    @classmethod
    def of(cls, seed: int, stations: int, minutes: float) -> Scenario:
        """Draw one."""
        rng = random.Random(f"scenario/{seed}/{stations}")
        bad = stations >= CROWD
        islands = rng.random() < 0.25 and not bad
        # What one writes costs all the others something, and each of them answers everybody.
        crowd = max(1.0, stations / 12)
        return cls(
            seed=seed,
            stations=stations,
            minutes=minutes,
            # A courier may take long to come by everywhere.
            settle_s=3600.0 if islands else 600.0,
            segment_size=2 if bad else rng.choice((2, 3, 4, 6) if stations < 60 else (4, 8, 12)),
            islands=islands,
            couriers=rng.randrange(3) + stations // 20,
            stay_s=rng.uniform(20.0, 60.0),
            loss=0.3 if bad else rng.choice((0.0, 0.02, 0.1, 0.3)),
            latency_s=rng.choice((0.002, 0.02, 0.3)),
            rate=rng.choice((2e3, 50e3, 2e6)),
            session_s=rng.choice((20.0, 120.0, 3600.0)),
            write_every_s=rng.choice((10.0, 30.0, 60.0)) * min(crowd, 5.0),
            # One that has to arrive there always is, and each brings as many receipts to all.
            to_everyone=1e-6 if bad else 0.15 / crowd,
            # Each start brings a new card to all.
            crash_every_s=600.0 if bad else rng.choice((60.0, 300.0, 36000.0)),
            partition_every_s=60.0 if bad else rng.choice((60.0, 200.0, 36000.0)),
            full_every_s=rng.choice((120.0, 600.0, 36000.0)),
            bad_clocks=rng.choice((0.0, 0.3, 1.0)),
            lost_for_good=rng.choice((0.0, 0.0, 0.1)),
            groups=rng.random() < 0.4 and not bad,
            restored=rng.choice((0.0, 0.0, 0.3)) if not bad else 0.0,
            arm_s=CROWD_ARM_S if bad else ARM_S,
        )

    @property
    def faults_s(self) -> float:
        """Seconds until everything heals."""
        return self.minutes * 60.0

    @property
    def replay(self) -> str:
        """The command that runs it again."""
        return (
            f"scripts/sim --seed {self.seed} --stations {self.stations}"
            f" --minutes {self.minutes:g} --trace"
        )
