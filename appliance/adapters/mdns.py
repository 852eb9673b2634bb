"""Discovery of neighbours by mDNS on every usable interface.

Announces this station and browses for others on each link by itself (`mdns_link`), follows
interfaces that come, go and change address, and reports what was heard, merged over all links.
What is reported is a claim: only a session proves who is there.

The daemon pumps it::

    await mdns.start()
    async with LinkWatch() as watch:
        async for snapshot in watch:
            await mdns.interfaces_changed(snapshot)

What stays out: sessions, and hosts beyond the link, which mDNS does not reach.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Final

from zeroconf import Error as ZeroconfError

from appliance.adapters.links import (
    CONTAINER_HOST_NAMES,
    MAX_INTERFACES,
    LinkSnapshot,
    read_links,
    usable_links,
)
from appliance.adapters.mdns_link import Heard, MdnsLink, Offer
from appliance.model.identity import StationId
from appliance.protocol.dnssd import (
    Announcement,
    Gone,
    Sighting,
    SightingTable,
    instance_name,
)

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
"""When a link that could not be opened is tried again without an event."""

BURST: Final = 10
"""How many changes of one link are followed at once ..."""

BURST_S: Final = 10.0
"""... within this time; a link that flaps more is left as it is until then."""


class Mdns:
    """Announces one station on all links and reports the others."""

    def __init__(
        self,
        *,
        station: StationId,
        boot: bytes,
        port: int,
        version: int,
        on_seen: Callable[[Sighting], None],
        on_gone: Callable[[Gone], None],
        rng: random.Random,
        interfaces: tuple[str, ...] = (),
        exclude: tuple[str, ...] = CONTAINER_HOST_NAMES,
    ) -> None:
        """Announce `station`, whose sessions of protocol `version` listen on `port`.

        `boot` differs in every start.  `interfaces` names the only ones to use; otherwise it is
        all that usable_links() returns with `exclude`.  The callbacks run on the event loop, and
        on_seen is called again when something about an instance changes.
        """
        self.instance = instance_name(station, boot)
        """The name under which others see this start."""

        self._announcement = Announcement(station, version, port)
        self._on_seen = on_seen
        self._on_gone = on_gone
        self._rng = rng
        self._only = interfaces
        self._exclude = exclude
        self._table = SightingTable(own_instance=self.instance)
        self._links: dict[str, MdnsLink] = {}
        self._changes: dict[str, deque[float]] = {}
        self._refusals: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self._again: asyncio.TimerHandle | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._running = False

    @property
    def links(self) -> tuple[str, ...]:
        """The interfaces that are in use."""
        return tuple(self._links)

    async def start(self) -> None:
        """Begin on the interfaces that are there; that there is none is no error."""
        self._running = True
        await self.interfaces_changed()

    async def stop(self) -> None:
        """Say goodbye on every link and close; takes a quarter of a second."""
        self._running = False
        if self._again is not None:
            self._again.cancel()
        async with self._lock:
            await asyncio.gather(*(link.close(goodbye=True) for link in self._links.values()))
            self._links.clear()
        if self._retrying is not None:
            await asyncio.gather(self._retrying, return_exceptions=True)

    async def interfaces_changed(self, snapshot: LinkSnapshot | None = None) -> None:
        """Follow the interfaces as `snapshot` has them, or as they are now.

        Returns when the sockets are open; announcing goes on in the background.
        """
        async with self._lock:
            if not self._running:
                return
            try:
                snapshot = read_links() if snapshot is None else snapshot
            except OSError as error:
                log.warning("cannot read the network interfaces: %s", error)
                self._try_again(RETRY_S)
                return
            await self._reconcile(snapshot)

    async def _reconcile(self, snapshot: LinkSnapshot) -> None:
        usable = usable_links(snapshot, only=self._only, exclude=self._exclude)
        offers = {
            one.name: offer for one in usable[:MAX_INTERFACES] if (offer := Offer.of(one, snapshot))
        }
        for old in list(self._links.values()):
            if old.name not in offers or offers[old.name].index != old.index:
                await self._close(old.name)
        for name in self._refusals.keys() - offers.keys():
            del self._refusals[name]
        for name, offer in offers.items():
            link = self._links.get(name)
            if link is None and self._may_change(name):
                await self._open(name, offer)
            elif link is not None and link.offer != offer and self._may_change(name):
                link.update(offer)

    async def _open(self, name: str, offer: Offer) -> None:
        link = MdnsLink(
            name=name,
            offer=offer,
            instance=self.instance,
            announcement=self._announcement,
            on_heard=self._heard,
            on_lost=self._lost,
            rng=self._rng,
        )
        try:
            link.start()
        except (OSError, RuntimeError, ValueError, ZeroconfError) as error:
            if self._refusals.get(name) != str(error):  # said once, although tried again and again
                log.warning("%s: cannot use mDNS yet: %s", name, error)
            self._refusals[name] = str(error)
            await link.close(goodbye=False)
            self._try_again(RETRY_S)
            return
        self._refusals.pop(name, None)
        log.info("%s: announcing %s", name, self.instance)
        self._links[name] = link

    async def _close(self, name: str) -> None:
        await self._links.pop(name).close(goodbye=False)
        log.info("%s: link gone", name)
        self._report(self._table.link_gone(name))

    def _may_change(self, name: str) -> bool:
        """Whether this link has not changed too often; otherwise it is looked at later."""
        now = asyncio.get_running_loop().time()
        old = [key for key, times in self._changes.items() if now - times[-1] > BURST_S]
        for key in old:
            del self._changes[key]
        changes = self._changes.setdefault(name, deque(maxlen=BURST))
        if len(changes) == BURST and now - changes[0] < BURST_S:
            self._try_again(changes[0] + BURST_S - now)
            return False
        changes.append(now)
        return True

    def _try_again(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + delay_s
        if self._again is not None and not self._again.cancelled():
            if loop.time() < self._again.when() <= when:
                return
            self._again.cancel()
        self._again = loop.call_at(when, self._retry)

    def _retry(self) -> None:
        self._retrying = asyncio.create_task(self.interfaces_changed(), name="mdns-retry")

    def _heard(self, link: str, heard: Heard) -> None:
        self._report(
            self._table.seen(
                instance=heard.instance,
                link=link,
                announcement=heard.announcement,
                hosts=heard.hosts,
            )
        )

    def _lost(self, link: str, instance: str) -> None:
        self._report(self._table.gone(instance=instance, link=link))

    def _report(self, news: list[Sighting | Gone]) -> None:
        for one in news:
            if isinstance(one, Sighting):
                self._on_seen(one)
            else:
                self._on_gone(one)
