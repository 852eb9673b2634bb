"""Which sound cards are open, with cards that are only said to be there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.adapters.audio import AudioError, Microphone, Speaker
from appliance.media import cards
from appliance.media.cards import Cards


class Machine:
    """Cards that are plugged in, and what PortAudio knows of them."""

    def __init__(self) -> None:
        self.there: list[str] = []
        self.known: list[str] = []
        self.looks = 0

    def look(self) -> None:
        self.looks += 1
        self.known = list(self.there)

    def plug_in(self, name: str) -> None:
        self.there.append(name)

    def pull_out(self, name: str) -> None:
        self.there.remove(name)


class _Card:
    def __init__(self, machine: Machine, name: str | None) -> None:
        if name is None and machine.known:
            name = machine.known[0]
        if name not in machine.known or name is None:
            raise AudioError(f"{name} is not there.")
        self.name = name
        self._machine = machine
        self.beats = 0
        self.gaps = 0
        self.closed = False

    @property
    def alive(self) -> bool:
        return self.name in self._machine.there

    def close(self) -> None:
        self.closed = True


class FakeMicrophone(_Card, Microphone):
    """A card that does nothing."""


class FakeSpeaker(_Card, Speaker):
    """A card that does nothing."""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(cards, "rescan", made.look)
    monkeypatch.setattr(cards, "cards_seen", lambda: tuple(made.there))
    return made


def both(machine: Machine, *, wanted: tuple[bool, bool] = (True, True)) -> Cards:
    made = Cards(
        lambda name: FakeMicrophone(machine, name), lambda name: FakeSpeaker(machine, name)
    )
    made.microphone.wanted, made.speaker.wanted = wanted
    return made


def names(made: Cards) -> tuple[str | None, str | None]:
    """What is open."""
    devices = (made.microphone.device, made.speaker.device)
    return (getattr(devices[0], "name", None), getattr(devices[1], "name", None))


def problem(made: Cards) -> str | None:
    """Of the loudspeaker."""
    return made.speaker.problem


def test_the_default_is_used_when_nothing_was_chosen(machine: Machine) -> None:
    machine.there = ["built-in", "usb"]
    made = both(machine)
    assert made.follow()
    assert names(made) == ("built-in", "built-in")
    assert not made.follow()
    assert machine.looks == 1


def test_a_chosen_card_is_stood_in_for_and_preferred_when_it_is_back(machine: Machine) -> None:
    machine.there = ["built-in", "usb"]
    made = both(machine)
    made.microphone.chosen = "usb"
    made.follow()
    assert names(made) == ("usb", "built-in")
    machine.pull_out("usb")
    made.follow()
    assert names(made) == ("built-in", "built-in")
    assert made.microphone.notice is not None
    assert "usb is not there" in made.microphone.notice
    machine.plug_in("usb")
    made.follow()
    assert names(made) == ("usb", "built-in")
    assert made.microphone.notice is None


def test_the_other_direction_is_interrupted_only_when_the_kernel_shows_another_card(
    machine: Machine,
) -> None:
    machine.there = ["built-in"]
    made = both(machine)
    made.microphone.chosen = "usb"
    made.follow()
    speaker, looks = made.speaker.device, machine.looks
    for _ in range(10):
        made.follow()
    assert made.speaker.device is speaker
    assert machine.looks == looks
    machine.plug_in("usb")
    made.follow()
    assert machine.looks == looks + 1
    assert names(made) == ("usb", "built-in")
    for _ in range(10):
        made.follow()
    assert machine.looks == looks + 1


def test_a_problem_stays_until_sound_has_really_moved(machine: Machine) -> None:
    machine.there = ["built-in"]
    made = both(machine, wanted=(False, True))
    made.follow()
    assert problem(made) is None
    machine.pull_out("built-in")
    made.follow()
    assert problem(made) == "None is not there."
    machine.plug_in("built-in")
    made.follow()
    assert names(made) == (None, "built-in")
    assert problem(made) is not None, "it was opened, and nothing has come of it yet"
    device = made.speaker.device
    assert device is not None
    device.beats = 1
    made.follow()
    assert problem(made) is None


def test_what_is_not_wanted_is_given_back(machine: Machine) -> None:
    machine.there = ["built-in"]
    made = both(machine)
    made.follow()
    device = made.microphone.device
    made.microphone.wanted = False
    made.follow()
    assert isinstance(device, FakeMicrophone)
    assert device.closed
    assert names(made) == (None, "built-in")


def test_a_missing_library_is_said_at_both(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise AudioError("Sound needs PortAudio.")

    looks: Callable[[], None] = fail
    monkeypatch.setattr(cards, "rescan", looks)
    made = both(machine)
    made.follow()
    assert made.microphone.problem is not None
    assert made.speaker.problem is not None
