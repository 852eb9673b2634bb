"""The microphone from the command line: off, on, and push to talk."""

from __future__ import annotations

import pytest
from fencewire_program import Fencewire
from memory_backend import CLINIC, MemoryBackend

from appliance.commands import exits


@pytest.mark.usefixtures("server")
async def test_push_to_talk(fencewire: Fencewire, backend: MemoryBackend) -> None:
    assert (await fencewire("microphone", "push")).code == exits.FAILED
    call = backend.new_call(CLINIC, outgoing=True)
    backend.push_call(call.id, "talking")
    refused = await fencewire("microphone", "talk")
    assert (refused.code, "open already" in refused.err) == (exits.FAILED, True)
    assert "you are not heard" in (await fencewire("microphone", "push")).out
    assert "you are heard, for 60 s at most" in (await fencewire("microphone", "talk")).out
    assert "your microphone is open" in (await fencewire("microphone", "on", call.id)).out
    await fencewire("sound", "--handset", "yes", "--talk-key", "none")
    assert backend.asked[-1] == ("set_sound", True, "")
