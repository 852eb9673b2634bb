"""The arguments of `fencewire talk`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.api.talking import MAX_REPLAY_S
from appliance.commands import numbers

if TYPE_CHECKING:
    import argparse

    from appliance.commands.parser import Commands

_PRECEDENCES = ("routine", "welfare", "priority", "emergency")


def add(commands: Commands) -> None:
    """Add it."""
    talk = commands.add(
        "talk",
        "on_air:list_all",
        "Push to talk, as on a radio: everyone who listens hears whoever speaks.",
        "  fencewire talk                            the channels, and who talks\n"
        "  fencewire talk press everyone             speak until Ctrl+C, a minute at most\n"
        "  fencewire talk press Rescue --for 10 --precedence emergency\n"
        "  fencewire talk listen everyone --off\n"
        "  fencewire talk replay everyone            the last 2 minutes again",
    )
    of = commands.within(talk)
    of.add("list", "on_air:list_all", "Show all channels.", "  fencewire talk list --json")
    press = _one(of, "press", "Speak, or wait for your turn.", "  fencewire talk press everyone")
    press.add_argument(
        "--precedence",
        choices=_PRECEDENCES,
        default="routine",
        help="what is more urgent takes the floor at once (%(default)s)",
    )
    press.add_argument(
        "--for", dest="for_", metavar="SECONDS", type=numbers.seconds, help="then let go"
    )
    press.add_argument("--play", metavar="FILE", help="WAV file in place of the microphone")
    listen = _one(of, "listen", "Hear a channel, or no more.", "  fencewire talk listen Rescue")
    listen.add_argument("--off", action="store_true", help="hear it no more")
    listen.add_argument("--record", metavar="FILE", help="WAV file in place of the speaker")
    _one(
        of,
        "release",
        "Let the key go that another program has pressed.",
        "  fencewire talk release everyone",
    )
    replay = _one(
        of,
        "replay",
        "Hear again what was said in the last 2 minutes.",
        "  fencewire talk replay Rescue --seconds 30",
    )
    replay.add_argument(
        "--seconds", type=numbers.seconds, default=MAX_REPLAY_S, help="how far back (%(default)g)"
    )
    replay.add_argument("--stop", action="store_true", help="stop it")


def _one(of: Commands, name: str, text: str, examples: str) -> argparse.ArgumentParser:
    parser = of.add(name, f"on_air:{name}", text, examples)
    parser.add_argument("channel", metavar="CHANNEL", help="everyone, or a group")
    return parser
