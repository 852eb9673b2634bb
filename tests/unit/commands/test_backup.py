"""A station in one file and back: while it runs, and never over another one."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sqlite3
import stat
import sys
import tarfile
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fencewire_program import Fencewire
from store_samples import ANN, incoming, outgoing

from appliance import cli
from appliance.adapters.prekey_files import PrekeyFiles
from appliance.adapters.store import Store
from appliance.adapters.store.backup import owners
from appliance.commands import exits
from appliance.commands.backup_file import (
    BLOBS,
    DATABASE,
    KEY,
    PREKEYS,
    RECORDINGS,
    write_backup,
)
from appliance.daemon.keyfile import load_or_make, sync_directory
from appliance.daemon.main import STORE_NAME
from appliance.model.card import Card, Line, Prekey
from appliance.model.identity import CONSOLE, StationKey
from appliance.model.record import Certainty, RecordKind, Stamp, make_record
from appliance.model.secret import Secret
from appliance.node.own_card import CARD_VALUE
from appliance.node.ports import GetMessages, GetValue, SetValue
from appliance.node.ports.prekeys import DestroyPrekey, KeepPrekey, KeptPrekey

EVERYTHING = GetMessages(None, True, None, 100)
PREKEYS_KEPT = (
    KeptPrekey(b"retired.", Secret(b"r" * 32), 0.0, 7.0),
    KeptPrekey(b"present.", Secret(b"p" * 32), 7.0),
)


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700)


async def _make_station(state: Path, *, messages: int = 3) -> tuple[StationKey, Store]:
    """A station as the daemon has it: with its store open, and some of it only in the log."""
    _make_folder(state)
    store = Store.open(state / DATABASE)
    key = load_or_make(state)
    files = PrekeyFiles(state)
    for kept in PREKEYS_KEPT:
        await files.perform(KeepPrekey(kept))
    lines = (Line(CONSOLE, key.id.number()),)
    card = Card(1, "clinic", lines, Prekey(b"12345678", b"p" * 32))
    stamp = Stamp(1, b"bootboot", 0, 0, Certainty.UNSET)
    record = make_record(key, RecordKind.CARD, card.encode(), stamp=stamp)
    await store.perform(SetValue(CARD_VALUE, record.raw))
    await store.perform(SetValue("sound", b"{}"))
    for order in range(1, messages + 1):
        await _write(key, store, order)
    await store.perform(incoming(ANN, order=messages + 1, text="from Ann"))
    return key, store


async def _write(key: StationKey, store: Store, order: int) -> None:
    ours = outgoing(ANN, order=order)
    message = replace(ours.message, author=key.id, outgoing=True, unread=False)
    await store.perform(replace(ours, message=message))


@pytest.fixture
async def station(tmp_path: Path) -> AsyncGenerator[tuple[Path, StationKey, Store]]:
    key, store = await _make_station(tmp_path / "a")
    yield tmp_path / "a", key, store
    await store.close()


def _run(*arguments: str | Path) -> int:
    return cli.main(["backup", *map(str, arguments)])


def _contents(state: Path) -> set[str]:
    return {path.name for path in state.iterdir()} - {f"{DATABASE}.lock"}


async def test_a_station_that_runs_comes_back_elsewhere(
    station: tuple[Path, StationKey, Store], fencewire: Fencewire, tmp_path: Path
) -> None:
    state, key, store = station
    file = tmp_path / "clinic.backup"
    done = await fencewire("backup", "--state", str(state), str(file))
    assert (done.code, done.err) == (exits.OK, "")
    assert "SECRET KEY" in done.out
    assert f"fencewire backup --restore {file}" in done.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not {name for name in _contents(tmp_path) if name.startswith(".")}
    await _write(key, store, 9)  # it goes on, and this is not in the backup
    await PrekeyFiles(state).perform(DestroyPrekey(b"retired."))

    there = tmp_path / "deep" / "b"
    done = await fencewire("backup", "--restore", str(file), "--state", str(there), "--json")
    assert (done.code, done.lines[0]["station"]) == (exits.OK, key.id.text)
    assert _contents(there) == {KEY, DATABASE, PREKEYS}
    assert stat.S_IMODE((there / PREKEYS).stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (there / PREKEYS).iterdir()} == {0o600}
    assert set(PrekeyFiles(there).load()) == set(PREKEYS_KEPT)
    assert all(stat.S_IMODE((there / name).stat().st_mode) == 0o600 for name in (KEY, DATABASE))
    assert load_or_make(there).id == key.id
    again = Store.open(there / DATABASE)
    try:
        assert await again.perform(EVERYTHING) == (await store.perform(EVERYTHING))[:4]
        assert await again.perform(GetValue("sound")) == b"{}"
        mark = await again.perform(GetValue("restored"))
    finally:
        await again.close()
    assert mark is not None
    assert json.loads(mark)["made_ms"] == done.lines[0]["made_ms"]
    assert await store.perform(GetValue("restored")) is None


async def test_nothing_is_overwritten(
    station: tuple[Path, StationKey, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, key, store = station
    file = tmp_path / "f"
    file.write_text("mine")
    assert _run(file, "--state", state) == exits.FAILED
    assert file.read_text() == "mine"
    assert _run(file, "--state", state, "--force") == exits.OK
    before = _contents(state)
    capsys.readouterr()
    assert _run("--restore", file, "--state", state) == exits.FAILED
    assert "--replace" in capsys.readouterr().err
    assert _run("--restore", file, "--replace", "--state", state) == exits.FAILED
    assert "fencewire stop" in capsys.readouterr().err  # the daemon has it
    assert _run("--replace", file, "--state", state) == exits.USAGE
    assert _contents(state) == before
    assert len(await store.perform(EVERYTHING)) == 4
    assert load_or_make(state).id == key.id


async def test_a_station_that_is_replaced_is_kept_aside(
    station: tuple[Path, StationKey, Store], tmp_path: Path
) -> None:
    state, key, _ = station
    file = tmp_path / "f"
    assert _run(file, "--state", state) == exits.OK
    former, store = await _make_station(tmp_path / "b", messages=7)
    await store.close()
    (tmp_path / "b" / "restoring").mkdir()  # left by one that was cut short
    for count in (1, 2):
        assert _run("--restore", "--replace", file, "--state", tmp_path / "b") == exits.OK
        assert load_or_make(tmp_path / "b").id == key.id
        kept = tmp_path / "b" / f"replaced-{count}"
        assert load_or_make(kept).id == (former if count == 1 else key).id
        with closing(sqlite3.connect(kept / DATABASE)) as db:
            (messages,) = db.execute("SELECT count(*) FROM messages").fetchone()
        assert messages == (8 if count == 1 else 4)
    assert _contents(tmp_path / "b") == {KEY, DATABASE, PREKEYS, "replaced-1", "replaced-2"}
    for kept in (tmp_path / "b", tmp_path / "b" / "replaced-1"):
        assert set(PrekeyFiles(kept).load()) == set(PREKEYS_KEPT)


def _with_another_name(data: bytes) -> bytes:
    """Let the list name a file of prekeys that would go elsewhere."""
    name = f"{PREKEYS_KEPT[0].id.hex()}.prekey".encode()
    assert data.count(name) >= 2
    return data.replace(name, (b"../" + name)[: len(name)])


def _flip(data: bytes) -> bytes:
    """Change a byte in the middle of the database."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _without_key(data: bytes) -> bytes:
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        tarfile.open(fileobj=target, mode="w") as new,
    ):
        for member in old:
            if not member.name.endswith(KEY):
                new.addfile(member, old.extractfile(member))
    return target.getvalue()


@pytest.mark.parametrize(
    "harm",
    [
        _flip,
        _without_key,
        _with_another_name,
        lambda data: data[: len(data) // 2],
        lambda data: data[:700],
        lambda _: b"",
        lambda _: b"no tar at all" * 1000,
    ],
)
async def test_a_damaged_backup_touches_nothing(
    harm: Callable[[bytes], bytes],
    station: tuple[Path, StationKey, Store],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "f"
    assert _run(file, "--state", station[0]) == exits.OK
    file.write_bytes(harm(file.read_bytes()))
    assert _run("--restore", file, "--state", tmp_path / "b") == exits.FAILED
    assert "damaged" in capsys.readouterr().err
    assert _contents(tmp_path / "b") == set()


async def test_what_is_whole_but_does_not_fit_touches_nothing(
    station: tuple[Path, StationKey, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, key, store = station
    await store.close()
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    stranger = load_or_make(other)
    with closing(sqlite3.connect(state / DATABASE)) as source:
        for name, change, words in (
            ("another key", "SELECT 1", "of another station"),
            ("newer", "PRAGMA user_version = 9999", "newer Fencewire"),
            ("not ours", "PRAGMA application_id = 7", "damaged"),
        ):
            (other / DATABASE).unlink(missing_ok=True)
            source.execute("VACUUM INTO ?", (str(other / DATABASE),))
            with closing(sqlite3.connect(other / DATABASE)) as db:
                db.execute(change)
            if name != "another key":
                (other / KEY).write_bytes((state / KEY).read_bytes())
            with (tmp_path / name).open("wb") as target:
                write_backup(target, other, station=key.id.text)
            assert _run("--restore", tmp_path / name, "--state", tmp_path / "b") == exits.FAILED
            assert words in capsys.readouterr().err
            assert _contents(tmp_path / "b") == set()
    assert stranger.id != key.id


async def test_no_backup_is_made_of_what_is_not_sound(
    station: tuple[Path, StationKey, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, _, store = station
    assert _run(tmp_path / "f", "--state", tmp_path / "nowhere") == exits.FAILED
    assert "--state" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()
    await store.close()
    data = bytearray((state / DATABASE).read_bytes())
    data[8192:12288] = b"\xff" * 4096
    (state / DATABASE).write_bytes(data)
    assert _run(tmp_path / "f", "--state", state) == exits.FAILED
    assert f"{state / DATABASE} is damaged" in capsys.readouterr().err
    assert _contents(tmp_path) == {"a"}
    assert (state / DATABASE).read_bytes() == bytes(data)


async def test_a_cut_in_the_middle_leaves_no_key_with_another_station_s_messages(
    station: tuple[Path, StationKey, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every rename either the key is there with its own database, or with none."""
    state, key, _ = station
    file = tmp_path / "f"
    assert _run(file, "--state", state) == exits.OK
    there = tmp_path / "b"
    former, store = await _make_station(there)
    await store.close()
    seen: list[tuple[bool, bool]] = []

    def look(path: Path) -> None:
        sync_directory(path)
        data = (there / KEY).read_bytes()
        theirs = (there / DATABASE).exists()
        if theirs:
            assert owners(there / DATABASE, card_value=CARD_VALUE) == {load_or_make(there).id.key}
        seen.append((data == (state / KEY).read_bytes(), theirs))

    monkeypatch.setattr("appliance.commands.backup.sync_directory", look)
    assert _run("--restore", "--replace", file, "--state", there) == exits.OK
    unpacked, aside, moved, *installed = seen
    assert unpacked == (False, True)
    assert aside == moved == (False, False)
    assert installed == [(True, False), (True, False), (True, True)]
    assert former.id != key.id


def test_words_that_are_said_twice_agree() -> None:
    assert DATABASE == STORE_NAME


async def test_recordings_are_in_it_and_the_files_of_messages_if_wanted(
    station: tuple[Path, StationKey, Store], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, *_ = station
    recording, blob = f"{RECORDINGS}/{'0' * 16}-12.opus", f"{BLOBS}/{'ab' * 32}.blob"
    left_out = (f"{RECORDINGS}/x.tmp", f"{BLOBS}/{'cd' * 32}.part", f"{BLOBS}/x.new")
    _fill_folders(
        state, {recording: b"voice", blob: b"sealed" * 50_000} | dict.fromkeys(left_out, b"")
    )
    file = tmp_path / "f"
    for number, (option, expected) in enumerate(
        (((), {recording}), (("--attachments",), {recording, blob}))
    ):
        there = tmp_path / f"restored-{number}"
        assert _run(file, "--state", state, "--force", *option) == exits.OK
        assert ("NOT the files" in capsys.readouterr().out) == (not option)
        assert _run("--restore", file, "--state", there) == exits.OK
        found = {f"{path.parent.name}/{path.name}" for path in there.glob("[rb]*/*")}
        assert found == expected
        assert all((there / name).read_bytes() == (state / name).read_bytes() for name in found)
        assert all(stat.S_IMODE((there / name).stat().st_mode) == 0o600 for name in found)
    # Those of a former station go aside with it.
    assert _run("--restore", "--replace", file, "--state", there) == exits.OK
    assert (there / "replaced-1" / blob).exists()
    assert (there / blob).exists()


@pytest.mark.parametrize(
    "name",
    ["../x.blob", "blobs/../../x.blob", "blobs/x.blob", f"x/{'ab' * 32}.blob", "station.key"],
)
async def test_no_other_files_are_unpacked(
    name: str,
    station: tuple[Path, StationKey, Store],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, changed = tmp_path / "f", tmp_path / "g"
    assert _run(file, "--state", station[0]) == exits.OK
    part = {"bytes": 0, "sha256": hashlib.sha256().hexdigest()}
    with tarfile.open(file) as source, tarfile.open(changed, "w") as target:
        for member in source:
            content = source.extractfile(member)
            assert content is not None
            data = content.read()
            if member.name.endswith("manifest.json"):
                listed = json.loads(data) | {"files": [{"name": name, "part": part}]}
                data = json.dumps(listed).encode()
                member.size = len(data)
            target.addfile(member, io.BytesIO(data))
        target.addfile(tarfile.TarInfo(f"fencewire-backup/{name}"))
    capsys.readouterr()
    assert _run("--restore", changed, "--state", tmp_path / "b") == exits.FAILED
    assert "no backup of a station" in capsys.readouterr().err
    assert _contents(tmp_path / "b") == set()


async def test_what_a_full_disk_or_a_cut_leaves_is_no_backup_and_no_key(
    station: tuple[Path, StationKey, Store], tmp_path: Path
) -> None:
    state, *_ = station
    (tmp_path / "stick").mkdir()
    program = (sys.executable, "-m", "appliance", "backup", "--state", str(state), "f")
    # No file may be larger than some kilobytes: the system refuses the rest as a full disk does.
    for kilobytes in (1, 40):
        limited = await asyncio.create_subprocess_exec(
            *("bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "bash", *program),
            cwd=tmp_path / "stick",
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await limited.communicate()
        assert limited.returncode == exits.FAILED, said
        assert b"Traceback" not in said
        assert not list((tmp_path / "stick").iterdir())
    _fill_folders(tmp_path / "stick", {".fencewire-backup-cut.unfinished/station.key": b"secret"})
    assert _run(tmp_path / "stick" / "f", "--state", state) == exits.OK
    assert _contents(tmp_path / "stick") == {"f"}


def _fill_folders(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(mode=0o700, exist_ok=True)
        (folder / name).write_bytes(data)
