"""Completion scripts for shells, made by shtab from the parser."""

from __future__ import annotations

import argparse
import sys
from typing import Final

import shtab

from appliance.commands import exits, parser

_PATHS: Final = {
    "WAV": shtab.FILE,
    "FILE": shtab.FILE,
    "PATH": shtab.FILE,
    "DIR": shtab.DIRECTORY,
}
"""What completes an argument, by the word that stands for it in the help."""


def completion(args: argparse.Namespace) -> int:
    """Print the script for a shell."""
    whole = parser.build(with_village=True)
    _complete_paths(whole)
    sys.stdout.write(shtab.complete(whole, shell=args.shell) + "\n")
    return exits.OK


def _complete_paths(of: argparse.ArgumentParser) -> None:
    """Tell shtab which arguments are paths; without, shells offer none at all."""
    for action in of._actions:  # argparse has no public list, and shtab reads this one too
        if action.metavar in _PATHS:
            action.complete = _PATHS[action.metavar]  # type: ignore[attr-defined]  # shtab's own
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_paths(command)
