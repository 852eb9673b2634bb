"""Files and voice messages on the screen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from fake_client import FakeClient
from hypothesis import given
from hypothesis import strategies as st
from screen import screen_of
from shapes import message, station

from appliance.api.attachments import Attachment
from appliance.tui import browsing
from appliance.tui.wording import size

CLINIC = station("clinic", "c111", trust="verified")
MAP = Attachment(0, "map.png", 2_100_000, "image/png", "A map of the ford", 0, "here", 0, None)
VOICE = Attachment(1, "x.ogg", 9_000, "audio/ogg", "", 12_300, "waiting", 0, "far away")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory with something in it."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "ford.jpg").write_bytes(b"x" * 2_000)
    (tmp_path / "plan.txt").write_text("plan")
    (tmp_path / ".secret").write_text("hidden")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


async def test_a_file_is_chosen_with_arrows_and_sent(home: Path) -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down", "f7", "3")
        await screen.sees(f">{home}"[:40])
        await screen.press("enter")
        await screen.sees(">photos/")
        assert ".secret" not in screen.text
        await screen.press("enter")
        await screen.sees(">ford.jpg")
        await screen.sees("2.0 kB")
        await screen.press("left")
        await screen.sees("plan.txt")
        await screen.type("ph")
        await screen.press("enter")
        await screen.sees(">ford.jpg")
        await screen.press("enter")
        await screen.sees("with ford.jpg 2.0 kB")
        await screen.sees("It goes with your message.")
        await screen.press("enter")  # no text is needed
        await screen.sees("[ford.jpg  2.0 kB] here")
        await screen.sees_no("with ford.jpg")
        assert client.stored[0].attachments[0].name == "ford.jpg"


async def test_a_file_is_named_by_its_path_and_taken_off_again(home: Path) -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("f7", "3")
        await screen.sees("A drive that is plugged in appears here")
        await screen.type("/nowhere/at/all")
        await screen.press("enter")
        await screen.sees("There is no such file.")
        await screen.press(*["backspace"] * 15)
        await screen.type("~/pl")
        await screen.press("enter")
        await screen.sees(">plan.txt")
        await screen.press("enter")
        await screen.sees("with plan.txt 4 B")
        await screen.press("f7", "5")
        await screen.sees_no("with plan.txt")
        await screen.until(lambda: not client.files, "it was thrown away")


async def test_a_message_does_not_go_before_its_file_is_there(home: Path) -> None:
    client = FakeClient(CLINIC)
    client.uploading = asyncio.Event()
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.type("The plan")
        screen.app.writer.attach(home / "plan.txt")
        await screen.sees("Reading plan.txt...")
        await screen.press("enter")
        await screen.sees("The file is still being read.")
        assert client.stored == []
        client.uploading.set()
        await screen.sees("with plan.txt 4 B")
        await screen.press("enter")
        await screen.sees("[plan.txt  4 B] here")
        screen.app.writer.attach(home / "nothing.txt")
        await screen.sees("nothing.txt can't be read: No such file or directory.")


async def test_what_came_is_saved_and_overwrites_nothing(home: Path) -> None:
    client = FakeClient(CLINIC)
    client.stored = [message(CLINIC, "The way", 1, attachments=(replace(MAP, name="../plan.txt"),))]
    async with screen_of(client) as screen:
        await screen.press("down", "enter", "enter")
        await screen.sees("1  ../plan.txt  2.1 MB  here")
        await screen.press("enter")
        await screen.sees("A map of the ford")
        await screen.press("1")
        await screen.sees("Choose a directory")
        await screen.sees(f">{home}"[:40])
        await screen.press("enter")
        await screen.sees(">photos/")
        assert ">plan.txt" not in screen.text
        await screen.press("f7")
        await screen.sees("Saved:")
    assert (home / "_plan.txt").read_bytes() == b"what came"
    assert (home / "plan.txt").read_text() == "plan"


async def test_what_is_not_here_is_asked_for_and_says_how_far_it_is() -> None:
    client = FakeClient(CLINIC)
    files = (MAP, replace(VOICE, index=1))
    client.stored = [message(CLINIC, "Both", 1, attachments=files)]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("[voice message 0:12] not here yet")
        await screen.press("enter", "enter", "2", "1")
        await screen.press("escape", "escape")
        await screen.sees("[voice message 0:12] coming, 0 %")
        coming = (MAP, replace(VOICE, state="fetching", have_bytes=4_500, problem=None))
        client.tell("message", replace(client.stored[0], attachments=coming))
        await screen.sees("coming, 50 %")
        refused = (MAP, replace(VOICE, state="refused", problem="It is too large."))
        client.tell("message", replace(client.stored[0], attachments=refused))
        await screen.sees("not fetched: ")


async def test_a_long_name_does_not_hide_where_a_file_is() -> None:
    client = FakeClient(CLINIC)
    file = replace(MAP, name="the way over the hills and " * 5 + ".png", state="waiting")
    client.stored = [message(CLINIC, "Look", 1, attachments=(file,))]
    async with screen_of(client) as screen:
        await screen.press("down")
        await screen.sees("  2.1 MB] not here yet")
        await screen.press("enter", "enter")
        await screen.sees("  2.1 MB  not here yet")


async def test_a_voice_message_is_recorded_heard_and_sent() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("down", "f7", "4")
        await screen.sees("Recording: speak now.")
        (running,) = client.recorded.values()
        client.record(replace(running, duration_ms=1_200, level_db=-20.0))
        await screen.sees("0:01 of 5:00   microphone ####..")
        await screen.press("enter")
        await screen.sees("0:01 are recorded.")
        await screen.press("2")
        await screen.sees("Playing  0:00 of 0:01")
        await screen.press("enter")
        await screen.sees("Paused")
        await screen.press("escape")
        await screen.until(lambda: client.played and client.played.state == "over", "it stopped")
        await screen.press("3")
        await screen.sees("Recording: speak now.")
        assert client.recorded["r0"].state == "gone"
        await screen.press("enter")
        await screen.sees("0:01 are recorded.")
        await screen.press("1")
        await screen.sees("[voice message 0:01] here")
        assert client.recorded["r1"].state == "ready"
        await screen.press("enter", "enter", "enter", "1")
        await screen.sees("Playing")
        assert client.plays[-1].message == client.stored[0].id


async def test_a_recording_that_is_left_is_thrown_away_but_a_call_keeps_it() -> None:
    client = FakeClient(CLINIC)
    async with screen_of(client) as screen:
        await screen.press("f7", "4")
        await screen.sees("Recording: speak now.")
        await screen.press("escape")
        await screen.until(lambda: client.recorded["r0"].state == "gone", "it is thrown away")
        await screen.press("f7", "4")
        await screen.sees("Recording: speak now.")
        client.ring(CLINIC)
        await screen.sees("IS CALLING")
        client.record(
            replace(client.recorded["r1"], state="ready", duration_ms=3_000, ended="call")
        )
        await screen.press("enter")
        await screen.sees("0:00")
        screen.app.choose("everyone")
        await screen.sees("with voice message 0:03")


def test_places_are_home_and_what_is_mounted() -> None:
    mounts = "\n".join(
        [
            "/dev/sda1 / ext4 rw 0 0",
            "/dev/sdb1 /media/ana/USB\\040STICK vfat rw 0 0",
            "/dev/sdc1 /run/media/ana/card vfat rw 0 0",
            "/dev/sdd1 /mnt ext4 rw 0 0",
        ]
    )
    found = [str(one.path) for one in browsing.places(Path("/home/ana"), mounts)]
    assert found == ["/home/ana", "/media/ana/USB STICK", "/run/media/ana/card", "/mnt"]


@given(st.text(max_size=300))
def test_a_file_of_others_stays_where_it_is_put(name: str) -> None:
    safe = browsing.safe_name(name)
    assert Path("/x", safe).parent == Path("/x")
    assert safe not in {"", ".", ".."}
    assert not safe.startswith(".")
    assert len(browsing.numbered(safe, 99).encode()) <= 255
    assert safe.isprintable()


def test_sizes_are_words() -> None:
    sizes = [size(count) for count in (0, 999, 1_000, 12_345, 2_100_000, 999_999_999, 10**12)]
    assert sizes == ["0 B", "999 B", "1.0 kB", "12 kB", "2.1 MB", "1.0 GB", "1000.0 GB"]
    assert browsing.numbered("a.tar", 2) == "a (2).tar"
    assert browsing.numbered("a", 3) == "a (3)"
