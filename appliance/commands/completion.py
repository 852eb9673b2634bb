"""Completion scripts for shells, made by shtab from the parser."""

from __future__ import annotations

import argparse
import sys

import shtab

from appliance.commands import exits, parser


def completion(args: argparse.Namespace) -> int:
    """Print the script for a shell."""
    whole = parser.build(with_village=True)
    sys.stdout.write(shtab.complete(whole, shell=args.shell) + "\n")
    return exits.OK
