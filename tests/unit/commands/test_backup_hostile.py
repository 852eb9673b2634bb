"""Backups that somebody else has made, and what lies beside one that is being made."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import stat
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance import cli
from appliance.adapters.store import Store
from appliance.commands import backup_file, exits
from appliance.commands.backup_file import BLOBS, DATABASE, KEY, PREKEYS, write_backup
from appliance.daemon.keyfile import load_or_make

HOLE_BYTES = 48_000_000
LITTLE_BYTES = 32_000_000
"""Of memory."""

BLOB = f"{BLOBS}/{'ab' * 32}.blob"


async def _make_store(path: Path) -> None:
    await Store.open(path).close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A backup of an empty station."""
    state = tmp_path / "a"
    state.mkdir(mode=0o700)
    (state / PREKEYS).mkdir(mode=0o700)
    asyncio.run(_make_store(state / DATABASE))
    key = load_or_make(state)
    with (tmp_path / "good").open("wb") as target:
        write_backup(target, state, station=key.id.text)
    assert _restored(tmp_path / "good", tmp_path / "b") == exits.OK
    return tmp_path / "good"


def _restored(file: Path, state: Path) -> int:
    return cli.main(["backup", "--restore", str(file), "--state", str(state)])


def _changed(
    file: Path, change: Callable[[dict[str, Any]], object], *more: tarfile.TarInfo
) -> Path:
    """The same with another list, and more in it."""
    changed = file.with_name("changed")
    with tarfile.open(file) as source, tarfile.open(changed, "w", format=tarfile.PAX_FORMAT) as to:
        for member in source:
            content = source.extractfile(member)
            assert content is not None
            data = content.read()
            if member.name.endswith("manifest.json"):
                listed = json.loads(data)
                change(listed)
                data = json.dumps(listed).encode()
                member.size = len(data)
            to.addfile(member, io.BytesIO(data))
        for one in more:
            to.addfile(one)
    return changed


def _refused(file: Path, state: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether it is refused, in little memory, and nothing is left of it."""
    capsys.readouterr()
    tracemalloc.start()
    try:
        code = _restored(file, state)
        little = tracemalloc.get_traced_memory()[1] < LITTLE_BYTES
    finally:
        tracemalloc.stop()
    there = {path.name for path in state.iterdir()} - {f"{DATABASE}.lock"}
    said = "no backup of a station, or it is damaged" in capsys.readouterr().err
    return code == exits.FAILED and said and little and not there


@pytest.mark.parametrize("size", [HOLE_BYTES, -1])
def test_what_is_said_to_be_full_of_holes_is_not_unpacked(
    size: int, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zeros = hashlib.sha256(bytes(HOLE_BYTES)).hexdigest()
    part = {"bytes": size, "sha256": zeros}
    hole = tarfile.TarInfo(f"fencewire-backup/{BLOB}")
    hole.pax_headers = {"GNU.sparse.size": str(HOLE_BYTES), "GNU.sparse.map": "0,0"}
    hostile = _changed(file, lambda one: one.update(files=[{"name": BLOB, "part": part}]), hole)
    assert hostile.stat().st_size < 1_000_000
    assert _refused(hostile, tmp_path / "c", capsys)


def test_a_header_that_claims_to_be_long_is_not_read(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tarfile.TarInfo("x")
    long.type, long.size = tarfile.XHDTYPE, HOLE_BYTES
    hostile = tmp_path / "hostile"
    with hostile.open("wb") as target:
        target.write(long.tobuf(tarfile.USTAR_FORMAT))
        target.truncate(2 * HOLE_BYTES)
    assert _refused(hostile, tmp_path / "c", capsys)


def test_more_than_belongs_there_is_not_listed(
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backup_file, "_MAX_ENTRIES", 20)
    more = [tarfile.TarInfo(str(number)) for number in range(30)]
    assert _refused(_changed(file, lambda one: None, *more), tmp_path / "c", capsys)


def test_a_time_that_cannot_be_shown_is_no_obstacle(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = _changed(file, lambda one: one.update(made_ms=10**30))
    assert _restored(changed, tmp_path / "c") == exits.OK
    assert "at some time" in capsys.readouterr().out


def test_a_backup_that_cannot_be_read_is_what_is_said_to_be_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unreadable = Path("/proc/self/mem")  # its first page is an input/output error
    assert _restored(unreadable, tmp_path / "c") == exits.FAILED
    assert f"{unreadable} can't be read: Input/output error" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_root_gives_the_station_s_user_nothing_that_a_link_points_to(
    file: Path, tmp_path: Path
) -> None:
    state, others = tmp_path / "c", tmp_path / "others"
    others.write_text("root's")
    state.mkdir(mode=0o700)
    (state / f"{DATABASE}.lock").symlink_to(others)
    os.chown(state, 1234, 1234)
    assert _restored(file, state) == exits.OK
    assert (others.stat().st_uid, others.read_text()) == (0, "root's")
    assert {(state / name).stat().st_uid for name in (KEY, DATABASE, PREKEYS)} == {1234}
    assert stat.S_IMODE((state / KEY).stat().st_mode) == 0o600


def test_folders_of_others_beside_the_file_stay(file: Path, tmp_path: Path) -> None:
    mine = tmp_path / ".fencewire-backups"
    mine.mkdir()
    (mine / "monday.backup").write_text("mine")
    assert cli.main(["backup", "--state", str(tmp_path / "a"), str(tmp_path / "f")]) == exits.OK
    assert (mine / "monday.backup").read_text() == "mine"
