"""Numbers in arguments; what is none is an error that names it."""

from __future__ import annotations

import argparse
import re
from typing import Final

_MAX_SECONDS: Final = 365 * 86_400.0
_LIFETIME: Final = re.compile(r"([0-9]{1,6})(m|h|d|w)")
_UNIT_S: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MAX_LIFETIME_S: Final = 30 * 86_400
"""Nothing is carried for longer."""


def seconds(text: str) -> float:
    """Read a length of time."""
    seconds = _number(text)
    if not 0 < seconds <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"should be above 0, in seconds, not {text}")
    return seconds


def lifetime(text: str) -> int:
    """Read for how long a message is worth delivering, in seconds: 45m, 12h, 7d."""
    match = _LIFETIME.fullmatch(text.strip())
    seconds = int(match[1]) * _UNIT_S[match[2]] if match is not None else 0
    if not 0 < seconds <= _MAX_LIFETIME_S:
        raise argparse.ArgumentTypeError(f"should be like 45m, 12h or 7d, at most 30d, not {text}")
    return seconds


def count(text: str) -> int:
    """Read how many things to show."""
    count = _number(text)
    if not 0 < count <= 1_000:
        raise argparse.ArgumentTypeError(f"should be 1 to 1000, not {text}")
    return int(count)


def whole(text: str) -> int:
    """Read a whole number."""
    count = _number(text)
    if not 0 <= count <= 1e9 or count != int(count):
        raise argparse.ArgumentTypeError(f"should be a whole number, not {text}")
    return int(count)


def port(text: str) -> int:
    """Read a TCP port."""
    port = _number(text)
    if not 0 <= port < 65_536:
        raise argparse.ArgumentTypeError(f"should be 0 (any free one) to 65535, not {text}")
    return int(port)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"should be a number, not {text}") from None
