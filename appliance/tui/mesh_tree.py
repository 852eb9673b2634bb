"""The mesh as a tree with ourselves at its root: who is drawn under whom.

Each station hangs where packets most likely come from; links that the tree does not need are told
beside it.  The order is by name, and costs count in coarse steps, so that the picture stays as it
is while radios have their ups and downs.  What stays out: how it looks (see `mesh_picture`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from appliance.api.schema import Mesh, MeshEdge, MeshNode

COST_STEP: Final = 128
"""Costs count in steps of this: a good cable is 96, a good radio 256."""

UNKNOWN_COST: Final = 96
"""Where no routing protocol runs."""


@dataclass
class Branch:
    """A station in the tree."""

    node: MeshNode
    """Who."""

    label: str
    """What it is called."""

    edge: MeshEdge | None
    """By which link it hangs; None: ourselves, or nobody has told how it is joined."""

    children: list[Branch] = field(default_factory=list)
    """By name."""


@dataclass(frozen=True)
class Tree:
    """The tree, and what it has no room for."""

    root: Branch
    """Ourselves."""

    across: tuple[MeshEdge, ...]
    """Links beside those of the tree."""

    groups: tuple[tuple[str, ...], ...]
    """Addresses of stations under one parent all of whom have links with one another."""

    denied: tuple[MeshEdge, ...]
    """Links of which one end says that there is one and the other that there is none."""


def grow(mesh: Mesh, label: Callable[[MeshNode], str]) -> Tree | None:
    """Return the tree of a mesh; None: nothing is known, not even ourselves."""
    nodes = {one.address: one for one in mesh.nodes}
    us = next((one.address for one in mesh.nodes if one.us), None)
    if us is None:
        return None
    edges = [one for one in mesh.edges if one.a in nodes and one.b in nodes]
    good = [one for one in edges if one.seen_by != "denied"]
    parents = _parents(us, good)
    branches = {
        address: Branch(node, label(node), parents.get(address))
        for address, node in nodes.items()
        if address in parents or node.reachable
    }
    for address, branch in branches.items():
        if address != us:
            above = _other_end(branch.edge, address) if branch.edge else branch.node.via
            if above is None or above == address or (not branch.edge and above not in parents):
                above = us
            branches[above].children.append(branch)
    for branch in branches.values():
        branch.children.sort(key=lambda one: (one.label.casefold(), one.node.address))
    used = {id(one) for one in parents.values()}
    across = [one for one in good if id(one) not in used]
    groups, across = _groups(branches, across)
    return Tree(
        root=branches[us],
        across=tuple(across),
        groups=groups,
        denied=tuple(one for one in edges if one.seen_by == "denied"),
    )


def _other_end(edge: MeshEdge, address: str) -> str:
    return edge.a if edge.b == address else edge.b


def _weight(edge: MeshEdge) -> int:
    return 1 + (edge.cost if edge.cost is not None else UNKNOWN_COST) // COST_STEP


def _parents(us: str, edges: list[MeshEdge]) -> dict[str, MeshEdge | None]:
    """Return by which link each station is reached best, by address; ours is None."""
    around: dict[str, list[MeshEdge]] = {}
    for edge in edges:
        around.setdefault(edge.a, []).append(edge)
        around.setdefault(edge.b, []).append(edge)
    parents: dict[str, MeshEdge | None] = {}
    heap: list[tuple[int, int, str, str, MeshEdge | None]] = [(0, 0, "", us, None)]
    while heap:
        distance, links, _, address, best = heapq.heappop(heap)
        if address in parents:
            continue
        parents[address] = best
        for onward in around.get(address, ()):
            other = _other_end(onward, address)
            if other not in parents:
                # Equal ones by address, so that no two entries are compared by their links.
                entry = (distance + _weight(onward), links + 1, f"{address} {other}", other, onward)
                heapq.heappush(heap, entry)
    return parents


def _groups(
    branches: dict[str, Branch], across: list[MeshEdge]
) -> tuple[tuple[tuple[str, ...], ...], list[MeshEdge]]:
    """Return stations that all hear one another, as on a shared cable, and the other links."""
    left = {frozenset((one.a, one.b)): one for one in across}
    groups = []
    for branch in branches.values():
        family = [one.node.address for one in branch.children]
        # One after another: of the pairs among thousands most are not there.
        if len(family) > 2 and all(frozenset(pair) in left for pair in combinations(family, 2)):
            groups.append(tuple(family))
            for pair in combinations(family, 2):
                del left[frozenset(pair)]
    return tuple(groups), list(left.values())
