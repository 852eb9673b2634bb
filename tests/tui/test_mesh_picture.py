"""The mesh as a picture: everybody stands in it once, whatever others claim, and it fits."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from shapes import edge, node, station

from appliance.api.schema import Mesh, MeshEdge, Station
from appliance.tui.mesh_picture import MAX_DRAWN, MAX_LISTED, draw
from appliance.tui.text import cells

STATIONS = tuple(station(f"post-{n:02}", f"{n:04x}", trust="verified") for n in range(60))


def mesh_of(edges: list[MeshEdge], stations: tuple[Station, ...]) -> Mesh:
    return Mesh((node(None), *map(node, stations)), tuple(edges), waiting=0, not_asked=0)


def drawn(mesh: Mesh, width: int = 80, chosen: str | None = None) -> list[str]:
    return ["".join(text for text, _ in row) for row in draw(mesh, width, chosen)]


@st.composite
def meshes(draw_: st.DrawFn) -> Mesh:
    stations = STATIONS[: draw_(st.integers(0, MAX_DRAWN - 1))]
    ends = st.sampled_from([None, *stations])
    kinds = st.sampled_from(["radio", "ethernet", "unknown"])
    claims = st.sampled_from(["both", "one", "denied"])
    costs = st.sampled_from([None, 96, 256, 65_000])
    edges = {
        frozenset((a, b)): edge(
            a, b, seen_by=seen_by if a else "us", cost=cost, kind=kind, loss_ab_pct=cost and 4
        )
        for a, b, seen_by, cost, kind in draw_(
            st.lists(st.tuples(ends, ends, claims, costs, kinds), max_size=60)
        )
        if b is not None and a is not b
    }
    return mesh_of(list(edges.values()), stations)


@given(meshes(), st.integers(60, 200))
def test_everybody_is_drawn_once_and_within_the_screen(mesh: Mesh, width: int) -> None:
    rows = drawn(mesh, width)
    assert all(cells(row) <= width for row in rows)
    names = {one.name for one in mesh.nodes[1:]}
    told = (" Also", " All", " post")
    end = next((place for place, row in enumerate(rows) if row.startswith(told)), None)
    picture = "".join(rows[:end])
    assert all(picture.count(f"[{name}]") == 1 for name in names)
    assert picture.count("[you]") == 1
    shuffled = replace(mesh, edges=mesh.edges[::-1], nodes=mesh.nodes[::-1])
    assert drawn(shuffled, width)[:end] == rows[:end]


def test_a_line_and_a_fork_grow_to_the_right() -> None:
    a, b, c, d = STATIONS[:4]
    edges = [
        edge(None, a),
        edge(a, b, loss_ba_pct=3),
        edge(None, c),
        edge(c, d, kind="tunnel"),
    ]
    mesh = mesh_of(edges, STATIONS[:4])
    assert drawn(mesh, chosen=d.id) == [
        " [you]──eth0──[post-00]──radio 3%──[post-01]",
        "   └────eth0──[post-02]──tunnel──[>post-03]",
    ]
    assert drawn(mesh, width=40) == [
        " [you]",
        "  ├─eth0──[post-00]",
        "  │  └─radio 3%──[post-01]",
        "  └─eth0──[post-02]",
        "     └─tunnel──[post-03]",
    ]


def test_what_is_doubtful_is_said() -> None:
    a, b, c, d = STATIONS[:4]
    nodes = (node(None), node(a), replace(node(b), strangers=3), replace(node(c), reachable=False))
    stranger = replace(node(d), station=None, hops=4, via=a.id)
    edges = (
        edge(None, a),
        edge(a, b, seen_by="one"),
        edge(b, c, seen_by="denied"),
        edge(b, c, kind="cable"),
    )
    rows = drawn(Mesh((*nodes, stranger), edges, waiting=2, not_asked=9))
    assert rows[0] == " [you]──eth0──[post-00]──────radio?──[post-01]──cable──(post-02)"
    assert rows[1].endswith(f"..4 hops..──[unknown ..{d.id[-4:]}]")
    assert " post-01 says that it hears post-02, which says that it does not." in rows
    assert " post-01 names 3 that nobody else knows." in rows
    assert " Still asking 2 of them for their links..." in rows
    assert " 9 farther ones were not asked for their links." in rows


def test_a_shared_cable_is_one_sentence_and_other_links_are_told() -> None:
    five = STATIONS[:5]
    shared = [edge(a, b) for n, a in enumerate(five) for b in five[:n]]
    rows = drawn(mesh_of([edge(None, one) for one in five] + shared, five))
    assert rows[5:] == [" All hear each other: post-00, post-01, post-02, post-03, post-04"]
    ring = [
        edge(None, five[0]),
        edge(five[0], five[1]),
        edge(None, five[2]),
        edge(five[1], five[2]),
    ]
    assert drawn(mesh_of(ring, five[:3]))[2:] == [" Also joined: [post-01]─radio─[post-02]"]


def test_thousands_behind_one_are_quickly_there() -> None:
    """As many routes as a liar likes to announce."""
    many = tuple(station(f"post-{n:04}", f"{n:04x}", hops=2) for n in range(4000))
    began = time.process_time()
    rows = drawn(mesh_of([edge(None, many[0])], many))
    assert time.process_time() - began < 1
    assert rows[MAX_LISTED].startswith(" and ")


def test_an_interface_may_be_called_anything() -> None:
    (row,) = drawn(mesh_of([edge(None, STATIONS[0], interface="e\x1b[2J")], STATIONS[:1]))
    assert "\x1b" not in row


def test_five_hundred_are_a_list_and_quickly_there() -> None:
    many = tuple(station(f"post-{n:03}", f"{n:04x}", hops=1 + n % 7) for n in range(MAX_LISTED + 9))
    edges = [edge(None, one) for one in many[:7]]
    edges += [edge(many[n - 7], many[n]) for n in range(7, len(many))]
    began = time.process_time()
    rows = drawn(mesh_of(edges, many))
    assert time.process_time() - began < 1
    assert rows[0] == " 1 hop   [post-000?·0000]             eth0"
    assert rows[MAX_LISTED - 1].startswith(" 7 hops  ")
    assert " from post-" in rows[MAX_LISTED - 1]
    assert rows[MAX_LISTED] == " and 9 more"
