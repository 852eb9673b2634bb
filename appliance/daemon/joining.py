"""Joining a station by its network address, where it can't be found by itself."""

from __future__ import annotations

import asyncio
from typing import Final

from appliance.adapters.sessions import DEFAULT_PORT
from appliance.api.backend import ApiError
from appliance.daemon.runtime import Runtime
from appliance.daemon.settings import Settings
from appliance.model.identity import StationId

AGAIN: Final = "It will be tried again by itself."
_FIX: Final = {
    "version": "Update the older of the two boards.",
    "full": "Try again when others have left.",
    "refused": "Look at the other station's log.",
}


async def add_peer(
    runtime: Runtime, settings: Settings, host: str, port: int | None, timeout_s: float
) -> StationId:
    """Dial an address, keep it for later, and return who has proved its key there.

    Raises ApiError.
    """
    port = DEFAULT_PORT if port is None else port
    met = _met_at(runtime, host, port)
    if met is not None:
        return met
    try:
        async with asyncio.timeout(timeout_s):
            result = await runtime.finding.dial_address(host, port)
    except TimeoutError:
        text = f"{host} did not answer on port {port}."
        raise ApiError(504, "timeout", text, f"Is Fencewire running there? {AGAIN}") from None
    finally:
        await settings.keep_addresses(tuple(runtime.station.peers.given()))
    if result.peer == runtime.station.id:
        raise ApiError(409, "self", "That is this station.", "Give the address of another.")
    if result.peer is not None:
        return result.peer
    code = result.error.code if result.error is not None else "unreachable"
    text = f"No session with {host}: {result.error or 'an attempt is under way'}."
    raise ApiError(502, code, text, _FIX.get(code, AGAIN))


def _met_at(runtime: Runtime, host: str, port: int) -> StationId | None:
    """Return who has a session with us from this very address."""
    for info in runtime.station.peers.sessions():
        session = runtime.session_with(info.peer)
        if session is not None and info.remote_host == host and session.proved.peer_port == port:
            return info.peer
    return None
