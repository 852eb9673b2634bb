"""What babeld is told of a link: its kind, hellos and cost.

What stays out: telling it (`babeld`), and which links there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.model.net import LinkKind
from appliance.protocol.hello_interval import UPDATES

KINDS: Final = {
    LinkKind.ETHERNET: "type wired",
    LinkKind.CABLE: "type wired",
    LinkKind.RADIO: "type wireless",
    LinkKind.TUNNEL: "type tunnel rtt-min 10 rtt-max 200",
}

MEASURED: Final = frozenset({LinkKind.RADIO, LinkKind.TUNNEL})
"""Whose quality is measured always."""

COSTS: Final = {
    LinkKind.CABLE: 192,
    LinkKind.ETHERNET: 256,
    LinkKind.RADIO: 320,
    LinkKind.TUNNEL: 384,
}
"""Of a link that loses nothing; what can be trusted most is preferred."""


@dataclass(frozen=True)
class BabelLink:
    """A link as babeld is to use it."""

    kind: LinkKind
    """What it is made of."""

    hello_ms: int
    """Interval of its hellos, one of those in `UPDATES`."""

    lossy: bool = False
    """It loses packets now and then."""

    def statement(self, name: str) -> str:
        """Return the line that makes babeld use the interface `name`.

        Where the quality of a link is measured, the way over it gets worse with each hello that is
        missed; else it is there until two in a row are missed, which shows a cut sooner.  Any
        Ethernet port may hide a radio bridge.  Where one does, not everybody hears everybody, so
        what was heard on the link is said on it again, which costs bytes elsewhere.
        """
        measured = self.kind in MEASURED or (self.lossy and self.kind is LinkKind.ETHERNET)
        radio = "link-quality true split-horizon false"
        quality = radio if measured else "link-quality false split-horizon true"
        hello_s, update_s = self.hello_ms / 1000, UPDATES[self.hello_ms] / 1000
        return (
            f"interface {name} {KINDS[self.kind]} {quality} rxcost {COSTS[self.kind]}"
            f" hello-interval {hello_s:g} update-interval {update_s:g}"
        )
