"""Push to talk on the command line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fencewire_program import Fencewire
from memory_backend import CLINIC, MemoryBackend
from memory_talking import QUIET

from appliance.api.talking import Press, Replay
from appliance.commands import exits

pytestmark = pytest.mark.usefixtures("server")


async def test_channels_are_listed_and_listened_to(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    done = await fencewire("talk")
    assert done.out == "everyone  open  listening  nobody talks\n"
    backend.talk.put(replace(QUIET, speaker=CLINIC, speaker_name="clinic", precedence="priority"))
    off = await fencewire("talk", "listen", "everyone", "--off")
    assert off.out == "everyone  open  off  clinic talks, priority\n"
    on = await fencewire("talk", "listen", "everyone")
    assert "pretend to be another" in on.err
    again = await fencewire("talk", "replay", "everyone", "--seconds", "30")
    assert backend.talk.asked[-1] == Replay(on=True, from_s=30.0)
    assert again.out.startswith("Playing what was said on everyone lately. To stop: fencewire")
    stopped = await fencewire("talk", "replay", "everyone", "--stop")
    assert stopped.out == "everyone: stopped.\n"
    nobody = await fencewire("talk", "press", "Nobody")
    assert nobody.code == exits.NO_STATION


async def test_a_replay_that_begins_late_or_not_at_all_is_told_as_it_is(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    backend.talk.late = True
    running = await fencewire.start("talk", "replay", "everyone")
    await backend.talk.was_asked()
    backend.talk.put(replace(QUIET, replaying=True))
    assert "Playing" in (await running.done()).out
    backend.talk.put(QUIET)
    running = await fencewire.start("talk", "replay", "everyone")
    await backend.talk.was_asked()
    nothing = "Nothing was said here in the last 2 minutes."
    backend.talk.put(replace(QUIET, detail=nothing))
    done = await running.done()
    assert (done.code, nothing in done.err, done.out) == (exits.FAILED, True, "")


async def test_who_presses_speaks_until_interrupted(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    running = await fencewire.start("talk", "press", "everyone", "--precedence", "emergency")
    await running.until("on the air: speak. Anybody can hear this channel.")
    assert backend.talk.asked == [Press("emergency")]
    running.interrupt()
    done = await running.done()
    assert (done.code, done.out.splitlines()[-1]) == (exits.OK, "You have let go.")
    assert backend.talk.all() == (replace(QUIET, precedence="emergency"),)


async def test_who_has_to_wait_is_told_for_whom(
    fencewire: Fencewire, backend: MemoryBackend
) -> None:
    backend.talk.put(replace(QUIET, speaker=CLINIC, speaker_name="clinic"))
    running = await fencewire.start("talk", "press", "everyone", "--json")
    await running.until('"key": "waiting"')
    late = "It was not your turn for a minute.  Let go and press again."
    backend.talk.put(replace(backend.talk.all()[0], key="over", detail=late))
    done = await running.done()
    assert (done.code, late in done.err) == (exits.NOT_IN_TIME, True)
    assert backend.talk.all()[0].key == "up"
