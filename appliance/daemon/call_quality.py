"""How a call sounds, in one word with its reason, from what the voice process measures.

What counts is what is heard: loss that was repaired is none.  Each second makes a verdict over the
last five; the word for the whole call is that of most of it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from appliance.api.calls import CallDetails
from appliance.model.media import StreamStats

Word: TypeAlias = Literal["none", "good", "fair", "bad"]

WINDOW: Final = 6
"""Figures that are looked at; they come once a second, and five differences are between them."""

LEVELS: Final = 20
"""Seconds of levels that are looked at: who listens is silent for a while."""

FRAMES_S: Final = 50.0
"""20 ms frames in a second."""

CONCEALED_PCT: Final = (3.0, 10.0)
"""Of what is heard, made up: fair from the first on, bad from the second."""

LOST_THERE_PCT: Final = (5.0, 15.0)
"""Likewise of our sound, what the copies that go along are not likely to bring back there."""

DELAY_MS: Final = (250.0, 500.0)
"""Likewise from mouth to ear: from the first on people begin to interrupt each other."""

LATE_MS: Final = (60.0, 200.0)
"""Likewise how late this machine was with our sound."""

QUIET_DB: Final = (-70.0, -45.0)
"""A voice whose loudest moment in `LEVELS` seconds is between these is there, and hardly heard."""

CLIPPED_PCT: Final = 5.0
"""Of the last seconds, too loud for a microphone: from here on words are hard to understand."""

GAPS: Final = (5.0, 25.0)
"""Like `LATE_MS`: frames that a sound card missed within the window."""

MAX_CALLS: Final = 64

_RANK: Final[dict[Word, int]] = {"none": 0, "good": 1, "fair": 2, "bad": 3}

LINK: Final = "the link to them"
THEIR_MICROPHONE: Final = "their microphone"
OUR_MICROPHONE: Final = "our microphone"
OUR_PROCESSOR: Final = "our processor"


@dataclass(frozen=True)
class Verdict:
    """How it sounds just now."""

    word: Word
    """In a word."""

    reason: str = ""
    """What makes it worse than good."""

    advice: str = ""
    """What to do about it."""


NOTHING: Final = Verdict("none")


@dataclass
class _Heard:
    """What is remembered of one call."""

    figures: deque[StreamStats] = field(default_factory=lambda: deque(maxlen=WINDOW))
    ours: deque[float] = field(default_factory=lambda: deque(maxlen=LEVELS))
    theirs: deque[float] = field(default_factory=lambda: deque(maxlen=LEVELS))
    words: Counter[Word] = field(default_factory=Counter)
    verdict: Verdict = NOTHING


class Quality:
    """Judges the calls that are measured."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _Heard] = OrderedDict()

    def measured(self, stats: StreamStats) -> None:
        """Take a call's figures of the last second."""
        heard = self._calls.get(stats.stream)
        if heard is None:
            heard = self._calls[stats.stream] = _Heard()
            if len(self._calls) > MAX_CALLS:
                self._calls.popitem(last=False)
        if heard.figures and stats.packets_received < heard.figures[-1].packets_received:
            heard.figures.clear()  # the voice process has begun to count anew
        heard.figures.append(stats)
        heard.ours.append(stats.voice_in_db)
        heard.theirs.append(stats.voice_out_db)
        heard.verdict = _judge(heard)
        heard.words[heard.verdict.word] += 1

    def verdict(self, call: str) -> Verdict:
        """Return how a call sounds."""
        heard = self._calls.get(call)
        return heard.verdict if heard is not None else NOTHING

    def shares_pct(self, call: str) -> tuple[float, float]:
        """Return how much of what was to be heard was made up, and how much repaired."""
        heard = self._calls.get(call)
        return _shares_pct(heard) if heard is not None else (0.0, 0.0)

    def over_all(self, call: str) -> Word:
        """Return how a call sounded for most of its time: a fifth of it being worse counts."""
        heard = self._calls.get(call)
        words = heard.words if heard is not None else Counter[Word]()
        measured = words.total() - words["none"]
        if not measured:
            return "none"
        if words["bad"] * 5 >= measured:
            return "bad"
        return "fair" if (words["bad"] + words["fair"]) * 5 >= measured else "good"

    def forget(self, call: str) -> None:
        """A call is over."""
        self._calls.pop(call, None)


def details_of(stats: StreamStats, made_up_pct: float, repaired_pct: float) -> CallDetails:
    """Return the figures behind the word."""
    return CallDetails(
        loss_pct=stats.loss_pct,
        concealed_pct=made_up_pct,
        repaired_pct=repaired_pct,
        delay_ms=max(stats.delay_ms, stats.buffer_ms),
        jitter_ms=stats.jitter_ms,
        round_trip_ms=stats.round_trip_ms,
        loss_there_pct=stats.loss_there_pct,
        late_ms=stats.late_max_ms,
        rejected=stats.rejected,
        burst_there=stats.burst_there,
        sending_kbit_s=stats.sending_kbit_s,
        frame_ms=stats.frame_ms,
        copies=stats.copies,
        bandwidth=stats.bandwidth,
        thin=stats.thin,
    )


def _grade(value: float, bounds: tuple[float, float]) -> Word:
    fair, bad = bounds
    return "good" if value < fair else "fair" if value < bad else "bad"


def _shares_pct(heard: _Heard) -> tuple[float, float]:
    if len(heard.figures) < 2:
        return 0.0, 0.0
    first, last = heard.figures[0], heard.figures[-1]
    frames = (len(heard.figures) - 1) * FRAMES_S
    made_up = max(last.concealed - first.concealed, 0)
    repaired = max(last.recovered - first.recovered, 0) + max(last.copied - first.copied, 0)
    return min(100.0 * made_up / frames, 100.0), min(100.0 * repaired / frames, 100.0)


def _judge(heard: _Heard) -> Verdict:
    """Return the worst of what can be told; among equals what comes first is what to do first."""
    last = heard.figures[-1]
    if not last.packets_received:
        return NOTHING
    made_up_pct, _ = _shares_pct(heard)
    delay_ms = max(last.delay_ms, last.buffer_ms) + (last.round_trip_ms or 0.0) / 2
    late_ms = sorted(one.late_max_ms for one in heard.figures)[len(heard.figures) // 2]
    lost_there_pct = _lost_there_pct(last)
    gaps = max(last.sound_gaps - heard.figures[0].sound_gaps, 0)
    found = (
        _room(last),
        Verdict(
            max(_grade(late_ms, LATE_MS), _grade(gaps, GAPS), key=_RANK.__getitem__),
            OUR_PROCESSOR,
            "This machine is too busy: stop other programs on it.",
        ),
        Verdict(
            _grade(made_up_pct, CONCEALED_PCT),
            LINK,
            "Speak slowly, or write; move the radio or the antenna if you can.",
        ),
        Verdict(
            _grade(lost_there_pct, LOST_THERE_PCT),
            LINK,
            "They may not hear all of you: speak slowly, ask them to repeat.",
        ),
        Verdict(
            _grade(delay_ms, DELAY_MS),
            LINK,
            "Sound takes long on the way: let them finish before you speak.",
        ),
        _their_microphone(heard),
        _our_microphone(heard),
    )
    worst = max(found, key=lambda one: _RANK[one.word])
    return worst if worst.word != "good" else Verdict("good")


def _lost_there_pct(last: StreamStats) -> float:
    """Return what is likely to be missing of our voice there: a copy is lost as its packet is."""
    loss = (last.loss_there_pct or 0.0) / 100.0
    tries = 1.0 + len(last.copies) / max(last.burst_there, 1.0)
    return 100.0 * float(loss**tries)


def _room(last: StreamStats) -> Verdict:
    """Judge how much the way takes."""
    if last.too_thin:
        advice = "The way takes too little for a call: hang up, send a voice message (F7)."
        return Verdict("bad", LINK, advice)
    if last.thin:
        advice = "The way takes little, so you sound like an old telephone: speak slowly."
        return Verdict("fair", LINK, advice)
    return Verdict("good")


def _their_microphone(heard: _Heard) -> Verdict:
    return _microphone(
        THEIR_MICROPHONE,
        heard.theirs,
        clipped_pct=heard.figures[-1].clipped_out_pct,
        loud="They are too loud: ask them to keep away from their microphone.",
        weak="They are hardly heard: ask them to speak closer to their microphone.",
    )


def _our_microphone(heard: _Heard) -> Verdict:
    return _microphone(
        OUR_MICROPHONE,
        heard.ours,
        clipped_pct=heard.figures[-1].clipped_in_pct,
        loud="You are too loud: keep away from the microphone, or turn it down.",
        weak="You are hardly heard: speak closer to the microphone, or choose one (F8).",
    )


def _microphone(
    whose: str, levels_db: Sequence[float], *, clipped_pct: float, loud: str, weak: str
) -> Verdict:
    """Judge either side's; `loud` and `weak` are what to do then."""
    silent_db, weak_db = QUIET_DB
    if clipped_pct >= CLIPPED_PCT:
        return Verdict("fair", whose, loud)
    if len(levels_db) == LEVELS and silent_db < max(levels_db) < weak_db:
        return Verdict("fair", whose, weak)
    return Verdict("good")
