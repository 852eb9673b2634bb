"""Files on the command line: sent, shown and saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fencewire_program import Fencewire
from memory_attachments import described
from memory_backend import MemoryBackend

from appliance.api.attachments import Upload
from appliance.commands import exits
from appliance.commands.attachments import _names
from appliance.commands.attachments import described as of
from appliance.model.attachment import is_file_name

pytestmark = pytest.mark.usefixtures("server")


async def test_files_are_sent_shown_and_saved_beside_what_is_there(
    fencewire: Fencewire, backend: MemoryBackend, tmp_path: Path
) -> None:
    (tmp_path / "map.txt").write_text("a map")
    done = await fencewire("send", "clinic", "--attach", str(tmp_path / "map.txt"), "--json")
    assert done.code == exits.OK
    message = backend.kept[-1]
    shown = await fencewire("inbox", "--peek")
    assert "[file 1: map.txt, 5 bytes]" in shown.out
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "map.txt").write_text("another")
    saved = await fencewire("save", message.id, "1", str(folder), "--json")
    assert saved.lines == [{"name": "map.txt", "bytes": 5, "path": str(folder / "map (2).txt")}]
    assert (folder / "map (2).txt").read_text() == "a map"
    assert (folder / "map.txt").read_text() == "another"


async def test_what_can_not_be_read_or_is_not_here_is_said(
    fencewire: Fencewire, backend: MemoryBackend, tmp_path: Path
) -> None:
    missing = await fencewire("send", "clinic", "hello", "--attach", str(tmp_path / "none"))
    assert missing.code == exits.FAILED
    assert "can't be read: No such file" in missing.err
    assert not backend.kept
    backend.store("everyone", "hello", author=next(iter(backend.all)))
    none = await fencewire("save", backend.kept[-1].id)
    assert "No files came with this message." in none.err
    assert (await fencewire("send", "clinic")).code == exits.USAGE


def test_what_is_not_here_is_said_with_what_is_known_of_it() -> None:
    upload = Upload("u", "a\x1b[2J.txt", 2_500_000, "text/plain", "two\nlines")
    one = replace(described(upload, 1), state="fetching", have_bytes=1_000_000)
    assert of(one) == '[file 2: a\ufffd[2J.txt, 2.5 MB - 40 % is here] it begins: "two lines"'
    voice = replace(
        one, duration_ms=12_400, bytes=9_000, preview="", state="waiting", problem="No."
    )
    assert of(voice) == "[file 2: a\ufffd[2J.txt, 9,000 bytes, 12 s - not here yet: No.]"


def test_no_name_leaves_the_directory(tmp_path: Path) -> None:
    for name in ("../../etc/passwd", "..", ".", "/x", "a\nb", "\\\\host\\x", "", ".bashrc"):
        for path in _names(tmp_path, name)[:2]:
            assert path.parent == tmp_path
            assert path.name.isprintable()
            assert not path.name.startswith(".")
    long = _names(tmp_path, "é" * 300 + ".jpg")[1]
    assert len(long.name.encode()) <= 255
    assert long.name.endswith(" (2).jpg")


def test_a_file_without_an_ending_has_numbers_too(tmp_path: Path) -> None:
    assert [path.name for path in _names(tmp_path, "README")[:2]] == ["README", "README (2)"]


def test_any_name_that_can_be_sent_makes_one_that_fits(tmp_path: Path) -> None:
    for ending in ("x" * 253, "é" * 126):
        sent = f"a.{ending}"
        assert is_file_name(sent)
        for path in _names(tmp_path, sent)[:2]:
            assert len(path.name.encode()) <= 255
    (fit, *_) = _names(tmp_path, 'bridge 12:30 "north"?.jpg')
    assert fit.name == "bridge 12_30 _north__.jpg", "a stick takes no other"
