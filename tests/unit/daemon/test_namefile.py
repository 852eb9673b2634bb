"""The station's name beside its key, for when the store is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.adapters.blobs import Blobs
from appliance.adapters.store import Store
from appliance.api.event_log import EventLog
from appliance.daemon import namefile
from appliance.daemon.announcer import Announcer
from appliance.daemon.backend import DaemonBackend
from appliance.daemon.main import _build, _name_from_before, _take_name
from appliance.daemon.settings import Settings
from appliance.model.identity import StationKey

KEY, OTHER = (StationKey.from_bytes(bytes([number]) * 32) for number in (1, 2))


async def _life(directory: Path, name: str | None = None) -> str:
    """Start, take a name perhaps, and end; return what the station was called then."""
    store = Store.open(directory / "station.db")
    settings = Settings(store, directory, b"bootboot")
    announcer = Announcer(EventLog("b"))
    runtime = await _build(KEY, settings, announcer, Blobs(directory / "blobs"))
    daemon = DaemonBackend(runtime, announcer, settings)
    before = _name_from_before(runtime.station, directory)
    runtime.carry_out(runtime.station.start(runtime.time.now()))
    if before is not None:
        _take_name(runtime, before)
    if name is not None:
        await daemon.set_name(name)
    await runtime.stop()
    return runtime.station.name


def _lose_store(directory: Path) -> None:
    for path in directory.glob("station.db*"):
        path.unlink()


async def test_a_station_that_loses_its_store_keeps_its_name_with_nobody_else_there(
    tmp_path: Path,
) -> None:
    default = KEY.id.default_name
    assert await _life(tmp_path) == default
    _lose_store(tmp_path)
    assert await _life(tmp_path, "Mill") == "Mill"
    _lose_store(tmp_path)
    assert await _life(tmp_path) == "Mill"
    (tmp_path / namefile.FILE_NAME).unlink()
    assert await _life(tmp_path) == "Mill"  # from the store, as of an earlier version
    _lose_store(tmp_path)
    assert await _life(tmp_path) == "Mill"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 4000,
        json.dumps({"station": KEY.id.text}).encode(),
        json.dumps({"station": KEY.id.text, "name": 1}).encode(),
        json.dumps({"station": KEY.id.text, "name": "\u202egate"}).encode(),
        json.dumps({"station": KEY.id.text, "name": "x" * 41}).encode(),
        json.dumps({"station": OTHER.id.text, "name": "theirs"}).encode(),
    ],
    ids=range(10),
)
def test_what_is_no_name_of_ours_is_none(data: bytes, tmp_path: Path) -> None:
    (tmp_path / namefile.FILE_NAME).write_bytes(data)
    assert namefile.load(tmp_path, KEY.id) is None


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    assert namefile.load(tmp_path / "none", KEY.id) is None
    namefile.keep(tmp_path / "none", KEY.id, "Mill")
    (tmp_path / namefile.FILE_NAME).mkdir()
    namefile.keep(tmp_path, KEY.id, "Mill")
    assert namefile.load(tmp_path, KEY.id) is None
