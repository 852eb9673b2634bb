"""Links and paths in words, one row each; used by the network screen and by the commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.api.schema import Link, MeshPath, PathHop
from appliance.tui.mesh_picture import kind_word
from appliance.tui.text import fit, one_line, pad, plain_name

_NAME_CELLS: Final = 24
_DOUBTS: Final = {
    "one": "as one end says",
    "denied": "one end says that there is none",
    "nobody": "nobody told",
}


def millis(rtt_ms: float | None) -> str:
    """Return a round trip; empty where it is not known."""
    if rtt_ms is None:
        return ""
    return f"{rtt_ms:.0f} ms" if rtt_ms >= 1 else "under 1 ms"


def loss(out_pct: int | None, in_pct: int | None) -> str:
    """Return what is lost there and back; empty where nobody knows."""
    if out_pct is None and in_pct is None:
        return ""
    if out_pct == in_pct:
        return f"loss {out_pct} %"
    there = "?" if out_pct is None else out_pct
    back = "?" if in_pct is None else in_pct
    return f"loss {there} % there, {back} % back"


def path_title(path: MeshPath, name: str) -> str:
    """Return how far it is, in a line."""
    count = len(path.hops)
    far = "1 hop" if count == 1 else f"{count} hops"
    if not path.complete:
        far = f"more than {far}: it did not answer" if count else "nobody on the way answered"
    metric = f", metric {path.metric}" if path.metric is not None else ""
    return f"To {name}: {far}{metric}"


def path_rows(path: MeshPath, name: Callable[[PathHop], str]) -> list[str]:
    """Return a row for each station on the way."""
    rows = []
    for place, hop in enumerate(path.hops, 1):
        link = path.link if place == 1 and path.link else kind_word(hop.kind)
        facts = [loss(hop.loss_out_pct, hop.loss_in_pct), millis(hop.rtt_ms)]
        facts.append(_DOUBTS.get(hop.seen_by, ""))
        shown = name(hop) if hop.address else "somebody who did not answer"
        told = ", ".join(one for one in facts if one)
        start = f" {place:>2}  {plain_name(link):<8} {pad(shown, _NAME_CELLS + 3)}"
        rows.append(f"{start} {told}".rstrip())
    return rows


def hop_name(hop: PathHop) -> str:
    """Return a relay by its name, or by the end of its address."""
    return fit(plain_name(hop.name), _NAME_CELLS) if hop.name else f"unknown ..{hop.address[-4:]}"


def link_facts(link: Link) -> str:
    """Return how a link is and what the mesh does with it."""
    if not link.up:
        return f"down  {one_line(link.why_not) or 'no cable, or switched off'}"
    facts = ["up"]
    if link.radio:
        facts.append(one_line(link.radio))
    elif link.kind != "unknown":
        facts.append(kind_word(link.kind))
    count = max(len(link.neighbours), len(link.routers))
    facts.append(f"{count} neighbour{'' if count == 1 else 's'}")
    if link.routers:
        facts.append(
            f"loss {max(max(one.loss_in_pct, one.loss_out_pct) for one in link.routers)} %"
        )
    if link.hello_s is not None:
        facts.append(f"hello {link.hello_s:g} s")
    if link.rate_kbit is not None:
        facts.append(f"held to {link.rate_kbit} kbit/s")
    if link.mtu is not None and link.mtu < 1500:
        facts.append(f"mtu {link.mtu}")
    if link.used is False:
        facts.append(f"not used: {one_line(link.why_not) or 'nobody says why.'}")
    return "  ".join(facts)
