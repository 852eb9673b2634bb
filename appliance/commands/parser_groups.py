"""The arguments of `fencewire group`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from appliance.commands.parser import Commands

_HISTORY = ("none", "all")


def add(commands: Commands) -> None:
    """Add it."""
    group = commands.add(
        "group",
        "groups:list_all",
        "Make groups, say who is in them, and look at them.",
        "  fencewire group                               all groups\n"
        "  fencewire group make Rescue clinic north-gate\n"
        '  fencewire send Rescue "We meet at the mill"\n'
        "  fencewire group invite Rescue 482-0193\n"
        "  fencewire group remove Rescue north-gate",
    )
    of = commands.within(group)
    of.add("list", "groups:list_all", "Show all groups.", "  fencewire group list --json")
    make = of.add(
        "make",
        "groups:make",
        "Make a group and invite its first members.",
        "  fencewire group make Rescue clinic north-gate\n"
        "  fencewire group make Rescue --history all",
    )
    make.add_argument("name", metavar="NAME")
    make.add_argument("stations", metavar="STATION", nargs="*", help="to be invited")
    make.add_argument(
        "--history",
        choices=_HISTORY,
        default="none",
        help="what later members get of what was written before they came (%(default)s)",
    )
    _one(of, "show", "Show who is in a group.", "  fencewire group show Rescue")
    invite = _one(of, "invite", "Bring stations in.", "  fencewire group invite Rescue clinic")
    invite.add_argument("stations", metavar="STATION", nargs="+")
    remove = _one(
        of,
        "remove",
        "Take a station out: what is written from then on it can't read.",
        "  fencewire group remove Rescue clinic",
    )
    remove.add_argument("station", metavar="STATION")
    admin = _one(
        of,
        "admin",
        "Make a member an admin, who may invite, remove and rename.",
        "  fencewire group admin Rescue clinic",
    )
    admin.add_argument("station", metavar="STATION")
    rename = _one(
        of, "rename", "Give a group another name.", '  fencewire group rename Rescue "Search team"'
    )
    rename.add_argument("name", metavar="NAME", nargs="+")
    history = _one(
        of,
        "history",
        "Choose what new members get of what was written before they came.",
        "  fencewire group history Rescue all",
    )
    history.add_argument("history", choices=_HISTORY)
    _one(of, "leave", "Leave a group.", "  fencewire group leave Rescue")
    _one(of, "accept", "Say yes to an invitation.", "  fencewire group accept Rescue")
    _one(of, "decline", "Say no to an invitation.", "  fencewire group decline Rescue")


def _one(of: Commands, name: str, text: str, examples: str) -> argparse.ArgumentParser:
    parser = of.add(name, f"groups:{name}", text, examples)
    parser.add_argument("group", metavar="GROUP", help="its name, or the start of its id")
    return parser
