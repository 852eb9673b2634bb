"""Numbers in arguments; what is none is an error that names it."""

from __future__ import annotations

import argparse
from typing import Final

_MAX_SECONDS: Final = 365 * 86_400.0


def seconds(text: str) -> float:
    """Read a length of time."""
    seconds = _number(text)
    if not 0 < seconds <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"should be above 0, in seconds, not {text}")
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
