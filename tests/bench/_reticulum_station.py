"""One station of Reticulum, with LXMF on it, that does what it is told on its standard input.

It runs in an environment of its own, never in ours, and imports nothing of ours: this file is all
that the two have in common. Orders and answers are JSON, a line each; every answer has the moment
at which it happened by the monotonic clock, which all processes of a machine share.

    python _reticulum_station.py DIRECTORY
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

RNS: Any = importlib.import_module("RNS")
LXMF: Any = importlib.import_module("LXMF")

CONFIG = """\
[reticulum]
enable_transport = Yes
share_instance = No
[logging]
loglevel = 1
[interfaces]
[[every network]]
type = AutoInterface
enabled = Yes
"""

ANNOUNCE_EVERY_S = 6.0
"""Until told to be quiet, and at once when a neighbour is new. Far more often than its programs do,
so that it is found soon; oftener yet, and announcements no longer spread over several hops."""

LOOK_EVERY_S = 0.2
"""For new neighbours."""

_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the libraries print goes to the log
_voice = threading.Lock()


def say(event: str, **more: object) -> None:
    """Write down that something has happened, now."""
    at = time.perf_counter()
    with _voice:
        print(json.dumps({"event": event, "at": at, **more}), file=_answers, flush=True)


class Hearing:
    """What Reticulum calls when it learns of a station that takes messages."""

    aspect_filter = "lxmf.delivery"

    def received_announce(
        self, destination_hash: bytes, announced_identity: object, app_data: object
    ) -> None:
        """Pass it on; the identity's signature has been checked."""
        say("heard", of=destination_hash.hex())


class Station:
    """The station."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config").write_text(CONFIG)
        RNS.Reticulum(str(directory), loglevel=1)
        key = directory / "identity"
        identity = RNS.Identity.from_file(str(key)) if key.exists() else RNS.Identity()
        identity.to_file(str(key))
        self._router = LXMF.LXMRouter(identity=identity, storagepath=str(directory / "lxmf"))
        self._inbox = self._router.register_delivery_identity(identity, display_name="bench")
        self._router.register_delivery_callback(
            lambda message: say("received", text=message.content_as_string())
        )
        self._bulk = RNS.Destination(
            identity, RNS.Destination.IN, RNS.Destination.SINGLE, "bench", "bulk"
        )
        self._bulk.set_link_established_callback(_accept)
        RNS.Transport.register_announce_handler(Hearing())
        self._quiet = threading.Event()
        threading.Thread(target=self._announce, daemon=True).start()
        say("ready", hash=self._inbox.hash.hex(), transport=RNS.Transport.identity.hash.hex())

    def _announce(self) -> None:
        known, due = 0, 0.0
        while not self._quiet.wait(LOOK_EVERY_S):
            now, neighbours = time.perf_counter(), len(RNS.Transport.interfaces)
            if neighbours > known or now >= due:
                self._router.announce(self._inbox.hash)
                self._bulk.announce()
                due = now + ANNOUNCE_EVERY_S
            known = neighbours

    def quiet(self) -> None:
        """Announce no more."""
        self._quiet.set()

    def seek(self, to: str) -> None:
        """Ask the network for a way to another one, unless there is one."""
        if not RNS.Transport.has_path(bytes.fromhex(to)):
            RNS.Transport.request_path(bytes.fromhex(to))

    def send(self, to: str, text: str) -> None:
        """Write a message over a link, with a proof of delivery."""
        identity = RNS.Identity.recall(bytes.fromhex(to))
        theirs = RNS.Destination(
            identity, RNS.Destination.OUT, RNS.Destination.SINGLE, "lxmf", "delivery"
        )
        message = LXMF.LXMessage(
            theirs, self._inbox, text, desired_method=LXMF.LXMessage.DIRECT, stamp_cost=None
        )
        message.register_delivery_callback(lambda _: say("delivered", text=text))
        message.register_failed_callback(lambda _: say("failed", text=text))
        say("sent", text=text)
        self._router.handle_outbound(message)

    def way(self, to: str) -> None:
        """Say over which station messages to another one go."""
        hop = RNS.Transport.next_hop(bytes.fromhex(to))
        say("way", over=hop.hex() if hop else "")

    def bulk(self, to: str, size: int) -> None:
        """Open a link and send that many bytes; the time counts from when the link stands."""
        identity = RNS.Identity.recall(bytes.fromhex(to))
        theirs = RNS.Destination(
            identity, RNS.Destination.OUT, RNS.Destination.SINGLE, "bench", "bulk"
        )
        data = os.urandom(size)

        def opened(link: Any) -> None:
            say("bulk-begun")
            RNS.Resource(data, link, callback=concluded, auto_compress=False)

        def concluded(resource: Any) -> None:
            say("bulk-done", good=resource.status == RNS.Resource.COMPLETE)

        RNS.Link(theirs, established_callback=opened)


def _accept(link: Any) -> None:
    link.set_resource_strategy(RNS.Link.ACCEPT_ALL)


def main() -> None:
    station = Station(Path(sys.argv[1]))
    for line in sys.stdin:
        order = json.loads(line)
        getattr(station, order.pop("do"))(**order)


if __name__ == "__main__":
    main()
