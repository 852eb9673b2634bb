"""The screen on a fake station, with a clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC

import pytest
from fake_client import FakeClient
from textual.pilot import Pilot

from appliance.tui.app import FencewireApp
from appliance.tui.client import StationClient
from appliance.tui.wording import Times

WAIT_S = 5.0


async def _at_once(min_sleep: float = 0.0, max_sleep: float = 0.0) -> None:
    """Stand in for textual's wait, after every key, until the process has had nothing to do.

    What was pressed is taken in order in any case, and the tests wait for what they want to see.
    """
    await asyncio.sleep(0)


pytest.MonkeyPatch().setattr("textual.app.wait_for_idle", _at_once)
pytest.MonkeyPatch().setattr("appliance.tui.screens.find.PAUSE_S", 0.05)


@dataclass
class Clock:
    """Monotonic seconds."""

    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def make_app(client: StationClient, clock: Clock | None = None) -> FencewireApp:
    """Return the program with UTC and a still clock."""
    return FencewireApp(client, times=Times(UTC), now_s=clock or Clock())


@dataclass
class Screen:
    """What a test sees and presses."""

    app: FencewireApp
    client: FakeClient
    clock: Clock
    pilot: Pilot[int]

    @property
    def text(self) -> str:
        """All characters on the screen."""
        self.app.main.draw()
        return self.app.main.canvas.get_text()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, f"never came: {what}\n{self.text}"
            await asyncio.sleep(0.005)

    async def sees(self, words: str) -> None:
        """Wait until words stand on the screen."""
        await self.until(lambda: words in self.text, words)

    async def sees_no(self, words: str) -> None:
        """Wait until words have gone from the screen."""
        await self.until(lambda: words not in self.text, f"no {words}")

    async def press(self, *keys: str) -> None:
        """Press keys, a good second apart, so that none is taken for one in passing."""
        for key in keys:
            self.clock.now_s += 1.5
            await self.pilot.press(key)

    async def type(self, text: str) -> None:
        """Type quickly."""
        await self.pilot.press(*("space" if char == " " else char for char in text))


@asynccontextmanager
async def screen_of(client: FakeClient, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Screen]:
    """Run the screen; it has loaded when this yields."""
    clock = Clock()
    app = make_app(client, clock)
    async with app.run_test(size=size) as pilot:
        screen = Screen(app, client, clock, pilot)
        if client.alive:
            await screen.until(lambda: app.state.selected in app.state.talks, "a conversation")
        yield screen
