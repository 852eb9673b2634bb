"""Looks at radios: what they can do, where they may send, and who uses them already.

A radio that somebody uses is left alone: an access point, a client of one, one with addresses (and
so with the operator's session or default route), one that a program manages, one that is excluded.
Programs are asked about only where a radio is not in our network.  Changing radios stays out
(`radios`), but for saying in which country we are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from appliance.net.census import UDEV_WAIT_S
from appliance.net.config import NetConfig
from appliance.net.facts import Facts, Hardware
from appliance.net.iw import Iw
from appliance.net.netlink import Interface, Kernel
from appliance.net.radio_users import RadioUsers, Unfit
from appliance.net.undo import Change, Undo
from appliance.protocol.wifi import iw_text
from appliance.protocol.wifi.choice import usable_channels
from appliance.protocol.wifi.joining import Radio
from appliance.protocol.wifi.tables import NETWORK, Band, Mode

log = logging.getLogger(__name__)

RADIO: Final = "radio"
"""Kind of change: a radio's type, and whether it was on."""
COUNTRY: Final = "country"
"""Kind of change: the regulatory domain."""

TYPES: Final = {iw_text.MESH_POINT: Mode.MESH, iw_text.IBSS: Mode.IBSS}
"""iw's words for the types of interfaces that join stations."""
CLIENT: Final = "managed"
"""iw's word for an interface that is nothing else."""

P2P_DEVICE: Final = "P2P-device"
"""iw's word for what wpa_supplicant adds to radios that can do Wi-Fi Direct."""

RULES_S: Final = 0.5
RULES_TRIES: Final = 10
"""The rules of a country are in force some time after they were asked for."""

BEING_SET_UP: Final = "It is still being set up."

DONGLES: Final = "images/README.md names radios that can be plugged in."

Domains = Mapping[int | None, iw_text.Domain]


@dataclass(frozen=True)
class Seen:
    """A radio, with what is needed to use it."""

    radio: Radio
    """For deciding."""

    up: bool
    """It is switched on."""

    ht: bool
    """It knows 802.11n."""

    unfit: Unfit | None
    """Why it is left alone, if so."""


@dataclass(frozen=True)
class _Found:
    interface: Interface
    hardware: Hardware
    told: iw_text.Interface
    others: tuple[iw_text.Interface, ...]
    """Of the same radio."""


class RadioLook:
    """Looks; remembers only what does not change."""

    def __init__(self, config: NetConfig, undo: Undo, iw: Iw, users: RadioUsers) -> None:
        self._config = config
        self._undo = undo
        self._iw = iw
        self._users = users
        self._hardware: dict[tuple[int, str], Hardware] = {}
        self._refused: str | None = None
        """The country that the kernel keeps to in place of ours."""
        self._first_seen: dict[tuple[int, str], float] = {}
        self._phys: dict[tuple[int, str], iw_text.Phy | None] = {}

    async def look(self, kernel: Kernel, facts: Facts) -> Mapping[str, Seen]:
        """Return all radios by name; raises IwError, KernelError, UndoError."""
        interfaces = (await kernel.look()).interfaces
        for change in self._undo.changes:
            gone = change.facts.get("index") not in {one.index for one in interfaces}
            if change.kind == RADIO and gone:
                self._undo.forget(change)
        there = {(one.index, one.name): one for one in interfaces if one.ethernet}
        now = asyncio.get_running_loop().time()
        self._first_seen = {key: self._first_seen.get(key, now) for key in there}
        known, self._hardware = self._hardware, {}
        for key, one in there.items():
            self._hardware[key] = known[key] if key in known else facts.hardware(one)
        radios = {one.name: one for key, one in there.items() if self._hardware[key].wireless}
        if not radios:
            return {}
        told = iw_text.interfaces(await self._iw.interfaces())
        domains = await self._domains()
        seen: dict[str, Seen] = {}
        for said in told:
            if said.name in radios and not said.name.startswith("-"):
                interface = radios[said.name]
                others = tuple(one for one in told if one.phy == said.phy and one is not said)
                hardware = self._hardware[interface.index, interface.name]
                found = _Found(interface, hardware, said, others)
                seen[said.name] = await self._seen(found, domains, facts)
        return seen

    def change(self, index: int) -> Change | None:
        """Return what is written down of a radio that we have changed."""
        for one in self._undo.changes:
            if one.kind == RADIO and one.facts.get("index") == index:
                return one
        return None

    async def _seen(self, found: _Found, domains: Domains, facts: Facts) -> Seen:
        phy = await self._phy(found.told.phy, domains)
        modes = phy.modes if phy else frozenset()
        domain = domains.get(found.told.phy, domains.get(None))
        channels = dict(usable_channels(phy, domain)) if phy else {}
        if self._config.country is None:
            channels.pop(Band.HIGH, None)  # whatever a driver allows while nobody says where we are
        unfit = await self._why_unfit(found, facts)
        if unfit is None and not modes:
            driver = found.hardware.driver or "its driver"
            unfit = Unfit(
                f"With {driver} it can do neither 802.11s mesh nor ad hoc mode. {DONGLES}"
            )
        if unfit is None and not channels:
            unfit = Unfit(
                "It is allowed none of the channels that stations use.",
                "Check country in the helper's configuration.",
                "radio-rules",
            )
        mode, at = TYPES.get(found.told.kind), found.told.frequency_mhz
        # In IBSS iw tells the name, and not all drivers the channel; of a mesh the other way round.
        is_in = found.told.ssid == NETWORK if mode is Mode.IBSS else at > 0
        radio = Radio(
            name=found.interface.name,
            index=found.interface.index,
            modes=modes,
            channels=channels,
            unfit=unfit.why if unfit is not None else "",
            address=found.told.address,
            place=(mode, at) if mode is not None and is_in else None,
        )
        return Seen(radio, found.interface.up, phy is not None and phy.ht, unfit)

    async def _why_unfit(self, found: _Found, facts: Facts) -> Unfit | None:
        """Find why a radio is to be left alone, if it is."""
        name, index = found.interface.name, found.interface.index
        udev = facts.udev(index)
        if self._config.excludes(name) or udev.ignore:
            return Unfit("It is excluded by the operator.")
        since_s = asyncio.get_running_loop().time() - self._first_seen[index, name]
        if udev.pending and since_s < UDEV_WAIT_S:
            return Unfit(BEING_SET_UP)
        if blocked := self._users.blocked(name, index):
            return blocked
        change = self.change(index)
        if change is not None and found.told.kind in TYPES:
            return None
        unfit = await self._used(found)
        if unfit is not None and change is not None:
            self._undo.forget(change)  # it is somebody else's now
        return unfit

    async def _used(self, found: _Found) -> Unfit | None:
        """Find for what somebody uses a radio, if so."""
        name = found.interface.name
        if found.told.kind != CLIENT:
            return Unfit(f"It is used as something else: {found.told.kind}.")
        if any(one.kind == P2P_DEVICE for one in found.others):
            fix = "Stop wpa_supplicant, or exclude the radio from the mesh."
            return Unfit("wpa_supplicant uses its radio for Wi-Fi Direct.", fix, "radio-managed")
        if found.others:
            return Unfit(f"Its radio is used by {found.others[0].name} too.")
        if any(not one.is_link_local for one in found.interface.addresses):
            return Unfit("It has addresses, so it is used for something else.")
        if iw_text.link(await self._iw.link(name)):
            return Unfit("It is connected to an access point.")
        return self._users.manager(name, found.interface.index)

    async def _phy(self, number: int, domains: Domains) -> iw_text.Phy | None:
        """Return what a radio can do; asked again when the rules have changed."""
        rules = repr(domains)
        if (number, rules) not in self._phys:
            self._phys = {key: phy for key, phy in self._phys.items() if key[1] == rules}
            self._phys[number, rules] = iw_text.phy(await self._iw.phy(number))
        return self._phys[number, rules]

    async def _domains(self) -> Domains:
        """Return the regulatory domains, after saying in which country we are."""
        domains = iw_text.domains(await self._iw.domains())
        now, wanted = _country(domains), self._config.country
        if wanted is None or now in (wanted, self._refused):
            return domains
        self._undo.note(COUNTRY, before=now, after=wanted)
        await self._iw.set_country(wanted)
        for _ in range(RULES_TRIES):
            domains = iw_text.domains(await self._iw.domains())
            if _country(domains) == wanted:
                return domains
            await asyncio.sleep(RULES_S)
        self._refused = _country(domains)
        log.warning("the kernel has the radio rules of %s, not of %s", self._refused, wanted)
        return domains


def _country(domains: Domains) -> str:
    return domains[None].country if None in domains else "00"
