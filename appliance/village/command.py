"""`fencewire village`: the command line of the village.

Argument parsing and printing; the work is in `village` and `enter`. Exit statuses: 0, or 1 with one
message on standard error; `exec` and `tui` end as the command did.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.village import enter, launch, place
from appliance.village.errors import VillageError
from appliance.village.settings import WORDS, LinkSettings, parse_change
from appliance.village.station import DAEMON, NET
from appliance.village.topology import LAN, TOPOLOGIES
from appliance.village.village import Village

FAILED = 1

DESCRIPTION = """\
Builds a village on this machine: several stations, each with a network of its own and a real
daemon, joined by cables that can be cut, slowed down and made lossy, over which they are one mesh.
Needs no root. Nothing of it touches this machine's own network, and `down` takes everything away.
"""

EXAMPLES = f"""\
topologies: {TOPOLOGIES}
  Stations are called a, b, c, ... z, s27, ...; their numbers 1, 2, ... work as well.
  In a star, a is the middle. In a lan all share one network, called '{LAN}'.

examples:
  fencewire village up pair                  two stations, one cable
  fencewire village tui a                    sit down at station a
  fencewire village exec b -- fencewire inbox
  fencewire village link a b loss=10 delay=40
  fencewire village link a b down            pull the cable; 'up' plugs it in again
  fencewire village link a b loss=0 delay=0  a good cable again
  fencewire village up lan:20 --name market  another village beside the first
  fencewire village link c {LAN} rate=256 --name market
  fencewire village status
  fencewire village down

files: $FENCEWIRE_VILLAGE, else $XDG_RUNTIME_DIR/fencewire-village, else
  /tmp/fencewire-village-UID; in there NAME/stations/STATION/daemon.log has what a daemon said and
  net.log what its network helper did; net.toml there is the helper's settings, if you write one.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the arguments of `fencewire village`."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="village_action", metavar="ACTION", required=True)

    def action(name: str, function: Callable[[argparse.Namespace], int], text: str) -> Any:
        sub = actions.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--name", default=place.DEFAULT_NAME, help="which village (default: %(default)s)"
        )
        sub.set_defaults(village_function=function)
        return sub

    up = action("up", _up, "Build a village and start its daemons.")
    up.add_argument("topology", metavar="TOPOLOGY", help=TOPOLOGIES)
    up.add_argument("--no-daemons", action="store_true", help="stations and cables only")
    up.add_argument(
        "--no-mesh",
        action="store_true",
        help="stations without privileges, which reach only those on a cable of their own",
    )

    run_in = action("exec", _exec, "Run a command in a station, as root of the village.")
    run_in.add_argument("--unprivileged", action="store_true", help="without any capability")
    run_in.add_argument("station", metavar="STATION")
    run_in.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)

    tui = action("tui", _tui, "Open a station's screen here.")
    tui.add_argument("station", metavar="STATION")

    link = action("link", _link, "Show or change the link between two stations, both ways alike.")
    link.add_argument("a", metavar="A")
    link.add_argument("b", metavar="B", help=f"the other station, or '{LAN}'")
    link.add_argument("settings", metavar="SETTING", nargs="*", help=WORDS)

    status = action("status", _status, "Show stations, addresses and links.")
    for reporting in (link, status):
        reporting.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,  # not given: what stands before `village` counts
            help="as one JSON object",
        )

    for name, text in (
        ("start", "Start a station's daemon that was stopped or killed."),
        ("stop", "End a station's daemon in order."),
        ("restart", "Stop and start a station's daemon."),
        ("kill", "kill -9 a station's daemon, as a power cut would."),
    ):
        sub = action(name, _process, text)
        sub.add_argument("station", metavar="STATION")
        sub.add_argument("--net", action="store_true", help="its network helper, not its daemon")

    action("down", _down, "End the village and take everything away.")


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say; the exit status."""
    try:
        function: Callable[[argparse.Namespace], int] = args.village_function
        return function(args)
    except VillageError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED


def _as_json(args: argparse.Namespace) -> bool:
    return bool(getattr(args, "json", False))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _directory(args: argparse.Namespace) -> Path:
    return place.village_directory(args.name)


def _up(args: argparse.Namespace) -> int:
    village = Village.up(
        args.topology,
        directory=_directory(args),
        daemons=not args.no_daemons,
        net=not (args.no_daemons or args.no_mesh),
        tied=False,
    )
    count = len(village.topology.stations)
    which = "" if args.name == place.DEFAULT_NAME else f" --name {args.name}"
    first = village.topology.stations[0]
    _say(f"The village is up: {args.topology}, {count} station{'s' if count > 1 else ''}.")
    if not args.no_daemons:
        _say(f"  Sit down at one:  fencewire village tui{which} {first}")
    _say(f"  Run something:    fencewire village exec{which} {first} -- COMMAND")
    _say(f"  See it:           fencewire village status{which}")
    _say(f"  End it:           fencewire village down{which}")
    return 0


def _exec(args: argparse.Namespace) -> int:
    argv = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not argv:
        raise VillageError("Say what to run, for example: fencewire village exec a -- ip address")
    # `fencewire` in there is the one that runs here, also where no PATH leads to it; so it is for
    # programs that start it, if it is installed.
    if argv[0] == "fencewire":
        argv = [*launch.PROGRAM, *argv[1:]]
        os.environ.update(launch.module_environment())
    beside = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join((beside, os.environ.get("PATH", os.defpath)))
    return enter.run(_directory(args), args.station, argv, unprivileged=args.unprivileged)


def _tui(args: argparse.Namespace) -> int:
    os.environ.update(launch.module_environment())
    argv = [*launch.PROGRAM, "tui"]
    return enter.run(_directory(args), args.station, argv, unprivileged=True)


def _link(args: argparse.Namespace) -> int:
    village = Village.attach(_directory(args))
    link = village.change_link(args.a, args.b, parse_change(args.settings))
    _say(json.dumps(link) if _as_json(args) else _link_line(link))
    return 0


def _status(args: argparse.Namespace) -> int:
    village = Village.attach(_directory(args))
    status = village.status()
    if _as_json(args):
        _say(json.dumps(status))
        return 0
    _say(f"{status['topology']} in {status['directory']}, keeper {status['keeper_pid']}")
    for item in status["stations"]:
        daemon = _words(item["daemon"], item["exit_status"])
        net = _words(item["net"]["state"], item["net"]["exit_status"])
        addresses = " ".join(item["addresses"])
        _say(f"  {item['name']:<4} daemon {daemon:<12} net {net:<12} {addresses}")
    for item in status["links"]:
        _say(f"  {_link_line(item)}")
    return 0


def _link_line(link: dict[str, Any]) -> str:
    fields = ("up", "loss_pct", "delay_ms", "rate_kbit")
    return f"{link['a']} - {link['b']}: {LinkSettings(**{key: link[key] for key in fields})}"


def _words(state: str, exit_status: int | None) -> str:
    return f"{state} ({exit_status})" if state == "ended" else state


def _process(args: argparse.Namespace) -> int:
    village = Village.attach(_directory(args))
    actions = {
        "start": village.start,
        "stop": village.stop,
        "restart": village.restart,
        "kill": village.kill,
    }
    actions[args.village_action](args.station, which=NET if args.net else DAEMON)
    return 0


def _down(args: argparse.Namespace) -> int:
    Village.attach(_directory(args)).down()
    _say("The village is down.")
    return 0
