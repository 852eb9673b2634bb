"""Whatever is pressed, in whatever order and on whatever terminal: the screen stands."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fake_client import FakeClient
from scenes import FOREIGN, with_files
from screen import screen_of

from appliance.api.errors import RequestError

KEYS = (
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "backspace"),
    *("enter", "escape", "tab", "shift+tab", "space", *"123456789abet"),
    *("f1", "f2", "f4", "f6", "f7", "f8", "f9", "f10"),
)


async def _nothing_to_save(client: FakeClient, message: str, index: int, path: Path) -> int:
    raise RequestError(409, "not-here", "It is not here yet.", "Wait.")


@pytest.mark.parametrize("size", [(80, 24), (30, 8), (200, 60)])
async def test_any_keys(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing outside of the test may be written by a chance sequence of keys.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(FakeClient, "download", _nothing_to_save)
    seed = random.randrange(1 << 32)
    chosen = random.Random(seed)
    client = with_files()
    client.known |= {one.id: one for one in FOREIGN}
    pressed: list[str] = []
    async with screen_of(client, size) as screen:
        while len(pressed) < 60 and screen.app.is_running:
            pressed.append(chosen.choice(KEYS))
            await screen.press(pressed[-1])
            if screen.app.is_running:
                screen.app.main.draw()
                widths = {row.cell_length for row in screen.app.main.canvas.rows}
                assert widths == {size[0]}, (seed, pressed)
