"""Nobody answers: the caller hears of it, leaves a voice message, and the other side finds both."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from seats import Seat, delivered, eventually, pair
from speech import long_speech, needs_speech

from appliance.api.schema import CallInfo, Message
from appliance.village import launch

pytestmark = [
    pytest.mark.village,
    pytest.mark.usefixtures("may_make_namespaces"),
    needs_speech,
]

RING_S = 2.0
"""So that the test need not wait for a minute; the caller's word comes from the callee."""


async def test_nobody_answers_and_a_voice_message_is_left(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    command = [*launch.daemon_command(), "--ring-for", f"{RING_S:g}"]
    async with pair(tmp_path_factory.mktemp("v"), command=command) as (a, b):
        async with a.diary() as diary:
            placed = await a.client.call(b.id)
            over = await diary.first(CallInfo, lambda call: call.state == "ended")
        assert (over.id, over.end_reason) == (placed.id, "no-answer")
        speech = long_speech(tmp_path / "speech.wav", times=1)
        recording = await a.client.start_recording(play=str(speech), max_s=1.5)
        await eventually(partial(recorded, a, recording.id))
        sent = await a.client.send(b.id, "", attachments=(recording.id,))
        await delivered(a, sent.id)
        (missed,) = (await b.client.past_calls(a.id, missed=True)).calls
        assert (missed.missed, missed.seen, missed.talking_s) == (True, False, None)
        assert await eventually(partial(voice_here, b, sent.id))
        # Both are there after a power cut.
        b.village.kill("b")
        b.village.start("b")
        (again,) = (await eventually(partial(b.client.past_calls, missed=True))).calls
        assert again == missed
        assert (await eventually(b.client.status)).missed_calls == 1
        assert await b.client.see_calls(again.number, a.id) == 1
        assert (await b.client.past_calls()).calls[0].seen
        (ours,) = (await a.client.past_calls()).calls
        assert (ours.outgoing, ours.end_reason, ours.missed) == (True, "no-answer", False)


async def recorded(seat: Seat, recording: str) -> bool:
    return any(
        one.id == recording and one.state == "ready" for one in await seat.client.recordings()
    )


async def voice_here(seat: Seat, message: str) -> Message | None:
    found = await seat.client.message(message)
    voiced = [one for one in found.attachments if one.state == "here"]
    return found if voiced else None
