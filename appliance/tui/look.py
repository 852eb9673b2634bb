"""Styles: the terminal's own sixteen colours, and none that says anything alone."""

from __future__ import annotations

from rich.style import Style

PLAIN = Style()
BOLD = Style(bold=True)
INVERSE = Style(reverse=True)
LOUD = Style(reverse=True, bold=True)
"""What must not be overlooked."""

FRAME = Style(color="cyan")
GOOD = Style(color="green")
CARE = Style(color="yellow")
BAD = Style(color="red", bold=True)
KEY = Style(reverse=True)
"""A key that can be pressed."""
