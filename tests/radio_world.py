"""Stations with radios in virtual time, as far as choosing modes goes: who hears whose beacons.

A radio hears the beacons of those beside it that are on the same channel at the moment, each with
some probability.  There is no data; whoever is in the same mode, on the same channel and, in IBSS,
in the same cell is taken to be connected.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from appliance.protocol.wifi.choice import Choice
from appliance.protocol.wifi.iw_text import Cell
from appliance.protocol.wifi.joining import Join, Joining, Leave, Radio, Scan
from appliance.protocol.wifi.tables import (
    BEACON_TU,
    CELL,
    CHANNELS,
    NETWORK,
    Band,
    Channel,
    Mode,
)

MESH = frozenset({Mode.MESH})
IBSS = frozenset({Mode.IBSS})
BOTH = MESH | IBSS

LOW = {Band.LOW: CHANNELS[Band.LOW][0]}
DUAL = {**LOW, Band.HIGH: CHANNELS[Band.HIGH][0]}

ACTION_S = 0.5
"""That any action takes."""


@dataclass
class Ether:
    """A radio in the world."""

    modes: frozenset[Mode]
    channels: Mapping[Band, Channel]
    address: str
    stubborn: bool = False
    """Its driver makes or finds an IBSS by name only."""
    place: Choice | None = None
    cell: str = ""


@dataclass
class Node:
    """A station."""

    joining: Joining
    radios: dict[str, Ether]
    beside: set[int] = field(default_factory=set)
    """Who hears it and is heard."""
    changes: list[float] = field(default_factory=list)
    """When a radio of its joined something."""
    on: bool = False


class World:
    """All stations, and one clock."""

    def __init__(self, seed: int, *, heard: float = 0.9) -> None:
        self.random = Random(seed)
        self.heard = heard
        self.now = 0.0
        self.nodes: list[Node] = []
        self._queue: list[tuple[float, int]] = []

    def add(
        self,
        *kinds: frozenset[Mode],
        start_s: float = 0.0,
        channels: Mapping[Band, Channel] = LOW,
        stubborn: bool = False,
    ) -> int:
        """Put a station there with a radio of each kind; return its number."""
        number = len(self.nodes)
        radios = {
            f"wlan{place}": Ether(kind, channels, f"02:{place:02}:00:00:00:{number:02x}", stubborn)
            for place, kind in enumerate(kinds)
        }
        self.nodes.append(Node(Joining(Random(self.random.random())), radios))
        heapq.heappush(self._queue, (start_s, number))
        return number

    def connect(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Let stations hear each other."""
        for a, b in pairs:
            self.nodes[a].beside.add(b)
            self.nodes[b].beside.add(a)

    def all_connected(self) -> None:
        """Let all hear all."""
        count = len(self.nodes)
        self.connect([(a, b) for a in range(count) for b in range(a)])

    def remove(self, number: int) -> None:
        """Switch a station off for good."""
        node = self.nodes[number]
        node.beside = set()
        for other in self.nodes:
            other.beside.discard(number)

    def run_until(self, end_s: float) -> None:
        """Let time pass."""
        while self._queue and self._queue[0][0] <= end_s:
            self.now, number = heapq.heappop(self._queue)
            again_s = self._step(self.nodes[number])
            if again_s is not None:
                heapq.heappush(self._queue, (max(again_s, self.now + ACTION_S), number))
        self.now = end_s

    def last_change_s(self) -> float:
        """Return when a radio last joined something."""
        return max((change for node in self.nodes for change in node.changes), default=0.0)

    def modes(self, number: int, *, band: Band = Band.LOW) -> set[Mode]:
        """Return what the radios of a station are in."""
        radios = self.nodes[number].radios.values()
        return {one.place.mode for one in radios if one.place and one.place.band is band}

    def cells(self, number: int) -> set[str]:
        """Return the cells that they are in."""
        return {one.cell for one in self.nodes[number].radios.values() if one.cell}

    def _step(self, node: Node) -> float | None:
        node.on = True
        node.joining.look(self.now, [self._seen(name, one) for name, one in node.radios.items()])
        action = node.joining.next_action(self.now)
        if action is None:
            return node.joining.wake_at(self.now)
        radio = node.radios[action.name]
        if isinstance(action, Scan):
            found = self._scan(node, radio, action.frequency_mhz)
            node.joining.done(self.now, action, cells=found)
        elif isinstance(action, Leave):
            radio.place, radio.cell = None, ""
            node.joining.done(self.now, action)
        else:
            self._join(node, radio, action)
        return self.now

    def _join(self, node: Node, radio: Ether, action: Join) -> None:
        if action.choice.mode is Mode.IBSS:
            bssid = CELL
            if radio.stubborn:
                cells = self._scan(node, radio, action.choice.channel.frequency_mhz)
                own = ":".join(["0a", *(f"{self.random.randrange(256):02x}" for _ in range(5))])
                ibss = sorted(one.bssid for one in cells if one.mode is Mode.IBSS)
                bssid = self.random.choice(ibss) if ibss else own
            radio.cell = bssid
        radio.place = action.choice
        node.changes.append(self.now)
        node.joining.done(self.now, action, cell=radio.cell)

    def _scan(self, node: Node, radio: Ether, frequency_mhz: int) -> list[Cell]:
        found: dict[str, Cell] = {}
        if radio.cell:
            found[radio.cell] = _cell(radio.cell, radio.place, joined=True, seen_ms=60_000)
        around = [self.nodes[number] for number in node.beside if self.nodes[number].on]
        own = [one for one in node.radios.values() if one is not radio]
        for other in [*own, *(one for each in around for one in each.radios.values())]:
            place = other.place
            if place is None or place.channel.frequency_mhz != frequency_mhz:
                continue
            if self.random.random() < self.heard:
                bssid = other.cell or other.address
                found[bssid] = _cell(bssid, place, joined=bssid == radio.cell, seen_ms=40)
        return list(found.values())

    @staticmethod
    def _seen(name: str, radio: Ether) -> Radio:
        place = radio.place
        return Radio(
            name=name,
            index=1,
            modes=radio.modes,
            channels=radio.channels,
            unfit="",
            address=radio.address,
            place=(place.mode, place.channel.frequency_mhz) if place else None,
        )


def _cell(bssid: str, place: Choice | None, *, joined: bool, seen_ms: int) -> Cell:
    assert place is not None
    beacon_tu = place.beacon_tu if place.mode is Mode.MESH else BEACON_TU
    frequency_mhz = place.channel.frequency_mhz
    return Cell(bssid, place.mode, NETWORK, frequency_mhz, beacon_tu, joined, seen_ms)
