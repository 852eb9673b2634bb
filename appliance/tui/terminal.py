"""The terminal itself: whether it is there, and what is left on it when the screen breaks."""

from __future__ import annotations

import termios

import rich
from rich.console import Console
from rich.segment import Segments
from rich.traceback import Traceback


def terminal_is_there() -> bool:
    """Tell whether the terminal that we were started on still has somebody at its other end."""
    try:
        termios.tcgetattr(0)
    except termios.error:
        return False
    return True


def what_broke(console: Console) -> Segments:
    """Return where the exception that is handled came from, without what stands in variables.

    Those hold messages, and what is said goes to the journal where the screen is a service.
    """
    trace = Traceback(show_locals=False, width=None, suppress=[rich])
    return Segments(console.render(trace, console.options))
