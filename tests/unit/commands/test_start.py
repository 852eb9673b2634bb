"""Starting a daemon in the background, and hearing why one did not start."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from fencewire_program import Fencewire

from appliance.api.client import Client, NotRunning
from appliance.commands import exits
from appliance.commands.start import Background


async def test_a_daemon_that_can_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FENCEWIRE_STATE", str(tmp_path))
    (tmp_path / "station.key").write_text("no key at all")
    started = Background(tmp_path / "api.sock")
    await asyncio.to_thread(started.wait, 20)
    said = started.last_words()
    assert said is not None
    assert "station.key" in said
    with pytest.raises(NotRunning, match=r"station\.key"):
        await Client(tmp_path / "api.sock").status()
    assert (tmp_path / "station.key").read_text() == "no key at all"
    assert stat.S_IMODE((tmp_path / "daemon.log").stat().st_mode) == 0o600


async def test_without_a_terminal_there_is_no_screen_and_no_daemon(fencewire: Fencewire) -> None:
    for words in ([], ["tui"]):
        done = await fencewire(*words)
        assert (done.code, done.out) == (exits.FAILED, "")
        assert "no terminal" in done.err
    assert not (fencewire.folder / ".local").exists()
