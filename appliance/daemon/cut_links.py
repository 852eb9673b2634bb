"""Ends sessions whose way is gone: their address here, or the carrier under it, has vanished.

A cable that is pulled and put back within two seconds costs no session; longer, and whoever was
there is shown as away at once and not only when the keep-alive has waited in vain.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable
from typing import Final

from appliance.adapters.links import LinkSnapshot
from appliance.adapters.session import Session

LINK_DOWN_S: Final = 2.0
"""How long a way may be gone."""

LINK_DOWN: Final = "link-down"
"""Reason for ending its sessions."""


class CutLinks:
    """Watches over the ways of all sessions."""

    def __init__(self) -> None:
        self._stood: set[Session] = set()
        """Their way was seen to be there.  One that never was is left to the keep-alive: not every
        address that a host answers at is one of an interface."""

        self._cut: dict[Session, asyncio.TimerHandle] = {}
        """When they end."""

    def look(self, snapshot: LinkSnapshot, sessions: Iterable[Session]) -> None:
        """Compare with the network interfaces as they are now."""
        loop = asyncio.get_running_loop()
        for session in sessions:
            if carries(snapshot, session.path.local_host):
                self._stood.add(session)
                self._keep(session)
            elif session in self._stood and session not in self._cut:
                self._cut[session] = loop.call_later(LINK_DOWN_S, session.abort, LINK_DOWN)

    def forget(self, session: Session) -> None:
        """A session is over."""
        self._stood.discard(session)
        self._keep(session)

    def _keep(self, session: Session) -> None:
        timer = self._cut.pop(session, None)
        if timer is not None:
            timer.cancel()


def carries(snapshot: LinkSnapshot, local_host: str) -> bool:
    """Tell whether an interface that is up and has a carrier has this address of ours."""
    host, _, zone = local_host.partition("%")
    if ipaddress.ip_address(host).is_loopback:
        return True
    return any(
        one.up
        and one.carrier
        and (not zone or zone == one.name)
        and any(address.host == host for address in one.addresses)
        for one in snapshot.interfaces
    )
