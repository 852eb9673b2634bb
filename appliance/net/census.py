"""Gathers the facts about each interface, remembers what it was before, and has it judged.

What stays out: the judgement (`link_policy`) and what follows from it (`links`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from appliance.net.config import NetConfig
from appliance.net.facts import Facts, Hardware
from appliance.net.link_policy import LinkFacts, Verdict, judge
from appliance.net.netlink import Interface, Picture

UDEV_WAIT_S: Final = 5.0
"""How long a new interface may be udev's before we go on without it."""


class Census:
    """What is known about all interfaces."""

    def __init__(self, config: NetConfig, *, facts: Facts | None = None) -> None:
        self.radios: frozenset[str] = frozenset()
        """Names of the radios that have joined stations."""
        self.waiting = False
        """udev is still busy with some interface."""
        self._config = config
        self._facts = facts or Facts()
        self._hardware: dict[tuple[int, str], Hardware] = {}
        self._first_seen: dict[int, float] = {}
        self._seen_up: set[int] = set()
        self._verdicts: dict[int, Verdict] = {}
        self._untouched: frozenset[str] = frozenset()

    def close(self) -> None:
        """Let go of what is open."""
        self._facts.close()

    def forget(self) -> None:
        """Start anew with what the interfaces were before."""
        self._seen_up.clear()

    def judge(self, picture: Picture, now: float) -> Mapping[int, Verdict]:
        """Return the verdict on each interface, by its number."""
        self.waiting = False
        there = {interface.index for interface in picture.interfaces}
        self._first_seen = {i: at for i, at in self._first_seen.items() if i in there}
        self._seen_up &= there
        self._hardware = {key: of for key, of in self._hardware.items() if key[0] in there}
        facts = [self._facts_of(interface, now) for interface in picture.interfaces]
        self._verdicts = {one.interface.index: judge(one) for one in facts}
        self._untouched = frozenset(
            one.interface.name for one in facts if one.excluded or one.ignored
        )
        return self._verdicts

    def leaves_alone(self, name: str) -> bool:
        """Whether nothing at all may be changed on the interface of that name."""
        return name in self._untouched

    def hurry_carriers(self, picture: Picture) -> None:
        """Have the kernel look again at the links that have no carrier."""
        for interface in picture.interfaces:
            verdict = self._verdicts.get(interface.index)
            if verdict and verdict.used and interface.up and not interface.carrier:
                self._facts.hurry_carrier(interface.name)

    def _facts_of(self, interface: Interface, now: float) -> LinkFacts:
        index = interface.index
        key = (index, interface.name)
        if key not in self._hardware:
            self._hardware[key] = self._facts.hardware(interface)
        hardware = self._hardware[key]
        udev = self._facts.udev(index)
        pending = udev.pending and now < self._first_seen.setdefault(index, now) + UDEV_WAIT_S
        self.waiting |= pending
        seen_up = index in self._seen_up
        if interface.up:
            self._seen_up.add(index)
        return LinkFacts(
            interface=interface,
            wireless=hardware.wireless,
            joined_radio=interface.name in self.radios,
            mobile=hardware.mobile,
            driver=hardware.driver,
            gadget=hardware.gadget,
            excluded=self._config.excludes(interface.name),
            ignored=udev.ignore,
            udev_pending=pending,
            seen_up=seen_up,
        )
