"""Radios that join stations, one action after the other, without IO.

The caller says what radios there are (`look`), asks for an action (`next_action`), does it and says
what came of it (`done`).  A radio looks around on its one channel before it joins and, where it
could change its mode, once a minute afterwards: that takes some 50 ms and does not leave the
channel.

Nothing here swings to and fro: IBSS is left only when nobody else has been heard in it for minutes,
and each time for twice as long.  A radio that can't join is tried again, ever more rarely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

from appliance.protocol.wifi.choice import BOTH, Able, Choice, Heard, choose
from appliance.protocol.wifi.iw_text import Cell
from appliance.protocol.wifi.tables import (
    BEACON_ONLY_MESH_TU,
    CELL,
    CHANNELS,
    NETWORK,
    Band,
    Channel,
    Mode,
)

SCANS_AFTER_S: Final = (5.0, 10.0, 20.0, 40.0)
"""Looks around after joining come quicker at first: stations often start together."""
SCAN_EVERY_S: Final = 60.0
JITTER: Final = 0.25
"""Intervals differ by this much, so that stations do not look at the same moment."""

HOLD_S: Final = 900.0
"""For so long what was heard counts, if not heard again."""
MAX_HOLD_S: Final = 6 * 3600.0
MIN_SILENT_SCANS: Final = 10
"""And never is somebody taken for gone before so many looks found nothing."""

RETRY_S: Final = 2.0
MAX_RETRY_S: Final = 300.0
GIVE_UP_MODE: Final = 3
"""After so many failures in a row a radio that can do another mode takes that."""

OWN_BEACONS_MS: Final = 3000
"""An IBSS that we are in counts as heard if somebody else's beacon came within this time; the
kernel counts our own joining too, so looks come later than that."""


@dataclass(frozen=True)
class Radio:
    """A radio, as it is found."""

    name: str
    """Of its interface."""

    index: int
    """The kernel's number for that."""

    modes: frozenset[Mode]
    """What it can do."""

    channels: Mapping[Band, Channel]
    """Where it may send."""

    unfit: str
    """Why we leave it alone, in a sentence; empty where we need not."""

    address: str
    """Its hardware address."""

    place: tuple[Mode, int] | None
    """Its mode and frequency in MHz, where it is in a mesh or an IBSS; 0 where it does not say."""


@dataclass(frozen=True)
class Scan:
    """Look around on one channel."""

    name: str
    """Of the radio's interface."""

    frequency_mhz: int
    """Where."""


@dataclass(frozen=True)
class Join:
    """Become part of the network."""

    name: str
    """Of the radio's interface."""

    choice: Choice
    """As what and where."""

    plain: bool
    """Without what a driver may not know: 802.11n and a rate for multicast."""


@dataclass(frozen=True)
class Leave:
    """Leave the network."""

    name: str
    """Of the radio's interface."""


Action: TypeAlias = Scan | Join | Leave


@dataclass(frozen=True)
class Report:
    """How a radio is, for others."""

    name: str
    """Of its interface."""

    joined: str
    """What it is part of, such as ``mesh, channel 6``; empty where it is not."""

    trouble: str
    """Why it is not, in a sentence; may be empty while it is about to be."""

    failed: bool
    """It was tried and did not work."""


@dataclass
class _State:
    """What we know and did with a radio."""

    radio: Radio
    joined: Choice | None = None
    cell: str = ""
    """The BSSID of the IBSS that the driver has made of our wish."""
    scouted: bool = False
    scan_at: float = 0.0
    scans: int = 0
    failures: int = 0
    retry_at: float = 0.0
    trouble: str = ""
    without: frozenset[Mode] = frozenset()
    """Modes that the driver only claims to know."""
    lower: str = ""
    """An IBSS of ours that a driver that chooses by itself should rather be in."""


@dataclass
class _Air:
    """What was heard in a band, and when."""

    heard_at: dict[str, float] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    """Looks since then that did not find it."""
    hold_s: float = HOLD_S


class Joining:
    """All radios of a station."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._states: dict[str, _State] = {}
        self._air = {band: _Air() for band in Band}
        self._choices: Mapping[str, Choice] = {}

    def look(self, now: float, radios: Sequence[Radio]) -> None:
        """Take what radios there are now; those that are missing have gone."""
        known, self._states = self._states, {}
        for radio in radios:
            state = known.get(radio.name)
            if state is None or state.radio.index != radio.index:
                state = _State(radio)
            if state.joined is not None and not _is_there(state.joined, radio):
                state.joined = None  # somebody else took it, or the driver lost it
                if not radio.unfit:
                    self._failed(now, state, "It has left the network by itself.")
            state.radio = radio
            self._states[radio.name] = state
        self._choose(now)

    def next_action(self, now: float) -> Action | None:
        """Return what to do next, if anything is to be done now; `done` must follow."""
        self._choose(now)
        for name, state in self._states.items():
            wanted = self._choices.get(name)
            if state.joined is not None and (wanted != state.joined or state.lower):
                return Leave(name)
            if wanted is None or now < state.retry_at:
                continue
            if state.joined is None:
                if not state.scouted and self._listens(state):
                    return Scan(name, wanted.channel.frequency_mhz)
                return Join(name, wanted, plain=state.failures % 2 == 1)
            if now >= state.scan_at and self._listens(state):
                return Scan(name, wanted.channel.frequency_mhz)
        return None

    def done(
        self,
        now: float,
        action: Action,
        *,
        error: str = "",
        cells: Sequence[Cell] = (),
        cell: str = "",
    ) -> None:
        """Take what came of an action.

        `error` is a sentence; `cells` is what a look found; `cell` is the BSSID after a join, where
        it is known.
        """
        state = self._states.get(action.name)
        if state is None:
            return
        if isinstance(action, Scan):
            self._scanned(now, state, action, error, cells)
        elif isinstance(action, Leave):
            state.joined, state.lower = None, ""
            # Another look before the next join would only delay it: we know why we leave.
            state.scouted = True
        elif error:
            self._failed(now, state, error)
        else:
            state.joined, state.cell = action.choice, cell
            state.failures, state.trouble, state.scans = 0, "", 0
            self._scan_later(now, state)
        self._choose(now)

    def wake_at(self, now: float) -> float | None:
        """Return when `next_action` may have something, if nothing happens before."""
        times = [
            max(state.retry_at, state.scan_at if state.joined is not None else 0.0)
            for name, state in self._states.items()
            if name in self._choices and (state.joined is None or self._listens(state))
        ]
        return max(now, min(times)) if times else None

    def reports(self) -> tuple[Report, ...]:
        """Say how all radios are."""
        return tuple(self._report(state) for state in self._states.values())

    # -- Looking around

    def _listens(self, state: _State) -> bool:
        """Whether what is on the air could change anything: looking costs airtime."""
        spare = sum(1 for one in self._states.values() if self._modes(one)) > 1
        own_cell = state.cell not in ("", CELL)
        return self._modes(state) == BOTH or spare or own_cell

    def _scanned(
        self, now: float, state: _State, scan: Scan, error: str, cells: Sequence[Cell]
    ) -> None:
        state.scouted = True
        self._scan_later(now, state)
        band = _band(scan.frequency_mhz)
        if error or band is None:
            return
        own = {one.radio.address for one in self._states.values()}
        ours = [
            one
            for one in cells
            if one.name == NETWORK
            and one.frequency_mhz == scan.frequency_mhz
            and one.bssid not in own
        ]
        mesh = [one for one in ours if one.mode is Mode.MESH]
        ibss = [one for one in ours if one.mode is Mode.IBSS]
        others = [one for one in ibss if not one.joined or one.seen_ms <= OWN_BEACONS_MS]
        air = self._air[band]
        self._note(air, now, "mesh", found=bool(mesh))
        only = any(one.beacon_tu == BEACON_ONLY_MESH_TU for one in mesh)
        self._note(air, now, "only mesh", found=only)
        # A radio of ours that is in the IBSS knows whether anybody else is.
        in_ibss = state.joined is not None and state.joined.mode is Mode.IBSS
        if in_ibss or not self._has_own_ibss(band):
            self._note(air, now, "ibss", found=bool(others))
        if in_ibss and state.cell not in ("", CELL):
            lower = min((one.bssid for one in ibss if not one.joined), default=state.cell)
            state.lower = lower if lower < state.cell else ""

    @staticmethod
    def _note(air: _Air, now: float, what: str, *, found: bool) -> None:
        if found:
            air.heard_at[what] = now
            air.silent[what] = 0
        else:
            air.silent[what] = air.silent.get(what, 0) + 1

    def _has_own_ibss(self, band: Band) -> bool:
        return any(
            state.joined is not None
            and state.joined.band is band
            and state.joined.mode is Mode.IBSS
            for state in self._states.values()
        )

    def _scan_later(self, now: float, state: _State) -> None:
        after = SCANS_AFTER_S[state.scans] if state.scans < len(SCANS_AFTER_S) else SCAN_EVERY_S
        state.scans += 1
        state.scan_at = now + self._jittered(after)

    def _jittered(self, interval_s: float) -> float:
        return interval_s * self._random.uniform(1 - JITTER, 1 + JITTER)

    # -- Choosing

    def _choose(self, now: float) -> None:
        able = [
            Able(name, self._modes(state), state.radio.channels)
            for name, state in self._states.items()
            if self._modes(state)
        ]
        heard = {band: self._heard(air, now) for band, air in self._air.items()}
        before, self._choices = self._choices, choose(able, heard)
        for name, choice in self._choices.items():
            last = before.get(name)
            if last is not None and (last.mode, choice.mode) == (Mode.IBSS, Mode.MESH):
                air = self._air[choice.band]
                air.hold_s = min(2 * air.hold_s, MAX_HOLD_S)
                air.heard_at.pop("ibss", None)  # else it would count again, for the longer time

    def _heard(self, air: _Air, now: float) -> Heard:
        def is_there(what: str) -> bool:
            at = air.heard_at.get(what)
            if at is None:
                return False
            return now - at < air.hold_s or air.silent[what] < MIN_SILENT_SCANS

        return Heard(is_there("mesh"), is_there("only mesh"), is_there("ibss"))

    def _modes(self, state: _State) -> frozenset[Mode]:
        """What we may use a radio for; nothing where it is to be left alone."""
        if state.radio.unfit or not state.radio.channels:
            return frozenset()
        return state.radio.modes - state.without

    def _failed(self, now: float, state: _State, why: str) -> None:
        wait_s = min(RETRY_S * 2.0 ** min(state.failures, 16), MAX_RETRY_S)
        state.failures += 1
        state.retry_at = now + self._jittered(wait_s)
        state.trouble = why
        choice = self._choices.get(state.radio.name)
        if choice is not None and state.failures >= GIVE_UP_MODE and self._modes(state) == BOTH:
            state.without |= {choice.mode}
            state.failures = 0

    def _report(self, state: _State) -> Report:
        name = state.radio.name
        if state.joined is not None:
            own = state.joined.mode is Mode.IBSS and state.cell not in ("", CELL)
            more = ", in a cell that its driver chose" if own else ""
            return Report(name, f"{state.joined}{more}", "", failed=False)
        if state.radio.unfit:
            return Report(name, "", state.radio.unfit, failed=False)
        if state.trouble:
            return Report(name, "", state.trouble, failed=True)
        if name not in self._choices:
            return Report(name, "", "Another radio of this station does its work.", failed=False)
        return Report(name, "", "", failed=False)


def _is_there(choice: Choice, radio: Radio) -> bool:
    if radio.place is None:
        return False
    mode, frequency_mhz = radio.place
    return mode is choice.mode and frequency_mhz in (0, choice.channel.frequency_mhz)


def _band(frequency_mhz: int) -> Band | None:
    for band, channels in CHANNELS.items():
        if any(one.frequency_mhz == frequency_mhz for one in channels):
            return band
    return None
