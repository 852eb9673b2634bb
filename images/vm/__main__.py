"""`scripts/vm`: virtual machines for people and for shell scripts."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from images.vm import fleet, guest, packages
from images.vm.attach import attach
from images.vm.errors import MachineError
from images.vm.machine import BOOT_TIMEOUT_S, Machine
from images.vm.network import Network
from images.vm.settings import Firmware, Kind, Settings
from images.vm.shell import Command

ENDLESS_S = 7 * 86400.0
LOOK_S = 0.5

EXAMPLES = """\
examples:
  scripts/vm run fencewire doctor                       boots the pc image and runs a command
  scripts/vm run 'modprobe wireguard && ip link add w type wireguard && ip -d link show w'
  scripts/vm run --image pi 'free -m; systemctl --failed'
  scripts/vm run --checkout python3 -m pytest tests/unit/protocol
  scripts/vm up 2                                       two machines on one network, until Ctrl-C
  scripts/vm console 1                                  in another terminal; Ctrl-] leaves
  scripts/vm exec 2 journalctl -n 50
"""


def say(text: str) -> None:
    """Tell the person at the terminal."""
    print(f"fencewire: {text}", file=sys.stderr, flush=True)  # noqa: T201


def arguments() -> argparse.ArgumentParser:
    """What the command line may say."""
    parser = argparse.ArgumentParser(
        prog="scripts/vm",
        description="Boots Fencewire's images in virtual machines (QEMU, fully emulated).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="boot, run a command as root inside, end with its code")
    _machine_options(run)
    run.add_argument("--net", type=int, default=0, metavar="N", help="with N network cards")
    run.add_argument("--timeout", type=float, default=ENDLESS_S, metavar="S", help="of the command")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    up = verbs.add_parser("up", help="boot machines on one network and keep them until Ctrl-C")
    _machine_options(up)
    up.add_argument("count", type=int, metavar="N", help="how many")
    verbs.add_parser("list", help="say which machines are up")
    verbs.add_parser("down", help="end the machines that are up")
    console = verbs.add_parser("console", help="the serial console of a machine; Ctrl-] leaves")
    console.add_argument("number", type=int, metavar="N")
    execute = verbs.add_parser("exec", help="run a command as root in a machine that is up")
    execute.add_argument("number", type=int, metavar="N")
    execute.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser


def _machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", default="pc", metavar="pc|pi|FILE", help="built first if need be (default: pc)"
    )
    parser.add_argument("--kind", choices=("pc", "pi"), help="of a FILE; default by its name")
    parser.add_argument("--uefi", action="store_true", help="boot a pc by UEFI and not by BIOS")
    parser.add_argument("--memory", type=int, default=512, metavar="MB")
    parser.add_argument(
        "--checkout", action="store_true", help="with this checkout in place of the image's program"
    )


def build(kind: str) -> Path:
    """The image of a kind, from the cache or new."""
    command = [str(packages.ROOT / "scripts/image"), kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise MachineError(f"scripts/image {kind} failed")
    return Path(done.stdout.splitlines()[-1])


def settings_of(options: argparse.Namespace) -> Settings:
    """The machine that the command line asks for."""
    if options.image in ("pc", "pi"):
        kind, image = options.image, build(options.image)
    else:
        image = Path(options.image)
        if not image.is_file():
            raise MachineError(f"there is no image {image}")
        kind = options.kind or ("pi" if image.stem.endswith("pi") else "pc")
    firmware: Firmware = "uefi" if options.uefi else "bios"
    return Settings(
        image=image,
        kind=cast(Kind, kind),
        memory_mb=options.memory,
        firmware=firmware,
        checkout=packages.ROOT if options.checkout else None,
        packages=packages.prepare(kind) if options.checkout else None,
    )


def script_of(words: Sequence[str]) -> str:
    """One word is a line of bash, several are a command and its arguments."""
    if not words:
        raise MachineError("which command? scripts/vm --help has examples")
    return words[0] if len(words) == 1 else shlex.join(words)


def pass_on(stream: str, data: bytes) -> None:
    """Show what a command in a machine writes."""
    target = sys.stdout.buffer if stream == "out" else sys.stderr.buffer
    target.write(data)
    target.flush()


def code_of(command: Command, *, timeout_s: float) -> int:
    """Wait for a command; a signal counts as in a shell."""
    code = command.wait(timeout_s=timeout_s).code
    return code if code >= 0 else 128 - code


def run(options: argparse.Namespace) -> int:
    """`scripts/vm run`."""
    script = script_of(options.command)
    settings = settings_of(options)
    with ExitStack() as stack:
        networks = tuple(stack.enter_context(Network()) for _ in range(options.net))
        machine = Machine(dataclasses.replace(settings, networks=networks))
        stack.enter_context(machine)
        say("The machine boots.")
        state = machine.wait_booted()
        say(f"It is {state} after {machine.now_s:.0f} s.")
        if options.checkout:
            machine.check_checkout()
            script = guest.IN_CHECKOUT + script
        return code_of(machine.popen(script, listener=pass_on), timeout_s=options.timeout)


def up(options: argparse.Namespace) -> int:
    """`scripts/vm up`."""
    with fleet.up(settings_of(options), options.count) as machines:
        show()
        say("They run until Ctrl-C, or scripts/vm down.")
        try:
            while all(machine.is_on for machine in machines):
                time.sleep(LOOK_S)
        except KeyboardInterrupt:
            return 0
        ended = [machine for machine in machines if not machine.is_on]
        raise ended[0].error("it has ended")


def show() -> None:
    """`scripts/vm list`."""
    for number in fleet.numbers():
        line = f"machine {number}: scripts/vm console {number}, scripts/vm exec {number} COMMAND\n"
        sys.stdout.write(line)
    sys.stdout.flush()
    if not fleet.numbers():
        say("No machine is up.")


def execute(options: argparse.Namespace) -> int:
    """`scripts/vm exec`."""
    shell = fleet.shell(options.number)
    try:
        shell.wait_ready(timeout_s=BOOT_TIMEOUT_S)
        script = script_of(options.command)
        return code_of(shell.popen(script, listener=pass_on), timeout_s=ENDLESS_S)
    finally:
        shell.close()


def main() -> int:
    """Do what the command line says."""
    options = arguments().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # directories are removed on the way out
        signal.signal(number, signal.default_int_handler)
    try:
        if options.verb == "run":
            return run(options)
        if options.verb == "up":
            return up(options)
        if options.verb == "exec":
            return execute(options)
        if options.verb == "console":
            attach(fleet.place_of(options.number))
        elif options.verb == "list":
            show()
        elif not fleet.down():
            say("No machine is up.")
    except MachineError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
