"""Talk groups with sound cards: what the loop gives them and takes from them, in virtual time."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import pi, sin
from typing import TypeVar

import pytest

from appliance.adapters.srtp import AES_GCM, new_key
from appliance.media.files import FileThread
from appliance.media.pcm import SILENCE, level_db, mix
from appliance.media.talks import HOLD_S, Talks
from appliance.model.secret import Secret
from appliance.model.talk_media import (
    MAX_TALKS,
    CloseTalk,
    OpenTalk,
    ReplayTalk,
    SetTalk,
    StopReplay,
    TalkEvent,
    TalkFailed,
    TalkHop,
    TalkOpened,
    TalkReplayState,
    TalkStarted,
    TalkTone,
)
from appliance.protocol.jitter import FRAME, FRAME_S

HOST = "127.0.0.1"

E = TypeVar("E", bound=TalkEvent)


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Side:
    """One station's talk groups and what they told."""

    talks: Talks
    told: list[TalkEvent] = field(default_factory=list)
    wanted: SetTalk = field(default_factory=lambda: SetTalk("all", None))
    port: int = 0

    @property
    def hop(self) -> TalkHop:
        return TalkHop(HOST, HOST, self.port)

    def set(self, now: float, **changes: object) -> None:
        self.wanted = replace(self.wanted, **changes)  # type: ignore[arg-type]
        self.talks.obey(self.wanted, [], now)

    def last(self, kind: type[E]) -> E:
        return [event for event in self.told if isinstance(event, kind)][-1]


@dataclass
class Pair:
    """A speaker with a microphone, and a listener with a loudspeaker."""

    clock: Clock
    one: Side
    two: Side
    key: Secret
    said: int = 0

    def voice(self) -> bytes:
        """20 ms of a tone that goes on."""
        start, self.said = self.said, self.said + FRAME
        samples = (sin(2 * pi * 440 * (start + index) / 48_000) for index in range(FRAME))
        return array("h", [round(10_000 * sample) for sample in samples]).tobytes()

    def turn(self, frames: int, *, speaking: bool = True, playing: bool = True) -> list[bytes]:
        """Let time pass; what the listener's loudspeaker was given."""
        heard = []
        for _ in range(frames):
            self.clock.now += FRAME_S
            if speaking:
                self.one.talks.microphone(self.voice(), self.clock.now)
            for side in (self.one, self.two):
                side.talks.beat(self.clock.now)
            if playing:
                heard.append(mix(self.two.talks.speaker(self.clock.now)))
        return heard

    def begin(self, spurt: str = "aa") -> None:
        now = self.clock.now
        common = {"spurt": spurt, "suite": AES_GCM, "key": self.key, "ssrc": 7}
        self.two.set(now, listening=True, upstream=self.one.hop, **common)
        self.one.set(now, speaking=True, children=(self.two.hop,), **common)


@pytest.fixture
def thread() -> Iterator[FileThread]:
    made = FileThread()
    yield made
    made.close()


@pytest.fixture
def pair(thread: FileThread) -> Iterator[Pair]:
    clock = Clock()
    sides = []
    for _ in range(2):
        told: list[TalkEvent] = []
        side = Side(Talks(told.append, thread, clock), told)
        side.talks.obey(OpenTalk("all", HOST), [], clock.now)
        opened = side.last(TalkOpened)
        side.port = opened.port
        sides.append(side)
    yield Pair(clock, sides[0], sides[1], new_key(AES_GCM))
    for side in sides:
        side.talks.end()


def loud(frames: list[bytes]) -> int:
    return sum(level_db(frame) > -25 for frame in frames)


def test_cards_are_wanted_as_long_as_they_are_used(pair: Pair) -> None:
    one, two, clock = pair.one.talks, pair.two.talks, pair.clock
    assert not any((one.wants_microphone, two.wants_speaker(clock.now)))
    pair.begin()
    assert (one.wants_microphone, one.speaking) == (True, True)
    assert two.wants_speaker(clock.now)
    assert not two.wants_microphone
    heard = pair.turn(50)
    assert loud(heard) > 40
    started = pair.two.last(TalkStarted)
    assert started.at_s - 1_000.0 < 0.15
    pair.one.set(clock.now, spurt=None, speaking=False)
    pair.two.set(clock.now, spurt=None)
    assert one.wants_microphone is False
    tail = pair.turn(40, speaking=False)
    assert loud(tail) > 0, "what was on its way is heard"
    assert tail[-1] == SILENCE
    assert two.due == float("inf"), "nothing is left to be done"
    assert two.wants_speaker(clock.now), "an answer may come"
    assert not two.wants_speaker(clock.now + HOLD_S + 1)


def test_nothing_clicks_when_another_takes_the_floor(pair: Pair) -> None:
    pair.begin()
    before = pair.turn(30)
    pair.two.set(pair.clock.now, spurt="bb", ssrc=8, upstream=None)
    after = pair.turn(3)
    assert loud(before[-1:]) == 1
    samples = array("h", before[-1] + after[0])
    steps = [abs(later - earlier) for earlier, later in pairwise(samples)]
    assert max(steps) < 1_500, "the tone itself moves by 580"
    assert after[1:] == [SILENCE, SILENCE], "within a frame nothing is heard of the one before"


def test_a_sound_card_that_opens_late_loses_no_word(pair: Pair) -> None:
    pair.begin()
    pair.turn(15, playing=False)
    heard = pair.turn(100)
    assert loud(heard[:6]) > 0
    assert loud(heard) > 70


def test_without_a_sound_card_time_goes_on(pair: Pair) -> None:
    pair.begin()
    pair.turn(100, playing=False)
    assert pair.two.last(TalkStarted).spurt == "aa"
    pair.two.talks.check(None, "There is no loudspeaker.")
    pair.one.talks.check("There is no microphone.", None)
    pair.one.talks.check("There is no microphone.", None)
    for side, word in ((pair.one, "microphone"), (pair.two, "loudspeaker")):
        (failed,) = [event for event in side.told if isinstance(event, TalkFailed)]
        assert word in failed.detail
        assert failed.local_host is None


def test_what_was_said_is_heard_again_over_what_is_said(pair: Pair) -> None:
    clock, two = pair.clock, pair.two.talks
    pair.begin()
    straight = pair.turn(50)
    two.obey(ReplayTalk("all"), [], clock.now)
    begun = pair.two.last(TalkReplayState)
    assert begun.playing
    assert begun.length_s == pytest.approx(1.0, abs=0.1)
    pair.one.set(clock.now, spurt=None, speaking=False)
    again = pair.turn(70, speaking=False)
    assert loud(again) > 40
    over = pair.two.last(TalkReplayState)
    assert not over.playing
    assert over.position_s == over.length_s
    # Live sound is lower meanwhile, and as it was after that.
    pair.two.set(clock.now, spurt=None)
    pair.begin("cc")
    two.obey(ReplayTalk("all", 5.0), [], clock.now)
    two.obey(StopReplay("all"), [], clock.now)
    assert loud(pair.turn(50)) > 40
    assert straight
    two.obey(ReplayTalk("all", 5.0), [], clock.now)
    pair.two.set(clock.now, spurt="dd", speaking=True, listening=False)
    stopped = pair.two.last(TalkReplayState)
    assert not stopped.playing, "our operator speaks"
    two.obey(ReplayTalk("all"), [], clock.now)
    refused = pair.two.last(TalkReplayState)
    assert "Let go" in refused.detail


def test_tones_are_played_once(pair: Pair) -> None:
    two = pair.two.talks
    for name in ("talk-go", "talk-over", "talk-busy"):
        two.obey(TalkTone(name), [], pair.clock.now)
        assert two.wants_speaker(pair.clock.now)
        frames = pair.turn(40)
        assert 0 < loud(frames) < 35
        assert not two.wants_speaker(pair.clock.now)


def test_a_key_is_used_for_one_spurt_of_ours_alone(pair: Pair) -> None:
    pair.begin()
    pair.turn(5)
    pair.one.set(pair.clock.now, spurt=None, speaking=False)
    pair.turn(1, speaking=False)
    pair.begin()
    assert not pair.one.talks.speaking


def test_there_are_only_so_many_and_closing_makes_room(pair: Pair) -> None:
    talks, now = pair.one.talks, pair.clock.now
    for index in range(2 * MAX_TALKS):
        talks.obey(OpenTalk(f"t{index}", HOST), [], now)
    failed = [event for event in pair.one.told if isinstance(event, TalkFailed)]
    assert len(failed) == MAX_TALKS + 1
    talks.obey(CloseTalk("t0"), [], now)
    talks.obey(OpenTalk("once more", HOST), [], now)
    opened = pair.one.last(TalkOpened)
    assert opened.talk == "once more"


@pytest.mark.parametrize("ssrc", [-1, 1 << 32])
def test_a_source_that_can_not_be_is_said(pair: Pair, ssrc: int) -> None:
    pair.one.set(pair.clock.now, spurt="aa", speaking=True, suite=AES_GCM, key=pair.key, ssrc=ssrc)
    assert "source" in pair.one.last(TalkFailed).detail
    assert not pair.one.talks.speaking
