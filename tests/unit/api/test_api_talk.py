"""Talk groups over the local API."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from memory_backend import MemoryBackend
from memory_talking import QUIET

from appliance.api.client import Client, RequestError, event_data
from appliance.api.talking import Listen, Press, Replay
from appliance.api.unix_http import fetch


async def test_a_channel_is_heard_spoken_on_and_played_again(
    client: Client, backend: MemoryBackend
) -> None:
    assert await client.channels() == (QUIET,)
    assert (await client.press("everyone", precedence="priority", play="/a.wav")).key == "speaking"
    assert (await client.release("everyone")).key == "up"
    assert not (await client.listen("everyone", on=False)).listening
    assert (await client.replay("everyone", from_s=9.0)).replaying
    assert backend.talk.asked == [Press("priority", "/a.wav"), Listen(False), Replay(True, 9.0)]
    with pytest.raises(RequestError, match="no group"):
        await client.press("Nobody")


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/v1/talk/everyone/press", b'{"precedence": "flash"}'),
        ("/v1/talk/everyone/press", b'{"play": "here.wav"}'),
        ("/v1/talk/everyone/listen", b'{"on": 1}'),
        ("/v1/talk/everyone/listen", b'{"record": "x\\u0000"}'),
        ("/v1/talk/everyone/replay", b'{"from_s": 0}'),
        ("/v1/talk/everyone/replay", b'{"from_s": 121}'),
    ],
)
async def test_bodies_of_another_shape_are_refused(
    client: Client, target: str, body: bytes
) -> None:
    status, answer = await fetch(client.path, "POST", target, body, timeout_s=5)
    assert (status, b"bad-request" in answer) == (400, True)


async def test_changes_are_events(client: Client, backend: MemoryBackend) -> None:
    async with aclosing(client.events()) as events:
        await anext(events)
        pressed = await client.press("everyone")
        assert event_data(await anext(events)) == pressed
