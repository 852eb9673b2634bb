"""Prekeys on disk: whole or not at all, for the owner alone, and gone when they are destroyed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from appliance.adapters.prekey_files import FOLDER, PrekeyFiles, is_prekey_file, latest_s
from appliance.adapters.store import Store
from appliance.daemon.settings import PREKEY_VALUE, Settings
from appliance.model.record import PREKEY_ID_SIZE
from appliance.model.secret import Secret
from appliance.node.ports import GetValue, SetValue, StoreError
from appliance.node.ports.prekeys import (
    MAX_KEPT,
    DestroyPrekey,
    KeepPrekey,
    KeptPrekey,
    RetirePrekey,
)


def prekey(number: int, *, created_s: float = 0.0) -> KeptPrekey:
    secret = number.to_bytes(4, "big") * 8
    return KeptPrekey(number.to_bytes(PREKEY_ID_SIZE, "big"), Secret(secret), created_s)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    files = PrekeyFiles(tmp_path)
    assert files.load() == ()
    one, other = prekey(1, created_s=5.25), prekey(2, created_s=604_805.5)
    for kept in (one, other):
        await files.perform(KeepPrekey(kept))
    await files.perform(RetirePrekey(one.id, 604_806.0))
    retired = KeptPrekey(one.id, one.secret, 5.25, 604_806.0)
    found = PrekeyFiles(tmp_path).load()
    assert set(found) == {retired, other}
    assert latest_s(found) == 604_806.0
    assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / FOLDER).iterdir()} == {0o600}
    assert all(map(is_prekey_file, names(tmp_path / FOLDER)))


async def test_what_is_destroyed_is_overwritten_before_its_name_goes(tmp_path: Path) -> None:
    files, kept = PrekeyFiles(tmp_path), prekey(7)
    await files.perform(KeepPrekey(kept))
    await files.perform(RetirePrekey(kept.id, 1.0))
    (path,) = (tmp_path / FOLDER).glob("*.prekey")
    witness = tmp_path / "the same blocks"
    os.link(path, witness)
    assert kept.secret.value in witness.read_bytes()
    await files.perform(DestroyPrekey(kept.id))
    assert set(witness.read_bytes()) == {0}
    assert names(tmp_path / FOLDER) == set()
    await files.perform(DestroyPrekey(kept.id))
    assert files.load() == ()


async def test_what_a_power_cut_leaves_is_tidied_up(tmp_path: Path) -> None:
    files = PrekeyFiles(tmp_path)
    for number in (1, 2, 3):
        await files.perform(KeepPrekey(prekey(number)))
    folder = tmp_path / FOLDER
    one, two, three = sorted(folder.glob("*.prekey"))
    three.rename(folder / f"{three.name}.new")  # written, not named
    two.write_bytes(bytes(two.stat().st_size))  # overwritten, not gone
    (folder / f"{two.stem}.retired").write_bytes(b"old")
    (folder / f"{one.stem}.retired").write_bytes(b"half of a mark")
    links = [tmp_path / name for name in ("draft", "gone")]
    os.link(folder / f"{three.name}.new", links[0])
    assert files.load() == (prekey(1),)
    assert set(links[0].read_bytes()) == {0}
    assert names(folder) == {one.name, f"{one.stem}.retired"}


DAMAGE = {
    "empty": lambda _: b"",
    "short": lambda data: data[:-1],
    "long": lambda data: data + b"\0",
    "one bit of the secret": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "another format": lambda data: data.replace(b"prekey 1", b"prekey 2"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_one_is_destroyed_and_the_others_stay(
    tmp_path: Path, damage: object
) -> None:
    assert callable(damage)
    files = PrekeyFiles(tmp_path)
    for number in (1, 2):
        await files.perform(KeepPrekey(prekey(number)))
    path, other = sorted((tmp_path / FOLDER).glob("*.prekey"))
    path.write_bytes(damage(path.read_bytes()))
    assert files.load() == (prekey(2),)
    assert names(tmp_path / FOLDER) == {other.name}
    # A file under another one's name is damage as well.
    other.rename(path)
    assert files.load() == ()


async def test_there_is_a_bound_and_those_in_use_stay(tmp_path: Path) -> None:
    files = PrekeyFiles(tmp_path)
    for number in range(MAX_KEPT + 3):
        await files.perform(KeepPrekey(prekey(number)))
        if number:
            await files.perform(RetirePrekey(prekey(number).id, float(number)))
    found = {int.from_bytes(kept.id, "big") for kept in files.load()}
    assert found == {0, *range(4, MAX_KEPT + 3)}
    assert len(list((tmp_path / FOLDER).glob("*.prekey"))) == MAX_KEPT


async def test_a_disk_that_takes_nothing_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = PrekeyFiles(tmp_path)
    await files.perform(KeepPrekey(prekey(1)))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("appliance.adapters.prekey_files.os.fsync", full)
        with pytest.raises(StoreError, match="Make room") as error:
            await files.perform(KeepPrekey(prekey(2)))
    assert error.value.code == "prekeys"
    assert files.load() == (prekey(1),)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        PrekeyFiles(tmp_path / "file").load()


# -- As the daemon finds them


async def test_the_first_start_makes_one(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "station.db")
    try:
        settings, files = Settings(store, tmp_path, b"bootboot"), PrekeyFiles(tmp_path)
        (made,) = await settings.prekeys(files)
        assert files.load() == (made,) == await settings.prekeys(files)
    finally:
        await store.close()


async def test_the_one_of_an_earlier_version_is_moved_out_of_the_store(tmp_path: Path) -> None:
    old = prekey(9)
    store = Store.open(tmp_path / "station.db")
    try:
        settings, files = Settings(store, tmp_path, b"bootboot"), PrekeyFiles(tmp_path)
        await store.perform(SetValue("awake_ms", b"5000"))
        await store.perform(SetValue(PREKEY_VALUE, old.id + old.secret.value))
        moved = KeptPrekey(old.id, old.secret, 5.0)
        assert await settings.prekeys(files) == (moved,)
        assert await store.perform(GetValue(PREKEY_VALUE)) is None
        # Cut off between the file and the store, it is not doubled.
        await store.perform(SetValue(PREKEY_VALUE, old.id + old.secret.value))
        assert await settings.prekeys(files) == (moved,) == files.load()
        assert await store.perform(GetValue(PREKEY_VALUE)) is None
        # Cut off between overwriting and forgetting.
        await store.perform(SetValue(PREKEY_VALUE, bytes(40)))
        assert await settings.prekeys(files) == (moved,)
        assert await store.perform(GetValue(PREKEY_VALUE)) is None
    finally:
        await store.close()
    assert old.secret.value not in (tmp_path / "station.db").read_bytes()


async def test_without_room_the_one_in_the_store_is_used_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = prekey(9)
    store = Store.open(tmp_path / "station.db")
    try:
        settings, files = Settings(store, tmp_path, b"bootboot"), PrekeyFiles(tmp_path)
        await store.perform(SetValue(PREKEY_VALUE, old.id + old.secret.value))

        def full(_: KeepPrekey) -> None:
            raise StoreError("prekeys", "full")

        with monkeypatch.context() as patch:
            patch.setattr(files, "carry_out", full)
            assert await settings.prekeys(files) == (old,)
        assert await store.perform(GetValue(PREKEY_VALUE)) is not None
        assert await settings.prekeys(files) == (old,) == files.load()
    finally:
        await store.close()


async def test_one_whose_mark_can_not_be_read_is_used_all_the_same(tmp_path: Path) -> None:
    files, kept = PrekeyFiles(tmp_path), prekey(7)
    await files.perform(KeepPrekey(kept))
    # Reading this fails as reading a bad block does.
    (tmp_path / FOLDER / f"{kept.id.hex()}.retired").mkdir()
    assert files.load() == (kept,)
