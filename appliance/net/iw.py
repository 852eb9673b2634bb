"""The program iw: asks about radios and changes them.  One call, one answer, never endless.

iw is used for all of it and not only for what pyroute2 can't do (joining a mesh), since its text of
many radios is on record and a second reader of nl80211 would have to be kept beside it.  Reading
the text stays out (`protocol.wifi.iw_text`), and so does deciding (`radios`).
"""

from __future__ import annotations

from typing import Final

from appliance.net.program import run
from appliance.protocol.wifi.choice import Choice
from appliance.protocol.wifi.iw_text import MAX_CHARS
from appliance.protocol.wifi.tables import (
    BASIC_RATES_MBPS,
    CELL,
    MCAST_RATE_MBPS,
    NETWORK,
    Mode,
)

TIMEOUT_S: Final = 10.0
"""A look around takes a tenth of a second; a driver that hangs must not hold up the others."""

_TYPES: Final = {Mode.MESH: "mesh", Mode.IBSS: "ibss"}


class IwError(Exception):
    """iw did not do it; the message is what it said, without a full stop."""


class NoIwError(IwError):
    """iw is not installed."""


class Iw:
    """Calls iw."""

    def __init__(self, program: str = "iw") -> None:
        self._program = program

    async def interfaces(self) -> str:
        """Return what is said of all interfaces; all methods raise IwError."""
        return await self._call("dev")

    async def phy(self, number: int) -> str:
        """Return what a radio can do."""
        return await self._call(f"phy#{number}", "info")

    async def domains(self) -> str:
        """Return the regulatory domains."""
        return await self._call("reg", "get")

    async def set_country(self, country: str) -> None:
        """Say in which country we are."""
        await self._call("reg", "set", country)

    async def link(self, name: str) -> str:
        """Return in which network an interface is."""
        return await self._call("dev", name, "link")

    async def power_save(self, name: str) -> bool:
        """Tell whether a radio sleeps between beacons."""
        return "on" in (await self._call("dev", name, "get", "power_save")).split()

    async def set_power_save(self, name: str, *, on: bool) -> None:
        """Let a radio sleep between beacons, or not."""
        await self._call("dev", name, "set", "power_save", "on" if on else "off")

    async def set_type(self, name: str, mode: Mode | None) -> None:
        """Change the type of an interface that is down; None is a client's."""
        await self._call("dev", name, "set", "type", _TYPES[mode] if mode else "managed")

    async def scan(self, name: str, frequency_mhz: int) -> str:
        """Look around on one channel; mesh points answer only to who asks for their mesh."""
        where = ("freq", str(frequency_mhz))
        return await self._call("dev", name, "scan", *where, "flush", "meshid", NETWORK)

    async def join(self, name: str, choice: Choice, *, ht: bool, mcast: bool) -> None:
        """Join the network of stations, with 802.11n and a rate for multicast, or without."""
        mhz, width = str(choice.channel.frequency_mhz), "HT20" if ht else "NOHT"
        interval = ("beacon-interval", str(choice.beacon_tu))
        basic = ("basic-rates", BASIC_RATES_MBPS)
        rate = ("mcast-rate", str(MCAST_RATE_MBPS[choice.band])) if mcast else ()
        words: tuple[str, ...]
        if choice.mode is Mode.MESH:
            words = ("mesh", "join", NETWORK, "freq", mhz, width, *basic, *rate, *interval)
            words += ("mesh_fwding=0",)
        else:
            words = ("ibss", "join", NETWORK, mhz, width, "fixed-freq", CELL, *interval)
            words += (*basic, *rate)
        await self._call("dev", name, *words)

    async def _call(self, *words: str) -> str:
        try:
            code, said, complaint = await run((self._program, *words), within_s=TIMEOUT_S)
        except FileNotFoundError as error:
            raise NoIwError("iw is not installed") from error
        except TimeoutError:
            raise IwError(f"no answer within {TIMEOUT_S:g} s") from None
        except OSError as error:
            raise IwError(f"iw does not start: {error.strerror}") from error
        if code:
            raise IwError(_reason((complaint + said)[:MAX_CHARS].decode(errors="replace")))
        return said[:MAX_CHARS].decode(errors="replace")


def _reason(text: str) -> str:
    """Return iw's one line about what went wrong, without its number."""
    for line in text.splitlines():
        if line.startswith("command failed: "):
            return line.removeprefix("command failed: ").partition(" (-")[0][:200]
    return next(iter(text.splitlines()), "no reason given")[:200]
