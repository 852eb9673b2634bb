"""A USB sound card in a call of PCs, pulled out and put back, and a key that is held to talk."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from booted import ASK, WITHIN_S, Booted, eventually
from call_watch import CallWatch, Look
from figures import Figures
from sound_server import tone_file

from images.vm import Kind

pytestmark = pytest.mark.timeout(900)

TONE_HZ = 500
"""Of `tone_file`."""
TONE_S = 120.0
TONE = "/tmp/tone.wav"
"""Where it is in the machines."""
LOUD_DB = -30.0
"""dB full scale: the tone has -15."""
MOST_OF_IT = 0.5
"""Of the power of what the card has played; the emulated processor is late at times."""
FORGOTTEN_S = 50.0
"""A key that nobody lets go counts as let go after a minute, of which a first look may be late."""
PLAYED_S = 1.0
"""So much sound at least."""


@pytest.fixture
def pair(
    undisturbed: tuple[Booted, Booted], kind: Kind, tmp_path: Path
) -> Iterator[tuple[Booted, Booted]]:
    """Two that have a tone to play."""
    if kind != "pc":
        pytest.skip("sound cards and held keys were tried in emulated PCs only")
    tone = tone_file(tmp_path / "tone.wav", TONE_S).read_bytes()
    for station in undisturbed:
        station.machine.put(tone, TONE)
    yield undisturbed
    for station in undisturbed:
        station.machine.output(["rm", TONE])


@contextmanager
def in_a_call(here: Booted, there: Booted, *, speaks: Booted) -> Iterator[str]:
    """They talk: one has a tone for a microphone and the other none; the call's id here."""
    tone = {"play": TONE}
    placed = here.ask("POST", "/v1/calls", {"to": there.id} | (tone if speaks is here else {}))

    def ringing() -> list[str]:
        calls = there.ask("GET", "/v1/calls")
        return [call["id"] for call in calls if call["state"] == "ringing-here"]

    (call,) = eventually(ringing)
    there.ask("POST", f"/v1/calls/{call}/answer", tone if speaks is there else {})
    try:
        yield placed["id"]
    finally:
        # Whatever became of it: where it has ended, a test says so itself.
        here.machine.run(["python3", "-c", ASK, "POST", f"/v1/calls/{placed['id']}/hangup", ""])


def talking(look: Look) -> bool:
    return look.state == "talking"


def has_speaker(look: Look) -> bool:
    return talking(look) and "no-speaker" not in look.problems


def tone_in(file: Path) -> tuple[float, float]:
    """Of the power in a recording the tone's share, and for how many seconds there is sound."""
    with wave.open(str(file)) as played:
        rate, channels = played.getframerate(), played.getnchannels()
        frames = played.readframes(played.getnframes())
    sound = np.frombuffer(frames, dtype=np.int16)[::channels].astype(float)
    power = np.abs(np.fft.rfft(sound)) ** 2
    near = np.abs(np.fft.rfftfreq(len(sound), 1 / rate) - TONE_HZ) < 25
    return float(power[near].sum() / max(1.0, power.sum())), np.count_nonzero(sound) / rate


def test_a_sound_card_is_pulled_out_of_a_call_and_put_back(
    pair: tuple[Booted, Booted], figures: Figures
) -> None:
    """The call goes on, the screen says what is missing, and the card that is back is used."""
    a, b = pair
    a.machine.plug_in_sound()
    eventually(lambda: a.ask("GET", "/v1/sound")["outputs"])
    assert any("USB Audio" in name for name in a.ask("GET", "/v1/sound")["outputs"])
    with in_a_call(a, b, speaks=b), CallWatch(a, loud_db=LOUD_DB) as watch:
        heard = watch.wait(lambda look: has_speaker(look) and look.loud)
        a.machine.pull_out_sound()
        gone = watch.wait(lambda look: "no-speaker" in look.problems, after=heard)
        assert gone.problems["no-speaker"] == "There is no loudspeaker."
        a.machine.serial.wait_for("There is no loudspeaker.", timeout_s=WITHIN_S)
        assert "Plug one in" in a.machine.serial.text
        a.machine.plug_in_sound()
        back = watch.wait(has_speaker, after=gone)
        heard_s = a.machine.now_s
        eventually(lambda: a.machine.now_s > heard_s + 3 * PLAYED_S)
        share, played_s = tone_in(a.machine.pull_out_sound())
        assert watch.wait(lambda look: "no-speaker" in look.problems, after=back).state == "talking"
        assert {look.state for look in watch.looks[watch.looks.index(heard) :]} == {"talking"}
    assert share > MOST_OF_IT
    assert played_s > PLAYED_S
    figures.add("tone in what a sound card played that was put back", f"{share:.0%}")


def test_who_holds_the_talk_key_is_heard(pair: tuple[Booted, Booted]) -> None:
    """The kernel tells of the key going down and up, which no terminal does."""
    a, b = pair
    assert a.ask("PUT", "/v1/sound", {"talk_key": "right-ctrl"})["talk_key"] == "right-ctrl"
    with (
        in_a_call(a, b, speaks=a) as call,
        CallWatch(a, loud_db=LOUD_DB) as ours,
        CallWatch(b, loud_db=LOUD_DB) as theirs,
    ):
        heard = theirs.wait(lambda look: look.loud)
        a.ask("PATCH", f"/v1/calls/{call}", {"push_to_talk": True})
        silent = theirs.wait(lambda look: talking(look) and not look.loud, after=heard)
        a.machine.monitor.hold("ctrl_r")
        down = ours.wait(lambda look: look.talks)
        heard = theirs.wait(lambda look: look.loud, after=silent)
        a.machine.monitor.let_go("ctrl_r")
        up = ours.wait(lambda look: not look.talks, after=down)
        assert up.moment - down.moment < FORGOTTEN_S
        theirs.wait(lambda look: not look.loud, after=heard)
    a.ask("PUT", "/v1/sound", {"talk_key": ""})
