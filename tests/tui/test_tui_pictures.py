"""Pictures of the screen, and that they are made of characters which every console has."""

from __future__ import annotations

import ast
import gzip
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scenes import SCENES
from screen import Clock, Screen, make_app, screen_of
from textual.pilot import Pilot

import appliance.tui

FONTS = Path("/usr/share/consolefonts")
STOCK_FONTS = (
    "Uni2-Fixed16.psf.gz",
    "Uni2-VGA16.psf.gz",
    "Uni2-Terminus16.psf.gz",
    "Lat15-Fixed16.psf.gz",
)
SOURCES = Path(appliance.tui.__file__).parent

KERNEL_FONT = frozenset(bytes(range(0x20, 0x7F)).decode() + bytes(range(0x80, 256)).decode("cp437"))
"""The font that Linux has built in (lib/fonts/font_8x16.c): code page 437."""


def font_characters(path: Path) -> frozenset[str]:
    """Return what a PC screen font has glyphs for, by its Unicode table (psfaddtable(1))."""
    data = gzip.decompress(path.read_bytes())
    if data[:2] == b"\x36\x04":
        count = 512 if data[2] & 1 else 256
        table = data[4 + count * data[3] :]
        codes = struct.unpack(f"<{len(table) // 2}H", table)
        return frozenset(chr(code) for code in codes if code < 0xFFFE)
    assert data[:4] == b"\x72\xb5\x4a\x86"
    _, start, _, count, size = struct.unpack("<5I", data[4:24])
    table = data[start + count * size :]
    entries = table.replace(b"\xfe", b"\xff").split(b"\xff")
    return frozenset("".join(entry.decode() for entry in entries))


def literals(source: str) -> Iterator[str]:
    """Yield a module's strings, without those that only explain."""
    tree = ast.parse(source)
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in comments:
            yield str(node.value)


def our_characters() -> frozenset[str]:
    """Return what stands in the strings of the screen's program."""
    texts = (text for path in SOURCES.rglob("*.py") for text in literals(path.read_text()))
    return frozenset(char for text in texts for char in text if char.isprintable())


@pytest.mark.parametrize("name", STOCK_FONTS)
def test_every_character_of_ours_is_in_a_stock_font(name: str) -> None:
    if not (FONTS / name).exists():
        pytest.skip(f"{name} is not here: apt-get install console-setup-linux")
    assert our_characters() <= font_characters(FONTS / name)


def test_every_character_of_ours_is_in_the_kernels_own_font() -> None:
    assert our_characters() <= KERNEL_FONT


@pytest.mark.parametrize("name", SCENES)
def test_picture(name: str, snap_compare: Callable[..., bool]) -> None:
    scene = SCENES[name]
    client, clock = scene.client(), Clock()
    app = make_app(client, clock)

    async def play(pilot: Pilot[Any]) -> None:
        screen = Screen(app, client, clock, pilot)
        await screen.until(lambda: app.state.selected in app.state.talks, "a conversation")
        await scene.act(screen)
        await screen.sees(scene.sees)
        await settled(screen)

    assert snap_compare(app, terminal_size=scene.size, run_before=play)


async def settled(screen: Screen) -> None:
    """Wait until nothing is being fetched, then stop the clock's effects."""
    await screen.until(lambda: screen.app.state.selected in screen.app.state.talks, "it all")
    before = ""
    while before != screen.text:
        before = screen.text
        await screen.pilot.pause(0.05)
    assert all(row.cell_length == screen.app.size.width for row in screen.app.main.canvas.rows)


async def test_the_screen_shows_nothing_but_what_we_draw() -> None:
    for scene in SCENES.values():
        if scene.foreign:
            continue
        async with screen_of(scene.client(), scene.size) as screen:
            await scene.act(screen)
            await screen.sees(scene.sees)
            shown = {
                char for line in screen.app.screen._compositor.render_strips() for char in line.text
            }
            assert shown <= KERNEL_FONT, shown - KERNEL_FONT
