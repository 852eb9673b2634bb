"""The note of the answered calls: found after a kill, not after a while, and never of somebody."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.daemon.call_note import CallNote, note_path
from appliance.model.kept_call import KeptCall, KeptDialog, KeptSound
from appliance.protocol.kept_calls import decode, encode

CALL = KeptCall(
    id="0123456789abcdef",
    station="a" * 56,
    their_line="console",
    our_line="console",
    outgoing=True,
    created_at=10.0,
    answered_at=11.5,
    peer_boot="00ff",
    we_invited=True,
    dialog=KeptDialog("id", "<sip:a>;tag=1", "<sip:b>;tag=2", "1", "2", "sip:b", (), 7),
    sound=KeptSound(False, None, None, "/tmp/x.wav", 1, str(1 << 55), 3),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return note_path(tmp_path / "api.sock")


def test_what_was_noted_is_found(path: Path) -> None:
    CallNote(path).keep((CALL,))
    found, age_s = CallNote(path).find()
    assert found == (CALL,)
    assert 0 <= age_s < 5
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_without_calls_there_is_no_file(path: Path) -> None:
    note = CallNote(path)
    note.keep((CALL,))
    note.keep(())
    assert not path.exists()
    assert CallNote(path).find()[0] == ()


@pytest.mark.parametrize("off_s", [-20.0, 60.0])
def test_what_is_not_of_just_now_is_not_taken_up(path: Path, off_s: float) -> None:
    CallNote(path).keep((CALL,))
    fresh = decode(path.read_bytes())
    path.write_bytes(encode(replace(fresh, alive_at=fresh.alive_at + off_s)))
    assert CallNote(path).find()[0] == ()


def test_what_is_of_another_start_of_the_machine_is_not_taken_up(path: Path) -> None:
    CallNote(path).keep((CALL,))
    fresh = decode(path.read_bytes())
    path.write_bytes(encode(replace(fresh, machine_boot="another")))
    assert CallNote(path).find()[0] == ()


def test_what_is_broken_or_not_ours_is_not_taken_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    CallNote(path).keep((CALL,))
    good = path.read_bytes()
    for bad in (b"", good[:-1], b"x" * 100_000):
        path.write_bytes(bad)
        assert CallNote(path).find()[0] == ()
    path.write_bytes(good)
    link = path.with_name("elsewhere.calls")
    link.symlink_to(path)
    assert CallNote(link).find()[0] == ()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert CallNote(path).find()[0] == ()


def test_a_folder_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    note = CallNote(tmp_path / "missing" / "api.calls")
    note.keep((CALL,))
    assert note.find()[0] == ()
    CallNote(None).keep((CALL,))
