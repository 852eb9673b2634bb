"""Room for the neighbours of all stations in the kernel, which has one table for all namespaces.

Where it is full, the kernel refuses to send to whoever is not in it, and stations can't be reached
for a reason that no real machine has.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from appliance.village.topology import LAN, Topology

TABLE = Path("/proc/sys/net/ipv6/neigh/default")
LIMITS = ("gc_thresh2", "gc_thresh3")
"""From where on the kernel looks for what it may forget, and how much it holds at most."""

USUAL = 512
"""Of the first, where nobody has changed it: who needs less needs nothing."""

SPARE = 2
"""An entry for each neighbour, and as many again for groups and what is about to be forgotten."""


def entries(topology: Topology) -> int:
    """How many neighbours all stations have together, each on each of its links.

    >>> from appliance.village.topology import parse_topology
    >>> entries(parse_topology("line:3")), entries(parse_topology("lan:50"))
    (4, 2450)
    """
    on_lan = sum(LAN in cable.ends for cable in topology.cables)
    return on_lan * (on_lan - 1) + 2 * (len(topology.cables) - on_lan)


@contextmanager
def room_for(topology: Topology) -> Iterator[str]:
    """Raise the kernel's limits as long as it lasts, if need be; yields what was done, in words.

    Where that may not be done, a warning goes to the error output.
    """
    wanted = SPARE * entries(topology)
    said = ""
    with ExitStack() as undoing:
        try:
            if wanted > USUAL:
                said = _raise(wanted, undoing)
        except OSError as error:
            said = f"the kernel may have too little room for {wanted} IPv6 neighbours: {error}"
            print(f"{topology.text}: {said}", file=sys.stderr)
        yield said


def _raise(wanted: int, undoing: ExitStack) -> str:
    raised = []
    for name in LIMITS:
        before = int((TABLE / name).read_text())
        if before < wanted:
            (TABLE / name).write_text(str(wanted))
            undoing.callback((TABLE / name).write_text, str(before))
            raised.append(f"{name} of IPv6 neighbours raised from {before} to {wanted}")
    return ", ".join(raised)
