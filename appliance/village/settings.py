"""What a cable does to its packets: nothing, or loss, delay and a rate; and whether it is plugged.

Values and their text form only; `fabric` makes them true.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from appliance.village.errors import VillageError

MAX_DELAY_MS = 10_000.0
"""Longer than any radio path; the relay's queue is bounded anyway."""

MIN_RATE_KBIT = 8
"""One full packet takes 1.5 s at this rate; less is better played by `down`."""

MAX_RATE_KBIT = 10_000_000
"""10 Gbit/s; above it no limit is felt on a virtual cable."""

WORDS = "up, down, loss=PERCENT, delay=MS, rate=KBIT"


@dataclass(frozen=True)
class LinkSettings:
    """How a cable behaves, alike in both directions."""

    up: bool = True
    """Plugged; when false both ends have lost their carrier."""
    loss_pct: float = 0.0
    """Packets lost at random in each direction, in percent."""
    delay_ms: float = 0.0
    """Delay in each direction; the round trip takes twice as long."""
    rate_kbit: int = 0
    """Highest rate in each direction in kbit/s; 0 is no limit."""

    def __post_init__(self) -> None:
        if not 0 <= self.loss_pct <= 100:
            raise VillageError(f"loss={self.loss_pct:g} is not a percentage. Give 0 to 100.")
        if not 0 <= self.delay_ms <= MAX_DELAY_MS:
            raise VillageError(
                f"delay={self.delay_ms:g} is out of range. Give 0 to {MAX_DELAY_MS:g} milliseconds."
            )
        if self.rate_kbit and not MIN_RATE_KBIT <= self.rate_kbit <= MAX_RATE_KBIT:
            raise VillageError(
                f"rate={self.rate_kbit} is out of range. Give {MIN_RATE_KBIT} to {MAX_RATE_KBIT} "
                "kbit/s, or 0 for no limit."
            )

    def changed(self, change: dict[str, Any]) -> "LinkSettings":
        """These settings with some of the fields replaced."""
        return replace(self, **change)

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        words = ["up" if self.up else "down"]
        if self.loss_pct:
            words.append(f"loss={self.loss_pct:g}%")
        if self.delay_ms:
            words.append(f"delay={self.delay_ms:g}ms")
        if self.rate_kbit:
            words.append(f"rate={self.rate_kbit}kbit")
        return " ".join(words)


def parse_change(words: list[str]) -> dict[str, Any]:
    """The fields that words such as `down` or `loss=5` set."""
    change: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if word in ("up", "down"):
            change["up"] = word == "up"
        elif equals and key == "loss":
            change["loss_pct"] = _number(word, value.removesuffix("%"))
        elif equals and key == "delay":
            change["delay_ms"] = _number(word, value.removesuffix("ms"))
        elif equals and key == "rate":
            change["rate_kbit"] = round(_number(word, value.removesuffix("kbit")))
        else:
            raise VillageError(
                f"{word!r} is nothing that a link can be set to. There are: {WORDS}."
            )
    LinkSettings(**change)
    return change


def _number(word: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise VillageError(f"{word!r} has no number. Say for example loss=5, delay=40, rate=512.")
    return number
