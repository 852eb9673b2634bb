"""Recordings on the disk: what a crash leaves is made whole, and everything has a bound."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.adapters.oggopus import OggOpusWriter
from appliance.daemon import recording_shelf
from appliance.daemon.recording_shelf import KEEP_S, MAX_RECORDINGS, Shelf, ShelfError
from appliance.media.pcm import SILENCE


def record(path: Path, frames: int) -> bytes:
    writer = OggOpusWriter(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for _ in range(frames):
        writer.write(SILENCE)
    writer.close()
    return path.read_bytes()


def shelf(folder: Path, awake_s: float = 0.0) -> Shelf:
    made = Shelf(folder)
    made.load(awake_s)
    return made


def test_what_was_recorded_is_found_again(tmp_path: Path) -> None:
    before = shelf(tmp_path / "recordings")
    recording, path = before.new(100.9)
    record(path, 75)
    kept = before.complete(recording, path)
    assert kept is not None
    assert (kept.duration_ms, kept.made_s, kept.bytes) == (1_500, 100, path.stat().st_size)
    assert list(shelf(tmp_path / "recordings", 200.0).kept.values()) == [kept]
    before.remove(recording)
    assert shelf(tmp_path / "recordings").kept == {}


def test_what_a_crash_leaves_is_made_whole_or_goes(tmp_path: Path) -> None:
    first = shelf(tmp_path)
    cut, cut_path = first.new(0)
    data = record(cut_path, 120)
    cut_path.write_bytes(data[:-10])
    begun = first.new(0)[1]
    record(begun, 0)
    empty, strange = first.new(0)[1], tmp_path / "strange.opus"
    for path in (empty, strange):
        path.touch()
    found = shelf(tmp_path)
    assert list(found.kept) == [cut]
    assert 1_990 <= found.kept[cut].duration_ms <= 2_000
    assert cut_path.stat().st_size == found.kept[cut].bytes < len(data) - 10
    assert sorted(tmp_path.iterdir()) == sorted([cut_path, strange]), "strangers are left alone"


def test_a_day_awake_is_enough(tmp_path: Path) -> None:
    first = shelf(tmp_path)
    ids = []
    for made_s in (0, 1_000):
        recording, path = first.new(made_s)
        record(path, 1)
        first.complete(recording, path)
        ids.append(recording)
    assert [kept.id for kept in first.prune(KEEP_S)] == ids[:1]
    assert first.prune(KEEP_S + 1_000, frozenset(ids)) == []
    assert list(first.kept) == ids[1:]
    # The store was lost, and with it how long the station had been awake.
    again = shelf(tmp_path, awake_s=5.0)
    assert again.kept[ids[1]].made_s == 5
    assert list(shelf(tmp_path, awake_s=KEEP_S).kept) == ids[1:]
    assert shelf(tmp_path, awake_s=KEEP_S + 5).kept == {}


def test_there_is_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shelf(tmp_path)
    data = record(tmp_path / "one", 1)
    for _ in range(MAX_RECORDINGS):
        recording, path = full.new(0)
        path.write_bytes(data)
        full.complete(recording, path)
    with pytest.raises(ShelfError) as caught:
        full.new(0)
    assert caught.value.code == "too-many-recordings"
    full.remove(recording)
    full.new(0)
    monkeypatch.setattr(recording_shelf, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(ShelfError) as caught:
        full.new(0)
    assert caught.value.code == "disk-full"
