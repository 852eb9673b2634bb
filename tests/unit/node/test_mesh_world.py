"""Whatever happens to cables, stations and names: in the end all know all, and nothing is lost."""

from __future__ import annotations

import itertools

import pytest
from mesh_world import World

from appliance.model.message import DeliveryState

DEEDS = ("connect", "cut", "restart", "rename", "write", "wait", "pause")
WEIGHTS = (5, 4, 0.5, 1, 12, 8, 1)


def one_deed(w: World, number: int) -> None:
    rng = w.rng
    a, b = rng.sample(range(len(w.nodes)), 2)
    match rng.choices(DEEDS, WEIGHTS)[0]:
        case "connect":
            w.connect(a, b)
        case "cut" if w.cables:
            w.cut(*rng.choice(sorted(w.cables, key=sorted)))
        case "restart":
            w.restart(a)
        case "rename":
            w.rename(a, f"name {number}")
        case "write":
            w.write(a, b if rng.random() < 0.8 else None)
        case "wait":
            w.run(rng.choice((0.05, 1.0, 5.0, 15.0)))
        case "pause":
            w.run(40.0)


def heal(w: World) -> None:
    """With helpers a ring is enough for mail; without them each must meet each."""
    number = len(w.nodes)
    ring = [(one, (one + 1) % number) for one in range(number)]
    pairs = ring if w.helpers else list(itertools.combinations(range(number), 2))
    for a, b in pairs:
        if frozenset((a, b)) not in w.cables:
            w.connect(a, b)
    w.run(200.0)


def check_cards(w: World) -> None:
    for a, b in itertools.permutations(w.nodes, 2):
        assert a.station.directory.get(b.id).card_raw == b.station.card.raw


def rows(w: World, index: int, what: str, message: bytes) -> list[tuple[int]]:
    """Ask a station's database about a message."""
    query = f"SELECT {what} JOIN records ON records.number = message WHERE id = ?"
    return w.nodes[index].db.execute(query, (message,)).fetchall()


def check_mail(w: World) -> None:
    assert w.written
    for author, to, message in w.written:
        readers = [to] if to is not None else [i for i in range(len(w.nodes)) if i != author]
        for reader in readers:
            copies = rows(
                w, reader, "count(*) FROM (SELECT number AS message FROM messages)", message
            )
            assert copies == [(1,)], f"{author} wrote to {reader}"
        states = rows(w, author, "state FROM recipients", message)
        assert states == [(int(DeliveryState.DELIVERED),)] * len(readers)


def check_calm(w: World) -> None:
    """Both ends have the same sessions, and nobody dials any more but for what is written."""
    for a, b in itertools.combinations(range(len(w.nodes)), 2):
        one = w.nodes[a].station.peers.session(w.nodes[b].id)
        other = w.nodes[b].station.peers.session(w.nodes[a].id)
        assert (one is None) == (other is None)
    before = w.dials + len(w.written)
    w.run(300.0)
    assert w.dials <= before + len(w.written)


@pytest.mark.parametrize("helpers", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_all_know_all_and_nothing_is_lost(seed: int, helpers: bool) -> None:
    w = World(seed, 8, helpers=helpers)
    for number in range(60):
        one_deed(w, number)
    heal(w)
    check_cards(w)
    check_mail(w)
    check_calm(w)
