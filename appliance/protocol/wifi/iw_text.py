"""What the program iw prints about radios, read as text from somebody who may mean harm.

Names of networks come from the air, and iw's format differs between versions and is promised by
nobody.  So lines are read by their beginning, whatever is not understood is skipped, nothing
raises, and everything is bounded.  Running iw stays out (`net.iw`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.protocol.wifi.tables import Mode

MAX_CHARS: Final = 1_000_000
"""Of one answer; the rest is not read."""
MAX_ITEMS: Final = 256
"""Radios, interfaces, cells, channels, rules in one answer; further ones are not read."""

MESH_POINT: Final = "mesh point"
"""As iw calls an interface of that type."""
IBSS: Final = "IBSS"
"""Likewise."""

_MODES: Final = {MESH_POINT: Mode.MESH, IBSS: Mode.IBSS}
_WIPHY: Final = re.compile(r"Wiphy ([\w.-]{1,64})")
_PHY_NUMBER: Final = re.compile(r"phy#(\d{1,6})")
_FREQUENCY: Final = re.compile(r"\* (\d{4,5})(?:\.\d+)? MHz \[\d{1,3}\](.{0,100})")
_INTERFACE: Final = re.compile(r"Interface (\S{1,15})")
_CHANNEL: Final = re.compile(r"channel \d{1,3} \((\d{4,5})(?:\.\d+)? MHz\)")
_BSS: Final = re.compile(r"BSS ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) ?\(on [^)]{1,15}\)(.{0,40})")
_SEEN: Final = re.compile(r"last seen: (\d{1,9}) ms ago")
_INTERVAL: Final = re.compile(r"beacon interval: (\d{1,5}) TUs")
_LINK: Final = re.compile(r"(?:Joined IBSS|Connected to) ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) ")
_COUNTRY: Final = re.compile(r"country ([A-Z0-9]{2}):")
_RULE: Final = re.compile(r"\((\d{1,6}) - (\d{1,6}) @ \d{1,5}\)(.{0,200})")


@dataclass(frozen=True)
class Frequency:
    """A channel, as the kernel allows it to a radio now."""

    frequency_mhz: int
    """Of its middle."""

    usable: bool
    """We may begin to send there, without waiting for somebody else's beacon or for radar."""


@dataclass(frozen=True)
class Phy:
    """A radio: ``iw phy NAME info``."""

    name: str
    """The kernel's name for it, such as ``phy0``."""

    modes: frozenset[Mode]
    """Of those that join stations, what it can do."""

    ht: bool
    """It knows 802.11n."""

    frequencies: tuple[Frequency, ...]
    """All its channels."""


@dataclass(frozen=True)
class Interface:
    """An interface of a radio: ``iw dev``."""

    phy: int
    """The number of its radio."""

    name: str
    """Its name; empty for what is no network interface, such as wpa_supplicant's P2P device."""

    kind: str
    """iw's word for its type, such as ``managed``."""

    address: str
    """Its hardware address."""

    ssid: str
    """Of the network that it is in; empty where there is none or iw does not say."""

    frequency_mhz: int
    """Where it is; 0 where it is in no network."""


@dataclass(frozen=True)
class Cell:
    """Somebody's beacon, or an answer to our probe: ``iw dev NAME scan``."""

    bssid: str
    """Of an IBSS its cell's, of a mesh point its own address."""

    mode: Mode | None
    """None for an access point."""

    name: str
    """SSID or mesh ID, as iw writes it."""

    frequency_mhz: int
    """Where it was heard."""

    beacon_tu: int
    """Between its beacons."""

    joined: bool
    """We are in it ourselves."""

    seen_ms: int
    """How long ago it was heard."""


@dataclass(frozen=True)
class Domain:
    """What a regulatory domain says: a part of ``iw reg get``."""

    country: str
    """ISO 3166 code; 00 is the whole world, 99 a driver's own rules."""

    indoor: tuple[tuple[int, int], ...]
    """Frequencies in MHz, from and to, that are for indoors only."""


def phy(text: str) -> Phy | None:
    """Read ``iw phy NAME info``, or the first radio of ``iw list``; None if there is none in it."""
    name = ""
    modes: set[Mode] = set()
    frequencies: list[Frequency] = []
    section = ""
    ht = False
    for line in _lines(text):
        if found := _WIPHY.match(line):
            if name:
                break
            name = found[1]
        elif line.startswith("*"):
            if section == "Supported interface modes:":
                modes |= {mode for word, mode in _MODES.items() if line[1:].strip() == word}
            if (found := _FREQUENCY.match(line)) and len(frequencies) < MAX_ITEMS:
                frequencies.append(Frequency(int(found[1]), _is_usable(found[2])))
        else:
            ht = ht or line in ("HT20", "HT20/HT40")
            section = line
    return Phy(name, frozenset(modes), ht, tuple(frequencies)) if name else None


def interfaces(text: str) -> tuple[Interface, ...]:
    """Read ``iw dev``."""
    found: list[Interface] = []
    number = -1
    current: dict[str, str] | None = None

    def finish() -> None:
        if current is not None and len(found) < MAX_ITEMS:
            frequency = int(current.get("frequency", "0"))
            kind, address, ssid = (current.get(key, "") for key in ("type", "addr", "ssid"))
            found.append(Interface(number, current["name"], kind, address, ssid, frequency))

    for line in _lines(text):
        if match := _PHY_NUMBER.fullmatch(line):
            finish()
            number, current = int(match[1]), None
        elif match := _INTERFACE.fullmatch(line):
            finish()
            current = {"name": match[1]}
        elif line == "Unnamed/non-netdev interface":
            finish()
            current = {"name": ""}
        elif current is not None:
            key, _, value = line.partition(" ")
            if key in ("type", "addr", "ssid"):
                current[key] = value
            elif match := _CHANNEL.match(line):
                current["frequency"] = match[1]
    finish()
    return tuple(found)


def link(text: str) -> str:
    """Read ``iw dev NAME link``; return the BSSID of the network that it is in, or nothing."""
    for line in _lines(text):
        if found := _LINK.match(line):
            return found[1]
    return ""


def cells(text: str) -> tuple[Cell, ...]:
    """Read ``iw dev NAME scan``."""
    found: list[Cell] = []
    for head, block in _blocks(text):
        told: dict[str, str] = {}
        for line in block:
            key, colon, value = line.partition(":")
            # The first of a kind counts: what comes later may be anything that was in a frame.
            if colon and key in ("freq", "capability", "SSID", "MESH ID"):
                told.setdefault(key, value.strip())
            elif match := _SEEN.fullmatch(line):
                told.setdefault("seen", match[1])
            elif match := _INTERVAL.fullmatch(line):
                told.setdefault("interval", match[1])
        mode = None
        if "MESH ID" in told:
            mode = Mode.MESH
        elif "IBSS" in told.get("capability", "").split():
            mode = Mode.IBSS
        frequency = told.get("freq", "").partition(".")[0]
        found.append(
            Cell(
                bssid=head[1],
                mode=mode,
                name=told.get("MESH ID" if mode is Mode.MESH else "SSID", ""),
                frequency_mhz=int(frequency) if _is_number(frequency) else 0,
                beacon_tu=int(told.get("interval", "0")),
                joined="joined" in head[2] or "associated" in head[2],
                seen_ms=int(told.get("seen", "0")),
            )
        )
    return tuple(found)


def domains(text: str) -> Mapping[int | None, Domain]:
    """Read ``iw reg get``: the common domain, as None, and those that radios have of their own."""
    found: dict[int | None, Domain] = {}
    number: int | None = None
    for line in _lines(text):
        if line == "global":
            number = None
        elif match := _PHY_NUMBER.match(line):
            number = int(match[1])
        elif (match := _COUNTRY.match(line)) and len(found) < MAX_ITEMS:
            found[number] = Domain(match[1], ())
        elif (match := _RULE.match(line)) and number in found and "NO-OUTDOOR" in match[3]:
            domain = found[number]
            if len(domain.indoor) < MAX_ITEMS:
                span = (int(match[1]), int(match[2]))
                found[number] = Domain(domain.country, (*domain.indoor, span))
    return found


def _lines(text: str) -> Iterator[str]:
    return (line.strip() for line in text[:MAX_CHARS].split("\n"))


def _blocks(text: str) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Each cell's first line, and the lines that belong to it."""
    head: re.Match[str] | None = None
    block: list[str] = []
    count = 0
    for line in text[:MAX_CHARS].split("\n"):
        # What a cell contains is indented, so nobody can begin another cell within it.
        if match := _BSS.fullmatch(line):
            if head is not None:
                yield head, block
            head, block = match, []
            count += 1
            if count > MAX_ITEMS:
                return
        else:
            block.append(line.strip())
    if head is not None:
        yield head, block


def _is_usable(rest: str) -> bool:
    """Whether the kernel makes no reservation, in words of old and new versions of iw."""
    return not any(
        word in rest for word in ("disabled", "no IR", "no IBSS", "passive scan", "radar detection")
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 6
