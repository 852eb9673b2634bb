"""A sound device that is pulled out of a call between real daemons, and put back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from seats import Seat, eventually, pair
from sound_server import MICROPHONE, SPEAKER, SoundServer, needs_pipewire, tone_file

from appliance.api.schema import CallInfo

pytestmark = [
    pytest.mark.village,
    pytest.mark.usefixtures("may_make_namespaces"),
    needs_pipewire,
]

SAID_WITHIN_S = 2.0
BACK_WITHIN_S = 3.0


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SoundServer]:
    made = SoundServer(tmp_path)
    made.describe_cards({"left": ""})
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    try:
        await asyncio.to_thread(made.start)
        await asyncio.to_thread(made.plug_in, "left-in", MICROPHONE)
        await asyncio.to_thread(made.plug_in, "left-out", SPEAKER)
        yield made
    finally:
        await asyncio.to_thread(made.stop)


async def test_a_loudspeaker_that_is_pulled_out_is_said_and_the_call_goes_on(
    server: SoundServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tone = str(tone_file(tmp_path / "tone.wav", 60))
    async with pair(tmp_path_factory.mktemp("v")) as (a, b), a.diary() as diary:
        await a.client.set_sound(input_device="left", output_device="left", handset=True)
        await call_with_a_card(a, b, tone, tmp_path / "b.wav")
        heard = await diary.first(
            CallInfo, lambda c: c.level_out_db > -30 and not has(c, "no-speaker")
        )
        pulled = time.monotonic()
        await asyncio.to_thread(server.pull_out, "left-out")
        told = await diary.first(CallInfo, lambda c: has(c, "no-speaker"), after=heard)
        assert time.monotonic() - pulled <= SAID_WITHIN_S
        await asyncio.to_thread(server.plug_in, "left-out", SPEAKER)
        plugged = time.monotonic()
        back = await diary.first(CallInfo, lambda c: not has(c, "no-speaker"), after=told)
        assert time.monotonic() - plugged <= BACK_WITHIN_S
        await diary.first(CallInfo, lambda c: c.level_out_db > -30, after=back)
        assert {c.state for c in diary.all(CallInfo)} >= {"talking"}
        assert "ended" not in {c.state for c in diary.all(CallInfo)}
        assert await b.call_in("talking") is not None


def has(call: CallInfo, code: str) -> bool:
    return code in {problem.code for problem in call.problems}


async def call_with_a_card(a: Seat, b: Seat, play: str, record: Path) -> None:
    """A call from a, who uses sound cards, to b, who uses files."""
    await a.client.call(b.id)
    ringing = await eventually(b.ringing)
    assert ringing is not None
    await b.client.answer(ringing.id, play=play, record=str(record))
    await eventually(partial(a.call_in, "talking"))
