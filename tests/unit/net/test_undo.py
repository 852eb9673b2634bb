"""The journal of changes: what is in it is undone once, newest first, whatever happened."""

import json
import os
from pathlib import Path
from typing import NoReturn

import pytest

from appliance.net import undo as module
from appliance.net.undo import Facts, Undo, UndoError


class World:
    """A journal on disk and a record of what was undone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.undone: list[object] = []
        self.failing: set[object] = set()

    def start(self, *, where: str = "here") -> Undo:
        undo = Undo(self.path, where=where)
        undo.knows("thing", self.put_back)
        return undo

    async def put_back(self, facts: Facts) -> None:
        if facts["x"] in self.failing:
            raise UndoError("not now")
        self.undone.append(facts["x"])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "journal")


async def test_undone_newest_first_and_only_once(world: World) -> None:
    undo = world.start()
    for x in (1, 2, 3):
        undo.note("thing", x=x)
    undo.forget(undo.changes[1])
    await undo.undo_all()
    await undo.undo_all()
    assert world.undone == [3, 1]
    undo.close()
    assert not world.path.exists()


async def test_after_a_crash_the_next_start_undoes(world: World) -> None:
    crashed = world.start()
    for x in ("a", "b"):
        crashed.note("thing", x=x)
    crashed.forget(crashed.note("thing", x="c"))
    data = world.path.read_bytes()
    crashed.close()
    world.path.write_bytes(data)  # closing it would have been clean

    again = world.start()
    await again.undo_all()
    assert world.undone == ["b", "a"]
    again.close()


@pytest.mark.parametrize("cut", range(1, 60))
async def test_a_torn_last_line_is_a_change_that_was_not_made(world: World, cut: int) -> None:
    undo = world.start()
    undo.note("thing", x="whole")
    whole = len(world.path.read_bytes())
    undo.note("thing", x="torn")
    data = world.path.read_bytes()
    undo.close()
    world.path.write_bytes(data[: max(whole, len(data) - cut)])

    undo = world.start()
    undo.note("thing", x="new")  # does not stick to the torn line
    undo._rewrite()
    undo.close()
    undo = world.start()
    await undo.undo_all()
    assert world.undone == ["new", "whole"]
    undo.close()


async def test_a_damaged_line_costs_only_itself(world: World) -> None:
    undo = world.start()
    undo.note("thing", x=1)
    undo.note("thing", x=2)
    lines = world.path.read_bytes().split(b"\n")
    undo.close()
    for junk in (b"", b"[]", b"7", b'{"n":"1"}', b'{"n":9,"kind":4,"facts":{}}', b"\xff"):
        world.undone.clear()
        world.path.write_bytes(b"\n".join([lines[0], junk, *lines[1:]]))
        undo = world.start()
        await undo.undo_all()
        assert world.undone == [2, 1]
        undo.close()


@pytest.mark.parametrize("first", ["", "nonsense", "{}", '{"where":"elsewhere"}', "[1]"])
async def test_a_journal_of_another_boot_or_namespace_is_void(world: World, first: str) -> None:
    line = json.dumps({"n": 1, "kind": "thing", "facts": {"x": 1}})
    world.path.write_text(f"{first}\n{line}\n")
    undo = world.start()
    assert undo.changes == ()
    undo.close()


async def test_what_cannot_be_undone_stays_for_the_next_time(world: World) -> None:
    undo = world.start()
    for x in (1, 2, 3):
        undo.note("thing", x=x)
    undo.note("from a later release", x=4)
    world.failing = {2}
    await undo.undo_all()
    assert world.undone == [3, 1]
    undo.close()
    world.failing.clear()
    undo = world.start()
    assert [change.facts["x"] for change in undo.changes] == [2, 4]
    await undo.undo_all(kinds=frozenset({"thing"}))
    assert world.undone == [3, 1, 2]
    undo.close()


async def test_a_change_is_written_down_before_it_is_made_and_only_once(world: World) -> None:
    undo = world.start()
    first = undo.note("thing", x=1)
    assert b'"x":1' in world.path.read_bytes()
    assert undo.note("thing", x=1) is first
    undo.forget(first)
    undo.forget(first)
    assert undo.note("thing", x=1) is not first
    undo.close()


async def test_the_journal_does_not_grow_with_what_comes_and_goes(world: World) -> None:
    undo = world.start()
    undo.note("thing", x="stays")
    for x in range(600):
        undo.forget(undo.note("thing", x=x))
    assert world.path.read_bytes().count(b"\n") < 2 * module.SPARE_LINES
    undo.close()
    undo = world.start()
    await undo.undo_all()
    assert world.undone == ["stays"]
    undo.close()


async def test_too_many_changes_are_refused_before_they_are_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CHANGES", 2)
    undo = world.start()
    undo.note("thing", x=1)
    undo.note("thing", x=2)
    with pytest.raises(UndoError, match="Too many"):
        undo.note("thing", x=3)
    undo.close()


async def test_a_full_disk_leaves_no_half_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = world.start()
    undo.note("thing", x=1)
    write = os.write
    with monkeypatch.context() as full:
        full.setattr("os.write", lambda file, line: write(file, line[:9]))
        with pytest.raises(OSError, match="No space left"):
            undo.note("thing", x=2)
    undo.note("thing", x=3)
    assert [change.facts["x"] for change in undo.changes] == [1, 3]
    lines = world.path.read_bytes().splitlines()
    assert [json.loads(line)["n"] for line in lines[1:]] == [1, 2]
    undo.close()


async def test_a_full_disk_leaves_the_journal_that_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = world.start()
    undo.note("thing", x=1)
    before = world.path.read_bytes()
    write = os.write
    with monkeypatch.context() as full:
        full.setattr("os.write", lambda file, data: write(file, data[: len(data) // 2]))
        with pytest.raises(OSError, match="No space left"):
            undo._rewrite()
    assert world.path.read_bytes() == before
    undo.note("thing", x=2)
    assert world.path.read_bytes().startswith(before)
    undo.close()


async def test_a_new_journal_counts_though_its_directory_cannot_be_synced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Path) -> NoReturn:
        raise OSError("a disk that is dying")

    undo = world.start()
    undo.note("thing", x=1)
    with monkeypatch.context() as dying:
        dying.setattr(module, "_sync_directory", fails)
        with pytest.raises(OSError, match="dying"):
            undo._rewrite()
    undo.note("thing", x=2)
    facts = [json.loads(line).get("facts") for line in world.path.read_bytes().splitlines()]
    assert facts == [None, {"x": 1}, {"x": 2}]
    undo.close()


async def test_one_process_at_a_time(world: World, tmp_path: Path) -> None:
    undo = world.start()
    with pytest.raises(UndoError, match="Another network helper"):
        world.start()
    undo.close()
    with pytest.raises(UndoError, match="can't be kept"):
        Undo(tmp_path / "absent" / "journal", where="here")
