"""What stations say of themselves by DNS-SD (RFC 6763), and what we make of what others say.

The service type, the instance name, the TXT record, and the table of what was heard, merged over
all links.  Nothing that is heard here is trusted: a station id in a TXT record is a claim until a
session has proved it, so everything is bounded and a copied id is passed on rather than
judged.

What stays out: packets and sockets, which are `adapters.mdns`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from appliance.model.identity import IdentityError, StationId

SERVICE_TYPE: Final = "_fencewire._tcp.local."

MAX_TXT_BYTES: Final = 1300
"""RFC 6763 section 6.2: fits into one Ethernet packet."""

MAX_TXT_STRINGS: Final = 64
MAX_LABEL_BYTES: Final = 63
"""RFC 1035 section 2.3.4: one label of a name, which an instance is."""

MAX_INSTANCES: Final = 512
"""How many instances are remembered; the one heard of longest ago is dropped."""

MAX_CANDIDATES: Final = 8
"""How many addresses of one instance are kept."""

_ID_CHARS: Final = 12
_BOOT_CHARS: Final = 4
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")


class DnssdError(ValueError):
    """A TXT record is not one that a station makes."""


@dataclass(frozen=True)
class Announcement:
    """The content of a TXT record."""

    station: StationId
    """The id that is claimed; no proof comes with it."""

    version: int
    """Newest version of the session protocol that is spoken, 1 to 65535."""

    port: int
    """TCP port of the sessions."""

    def to_properties(self) -> dict[str, str]:
        """Return the pairs of the TXT record."""
        return {"id": self.station.text, "v": str(self.version), "port": str(self.port)}

    @classmethod
    def parse(cls, txt: bytes) -> Announcement:
        """Read the data of a TXT record (RFC 6763 section 6).

        Unknown keys are ignored, and of a repeated key the first counts.  Raises DnssdError when
        the record is malformed or too long, or a key is missing or has a wrong value.
        """
        pairs = _pairs(txt)
        try:
            text = pairs[b"id"].decode("ascii")
            station = StationId.parse(text)
        except KeyError:
            raise DnssdError("the TXT record has no id") from None
        except (UnicodeDecodeError, IdentityError) as error:
            raise DnssdError("the TXT record's id is no station id") from error
        if text != station.text:
            raise DnssdError("the TXT record's id is not in its canonical form")
        return cls(station, version=_number(pairs, b"v"), port=_number(pairs, b"port"))


def _pairs(txt: bytes) -> dict[bytes, bytes]:
    if len(txt) > MAX_TXT_BYTES:
        raise DnssdError(f"the TXT record has {len(txt)} bytes, more than {MAX_TXT_BYTES}")
    pairs: dict[bytes, bytes] = {}
    position = 0
    for _ in range(MAX_TXT_STRINGS):
        if position == len(txt):
            return pairs
        end = position + 1 + txt[position]
        if end > len(txt):
            raise DnssdError("a string of the TXT record is cut off")
        key, equals, value = txt[position + 1 : end].partition(b"=")
        if key and equals:  # section 6.4: a string without a key is ignored, keys have no case
            pairs.setdefault(key.lower(), value)
        position = end
    if position == len(txt):
        return pairs
    raise DnssdError(f"the TXT record has more than {MAX_TXT_STRINGS} strings")


def _number(pairs: dict[bytes, bytes], key: bytes) -> int:
    text = pairs.get(key, b"").decode("ascii", "replace")
    if not _NUMBER.fullmatch(text) or int(text) > 0xFFFF:
        raise DnssdError(f"the TXT record's {key.decode()} is no number from 1 to 65535")
    return int(text)


def instance_name(station: StationId, boot: bytes) -> str:
    """Return the name of this start of the station, such as ``7k2f9q4mzx0d-a31c``.

    The boot id is in it so that two live machines with one key (a copied state directory) are
    two instances, and an earlier start that never said goodbye is not taken for this one.
    """
    if len(boot) * 2 < _BOOT_CHARS:
        raise ValueError(f"a boot id has at least {_BOOT_CHARS // 2} bytes")
    return f"{station.text[:_ID_CHARS]}-{boot.hex()[:_BOOT_CHARS]}"


@dataclass(frozen=True)
class Sighting:
    """An instance that was heard on at least one link."""

    instance: str
    """Its name, chosen by whoever announces it: only good for telling instances apart."""

    station: StationId
    """The station that it claims to be; unproved."""

    version: int
    """The protocol version that it claims."""

    candidates: tuple[tuple[str, int], ...]
    """Addresses to try, best first: IPv6 link-local with a zone (``fe80::1%eth0``), then IPv4."""

    links: tuple[str, ...]
    """Names of the interfaces on which it was heard."""


@dataclass(frozen=True)
class Gone:
    """An instance said goodbye, expired, went with its last link or was pushed out."""

    instance: str
    """Its name, as in the Sighting."""

    station: StationId
    """The station that it claimed to be; unproved."""


@dataclass(frozen=True)
class _Heard:
    announcement: Announcement
    hosts: tuple[str, ...]


class SightingTable:
    """What was heard on all links, merged by instance."""

    def __init__(self, *, own_instance: str) -> None:
        self._own_instance = own_instance
        self._heard: dict[str, dict[str, _Heard]] = {}
        self._told: dict[str, Sighting] = {}

    def __len__(self) -> int:
        return len(self._heard)

    def seen(
        self, *, instance: str, link: str, announcement: Announcement, hosts: Iterable[str]
    ) -> list[Sighting | Gone]:
        """Take in what `instance` says on `link`; return what is new to our caller.

        Our own instance is ignored; our own id from another one is not, since then somebody has a
        copy of our key.  An instance without an address is ignored.
        """
        hosts = tuple(dict.fromkeys(hosts))
        if instance == self._own_instance or len(instance.encode()) > MAX_LABEL_BYTES or not hosts:
            return []
        links = self._heard.pop(instance, {})  # taken out and put in again: the order is by age
        links.pop(link, None)
        links[link] = _Heard(announcement, hosts)
        self._heard[instance] = links
        news = self._tell(instance)
        for ghost in self._earlier_starts(self._told[instance]):
            news += self._forget(ghost)
        while len(self._heard) > MAX_INSTANCES:
            news += self._forget(next(iter(self._heard)))
        return news

    def gone(self, *, instance: str, link: str) -> list[Sighting | Gone]:
        """`instance` said goodbye or expired on `link`."""
        links = self._heard.get(instance, {})
        if links.pop(link, None) is None:
            return []
        return self._tell(instance) if links else self._forget(instance)

    def link_gone(self, link: str) -> list[Sighting | Gone]:
        """`link` is no more: forget what was heard on it."""
        there = [instance for instance, links in self._heard.items() if link in links]
        return [news for instance in there for news in self.gone(instance=instance, link=link)]

    def _tell(self, instance: str) -> list[Sighting | Gone]:
        links = self._heard[instance]
        newest = next(reversed(links.values())).announcement
        candidates = dict.fromkeys(
            (host, heard.announcement.port) for heard in links.values() for host in heard.hosts
        )
        ordered = sorted(candidates, key=lambda one: ":" not in one[0])[:MAX_CANDIDATES]
        sighting = Sighting(
            instance, newest.station, newest.version, tuple(ordered), tuple(sorted(links))
        )
        if self._told.get(instance) == sighting:
            return []
        self._told[instance] = sighting
        return [sighting]

    def _forget(self, instance: str) -> list[Sighting | Gone]:
        del self._heard[instance]
        return [Gone(instance, self._told.pop(instance).station)]

    def _earlier_starts(self, newest: Sighting) -> list[str]:
        """Return instances of the same claimed station at one and the same address and port."""
        places = set(newest.candidates)
        return [
            other.instance
            for other in self._told.values()
            if other.instance != newest.instance
            and other.station == newest.station
            and not places.isdisjoint(other.candidates)
        ]
