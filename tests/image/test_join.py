"""Three machines with the image in a line: nobody configures anything, and people write and call.

On the PC image the one in the middle starts by UEFI and the others by BIOS.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from booted import SCREEN, WITHIN_S, Booted, choose, eventually
from figures import Figures
from speech import LONG, at_48_khz, needs_speech, quality, samples

from images.vm import Kind

pytestmark = pytest.mark.timeout(900)


def test_they_meet_with_no_input(two: tuple[Booted, Booted], figures: Figures, kind: Kind) -> None:
    """Each shows the other on both of its consoles."""
    for here, other in (two, two[::-1]):
        for console in (here.machine.serial, here.machine.monitor):
            console.wait_for(other.name, timeout_s=WITHIN_S)
            assert SCREEN in console.text
        seconds = here.screen_s - here.machine.kernel_started_s()
        settings = here.machine.settings
        how = settings.firmware if kind == "pc" else "no firmware"
        figures.add(f"kernel to screen, three {kind} at once, {how}", f"{seconds:.0f} s")


def test_a_message_that_is_typed_arrives(two: tuple[Booted, Booted]) -> None:
    """Written on one's keyboard, read on the other's serial line, and said to be read."""
    a, b = two
    text = "the road is open"
    written, read = a.machine.monitor, b.machine.serial
    choose(written, b.name)
    written.type(text)
    written.wait_for(text, timeout_s=WITHIN_S)
    written.press("Enter")
    written.wait_for("delivered", timeout_s=WITHIN_S)
    (message,) = (one for one in b.messages(a.id).values() if one["text"] == text)
    assert message["author"] == a.id
    choose(read, a.name)
    read.wait_for(text, timeout_s=WITHIN_S)
    eventually(lambda: a.messages(b.id)[message["id"]]["state"] == "read")


def test_a_message_goes_over_two_hops(three: tuple[Booted, Booted, Booted]) -> None:
    """The first and the third have no network in common; what they write is read and receipted."""
    a, b, c = three
    address = c.ask("GET", "/v1/status")["address"]
    route = a.machine.output(f"ip -6 route get {address}")
    assert " via fe80::" in route, "the machine in the middle forwards"
    body = {"to": c.id, "text": "the bridge stands"}
    message = a.ask("POST", "/v1/messages", body)["id"]
    eventually(lambda: c.messages(a.id).get(message, {}).get("text") == "the bridge stands")
    eventually(lambda: a.messages(c.id)[message]["state"] == "delivered")
    assert b.messages(a.id).keys().isdisjoint({message})
    choose(c.machine.serial, a.name)
    c.machine.serial.wait_for("the bridge stands", timeout_s=WITHIN_S)
    eventually(lambda: a.messages(c.id)[message]["state"] == "read")


@needs_speech
def test_a_call_carries_speech(
    undisturbed: tuple[Booted, Booted], figures: Figures, kind: Kind, tmp_path: Path
) -> None:
    """A clip is played at one station and recorded at the other."""
    a, b = undisturbed
    # An emulated processor is too slow to bring a file to another rate in real time.
    clip = at_48_khz(LONG, tmp_path / "clip.wav")
    a.machine.put(clip.read_bytes(), "/tmp/clip.wav")
    answering = b.machine.popen("cd /tmp && fencewire answer --wait 60 --record heard.wav")
    a.machine.output(
        f"cd /tmp && fencewire call {b.id} --play clip.wav --for 15", timeout_s=WITHIN_S
    )
    answered = answering.wait(timeout_s=WITHIN_S)
    assert answered.code == 0, answered.stderr
    heard = tmp_path / "heard.wav"
    heard.write_bytes(b.machine.get("/tmp/heard.wav"))
    assert len(samples(heard)) > len(samples(LONG))
    figures.add(f"PESQ-WB of speech over a call, two {kind}", f"{quality(LONG, heard):.2f}")
