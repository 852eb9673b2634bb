"""The program ip, for routes of IPv6: one call, one answer, never endless."""

from __future__ import annotations

import logging
import re
from typing import Final

from appliance.net.numbers import ROUTE_TABLE
from appliance.net.program import run

log = logging.getLogger(__name__)

WITHIN_S: Final = 5.0
LOG_CHARS: Final = 200


async def ip_route(*words: str) -> str | None:
    """Return what it says; None where it or the kernel does not do it, as for a lost link."""
    try:
        code, said, complaint = await run(("ip", "-6", "route", *words), within_s=WITHIN_S)
    except TimeoutError:
        log.warning("ip does not end")
        return None
    except FileNotFoundError:
        log.warning("ip is not installed")
        return None
    except OSError as error:
        log.warning("ip does not start: %s", error.strerror)
        return None
    if code:
        text = complaint.decode("utf-8", "replace").strip()
        log.info("ip -6 route %s: %s", " ".join(words), text[:LOG_CHARS])
        return None
    return said.decode("ascii", "replace")


async def flush_routes(*, but: int | None = None) -> None:
    """Remove what a babeld that is no more has left in the kernel.

    `but`: except what has this priority, or says that a station can't be reached.
    """
    if but is None:
        await ip_route("flush", "table", str(ROUTE_TABLE))
        return
    unicast = ("table", str(ROUTE_TABLE), "type", "unicast")
    listed = await ip_route("show", *unicast) or ""
    for priority in {int(found) for found in re.findall(r" metric ([0-9]+)", listed)} - {but}:
        await ip_route("flush", *unicast, "metric", str(priority))


async def flush_unreachable() -> None:
    """Remove what a babeld that is no more could not reach; nothing is lost by that."""
    await ip_route("flush", "table", str(ROUTE_TABLE), "type", "unreachable")
