"""The arguments of every command, and which function does it.

The functions are named, not imported: `--help` and a wrong option should not wait for asyncio.
"""

from __future__ import annotations

import argparse
from typing import Final

from appliance import __version__
from appliance.commands import exits, numbers, parser_groups, parser_kept, parser_on_air

DEFAULT_PORT: Final = 18950
"""`adapters.sessions.DEFAULT_PORT`, which would bring aiohttp along."""

_DESCRIPTION: Final = """\
Calls and messages between boards that find each other, with no server, account or internet.
Without a command: starts the daemon if none runs, and shows the screen.
"""
_EPILOG: Final = f"""\
examples:
  fencewire                                   start, and show the screen
  fencewire stations                          who is there
  fencewire mesh                              who is joined with whom
  fencewire send clinic "Truck leaves 14:30"  write to a station
  fencewire inbox                             read
  fencewire call clinic                       talk

A station is named by its name, its number, its id or the first 4 characters of its id.

environment:
  FENCEWIRE_API    socket of the daemon (--api goes before it)
  FENCEWIRE_STATE  where keys and messages are kept

{exits.TABLE}"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps our line breaks."""


def build(*, with_village: bool = False) -> argparse.ArgumentParser:
    """Return the parser; the arguments of `village` are another program's, read when wanted."""
    parser = argparse.ArgumentParser(
        prog="fencewire", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=_Formatter
    )
    parser.add_argument("--version", action="version", version=f"fencewire {__version__}")
    parser.add_argument("--api", metavar="PATH", help="socket of the daemon")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(function="start:everything")
    commands = Commands(parser.add_subparsers(metavar="COMMAND", title="commands"))
    _looking(commands)
    _writing(commands)
    _reading(commands)
    parser_groups.add(commands)
    parser_kept.add(commands)
    _talking(commands)
    _microphone(commands)
    parser_on_air.add(commands)
    _setting(commands)
    _starting(commands, with_village=with_village)
    return parser


class Commands:
    """Adds commands that share --api and --json, before or after their name."""

    def __init__(self, actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        self._actions = actions

    def add(
        self, name: str, function: str, text: str, examples: str = "", *, shared: bool = True
    ) -> argparse.ArgumentParser:
        """Add a command; `function` is ``module:name`` in this package."""
        epilog = f"examples:\n{examples}" if examples else None
        parser: argparse.ArgumentParser = self._actions.add_parser(
            name, help=text, description=text, epilog=epilog, formatter_class=_Formatter
        )
        parser.set_defaults(function=function)
        if shared:
            hidden = argparse.SUPPRESS  # not given: what stands before the command counts
            parser.add_argument(
                "--api", metavar="PATH", default=hidden, help="socket of the daemon"
            )
            parser.add_argument(
                "--json", action="store_true", default=hidden, help="print JSON for programs"
            )
        return parser

    @staticmethod
    def within(parser: argparse.ArgumentParser) -> Commands:
        """Return what adds commands below a command."""
        return Commands(parser.add_subparsers(metavar="WHAT", title="what to do"))


def _looking(commands: Commands) -> None:
    commands.add("status", "look:status", "Show who we are and whether all is well.")
    stations = commands.add(
        "stations",
        "look:stations",
        "Show who is there: name, reach, trust (new, known, verified), number, link.",
        "  fencewire stations\n  fencewire stations clinic --json",
    )
    stations.add_argument("station", metavar="STATION", nargs="?", help="only this one")
    commands.add(
        "links",
        "mesh:links",
        "Show network interfaces, who is met there, and why one is not used.",
    )
    path = commands.add(
        "path",
        "mesh:path",
        "Show over which stations a station is reached, and what is lost on the way.",
        "  fencewire path clinic\n  fencewire path 482-0193 --json",
    )
    path.add_argument("station", metavar="STATION")
    mesh = commands.add(
        "mesh",
        "mesh:mesh",
        "Draw the mesh: who is joined with whom. The stations are asked for it.",
        "  fencewire mesh\n  fencewire mesh --timeout 15\n  fencewire mesh --json | jq .edges",
    )
    mesh.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=numbers.seconds,
        default=5.0,
        help="wait for their answers at most this long (%(default)g)",
    )
    commands.add(
        "doctor",
        "look:doctor",
        "Check sound, network, mesh, privileges, clock, disk and ports, and say what to do.",
    )
    events = commands.add(
        "events",
        "look:events",
        "Print what happens, one JSON object a line.",
        "  fencewire events | jq .type\n  fencewire events --follow --cursor 3f2a-17",
    )
    events.add_argument("--cursor", help="go on after this event; without: from now on")
    events.add_argument(
        "--follow", action="store_true", help="go on when the daemon goes away and comes back"
    )


def _writing(commands: Commands) -> None:
    send = commands.add(
        "send",
        "write:send",
        "Write to a station, to a group or to everyone.",
        '  fencewire send clinic "How many blankets?"\n'
        "  fencewire send clinic This is the bridge --attach bridge.jpg\n"
        "  fencewire send everyone --precedence emergency Fire at the mill\n"
        '  fencewire send school --precedence priority --expires 12h "Bus at 18:00"\n'
        "  date | fencewire send 482-0193 - --wait --timeout 10",
    )
    send.add_argument("to", metavar="TO", help="a station, a group, or everyone")
    send.add_argument(
        "text", metavar="TEXT", nargs="*", help="what to write; - reads it from input"
    )
    send.add_argument(
        "--attach",
        metavar="FILE",
        action="append",
        default=[],
        help="send this file too; may be repeated",
    )
    send.add_argument(
        "--wait", action="store_true", help="until it is delivered; exit code 5 if it is not"
    )
    send.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=numbers.seconds,
        default=30.0,
        help="with --wait: at most this long (%(default)g)",
    )
    send.add_argument(
        "--precedence",
        choices=("routine", "welfare", "priority", "emergency"),
        default="routine",
        help="how urgent it is (%(default)s)",
    )
    send.add_argument(
        "--expires",
        metavar="TIME",
        type=numbers.lifetime,
        help="give up when it has not arrived by then: 45m, 12h, 7d; at most 30d, as without",
    )
    send.add_argument("--line", default="console", help="line at that station (%(default)s)")


def _reading(commands: Commands) -> None:
    inbox = commands.add(
        "inbox",
        "write:inbox",
        "Show what nobody has read yet and what came last; it counts as read then.",
        "  fencewire inbox\n  fencewire inbox --with clinic --limit 50\n"
        "  fencewire inbox --follow --json\n"
        '  fencewire inbox --search "truck 14:30"',
    )
    inbox.add_argument(
        "--with", dest="with_", metavar="X", help="only with a station, a group, or everyone"
    )
    what = inbox.add_mutually_exclusive_group()
    what.add_argument("--follow", action="store_true", help="and then what comes")
    what.add_argument(
        "--search", metavar="WORDS", help="only what has all of these words; it stays as it is"
    )
    inbox.add_argument("--peek", action="store_true", help="leave it unread")
    inbox.add_argument(
        "--limit",
        metavar="N",
        type=numbers.count,
        default=20,
        help="read ones to show (%(default)s)",
    )


def _joining(commands: Commands) -> None:
    add = commands.add(
        "add",
        "conferences:add",
        "Have somebody else join the call that you are in, up to 16: all hear all.",
        "  fencewire add clinic",
    )
    add.add_argument("to", metavar="TO", help="a station")
    add.add_argument("--call", metavar="CALL", help="id of a call; else the one that goes on")


def _talking(commands: Commands) -> None:
    call = commands.add(
        "call",
        "talk:call",
        "Call a station and stay until the call ends; Ctrl-C hangs up.",
        "  fencewire call clinic\n"
        "  fencewire call clinic --play hello.wav --record answer.wav --for 10",
    )
    call.add_argument("to", metavar="TO", help="a station")
    call.add_argument("--line", default="console", help="line at that station (%(default)s)")
    answer = commands.add(
        "answer",
        "talk:answer",
        "Answer the call that rings here, and stay until it ends.",
        "  fencewire answer\n  fencewire answer --wait 60 --record they.wav",
    )
    answer.add_argument("call", metavar="CALL", nargs="?", help="id of a call; else what rings")
    answer.add_argument(
        "--wait",
        metavar="SECONDS",
        type=numbers.seconds,
        help="for a call to come, at most this long",
    )
    for parser in (call, answer):
        parser.add_argument("--play", metavar="WAV", help="this instead of the microphone")
        parser.add_argument("--record", metavar="WAV", help="to this instead of the speaker")
        parser.add_argument(
            "--for",
            dest="for_",
            metavar="SECONDS",
            type=numbers.seconds,
            help="hang up after so long",
        )
    _joining(commands)
    hangup = commands.add("hangup", "talk:hangup", "End the call, or decline it while it rings.")
    hangup.add_argument("call", metavar="CALL", nargs="?", help="id of a call; else all of them")

    calls = commands.add(
        "calls",
        "calls:calls",
        "List calls that are over: with whom, when, how long, why they ended, and missed ones.",
        "  fencewire calls\n  fencewire calls --missed --seen\n"
        "  fencewire calls --with clinic --json",
    )
    calls.add_argument("--with", dest="with_", metavar="STATION", help="only with this one")
    calls.add_argument("--missed", action="store_true", help="missed ones only")
    calls.add_argument("--seen", action="store_true", help="mark what is shown as seen")
    calls.add_argument(
        "--limit",
        metavar="NUMBER",
        type=numbers.count,
        default=20,
        help="at most so many (%(default)s)",
    )


def _microphone(commands: Commands) -> None:
    microphone = commands.add(
        "microphone",
        "microphone:microphone",
        "Switch your microphone off or on in a call, or use it as a key: push to talk.",
        "  fencewire microphone off\n  fencewire microphone push\n  fencewire microphone talk\n"
        "  fencewire microphone over",
    )
    microphone.add_argument("state", choices=("off", "on", "push", "talk", "over"))
    microphone.add_argument("call", metavar="CALL", nargs="?", help="id of a call; else the first")


def _setting(commands: Commands) -> None:
    verify = commands.add(
        "verify",
        "trust:verify",
        "Make sure with its operator that a station is what it says.",
        "  fencewire verify clinic\n"
        '  fencewire verify clinic --id "k7qd 02mh ..."      its whole id as it was read out\n'
        "  fencewire verify clinic --show                   for scripts: print the digits,\n"
        "  fencewire verify clinic --yes-it-matches 482917  then say what the other side saw",
    )
    verify.add_argument("station", metavar="STATION")
    how = verify.add_mutually_exclusive_group()
    how.add_argument("--id", metavar="TEXT", help="compare the whole id instead of digits")
    how.add_argument("--show", action="store_true", help="print the digits and leave it open")
    how.add_argument("--yes-it-matches", metavar="DIGITS", help="what the other side sees")
    name = commands.add("name", "change:name", "Show or choose the name that others see.")
    name.add_argument("name", metavar="NAME", nargs="*")
    peer = commands.add(
        "peer",
        "change:peer",
        "Connect to a station by its network address, where they don't find each other.",
        "  fencewire peer 192.168.1.20\n  fencewire peer [fe80::1%eth0]:18950",
    )
    peer.add_argument("host", metavar="HOST[:PORT]")
    peer.add_argument(
        "--timeout", metavar="SECONDS", type=numbers.seconds, default=10.0, help="(%(default)g)"
    )
    sound = commands.add(
        "sound",
        "change:sound",
        "Show, choose or try microphone and speaker.",
        '  fencewire sound\n  fencewire sound --input "USB Audio" --output default\n'
        "  fencewire sound --test\n  fencewire sound --handset yes --talk-key right-ctrl",
    )
    sound.add_argument("--input", metavar="NAME", help="microphone; default: the system's")
    sound.add_argument("--output", metavar="NAME", help="speaker; default: the system's")
    sound.add_argument(
        "--handset",
        choices=("yes", "no"),
        help="yes: the microphone does not hear the speaker, so no echo is removed",
    )
    sound.add_argument(
        "--talk-key", metavar="KEY", help="key that talks while it is held; none: no key"
    )
    sound.add_argument("--test", action="store_true", help="listen, and play a tone, for 2 s")


def _starting(commands: Commands, *, with_village: bool) -> None:
    run = commands.add(
        "run",
        "start:run",
        "Be the daemon, in the foreground.",
        "  fencewire run\n  fencewire run --state /tmp/b --api /tmp/b/api.sock --port 18951",
    )
    run.add_argument("--state", metavar="DIR", help="where keys and messages are kept")
    run.add_argument(
        "--port",
        type=numbers.port,
        help=f"for other stations ({DEFAULT_PORT}, or any free one where that is taken)",
    )
    run.add_argument(
        "--bind", metavar="ADDRESS", action="append", default=[], help="only there; may be repeated"
    )
    run.add_argument(
        "--ring-for",
        metavar="SECONDS",
        type=numbers.seconds,
        help="a call rings so long here before its caller hears of no answer, at most 60",
    )
    run.add_argument(
        "--interface",
        metavar="NAME",
        action="append",
        default=[],
        help="look for stations only there; may be repeated",
    )
    run.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    run.add_argument("--log-file", metavar="FILE", help="log to this instead of standard error")
    commands.add("stop", "stop:stop", "End the daemon in order; it outlives the screen otherwise.")
    commands.add("tui", "start:tui", "Show the screen of the daemon that is running.")
    village = commands.add(
        "village", "", "Build a village of several stations on this machine.", shared=False
    )
    if with_village:
        from appliance.village import command as village_command

        village_command.configure(village)
        village.set_defaults(function=village_command.run)
    completion = commands.add(
        "completion",
        "completion:completion",
        "Print a script with which a shell completes our commands.",
        "  fencewire completion bash > ~/.local/share/bash-completion/completions/fencewire\n"
        "  fencewire completion zsh  > /usr/local/share/zsh/site-functions/_fencewire\n"
        "  fencewire completion fish > ~/.config/fish/completions/fencewire.fish",
        shared=False,
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
