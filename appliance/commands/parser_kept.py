"""The arguments of the commands that are about what is kept, and about copies of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.commands import numbers

if TYPE_CHECKING:
    from appliance.commands.parser import Commands


def add(commands: Commands) -> None:
    """Add them."""
    _looking(commands)
    _files(commands)


def _looking(commands: Commands) -> None:
    message = commands.add(
        "message",
        "kept:message",
        "Show a message, how far it came with whom, and who carries it.",
        "  fencewire message                the latest that you wrote\n"
        "  fencewire message 3fa0... --json",
    )
    message.add_argument("id", metavar="ID", nargs="?", help="as in inbox --json")
    save = commands.add(
        "save",
        "attachments:save",
        "Save the files that came with a message; nothing is ever overwritten.",
        "  fencewire save 3fa0...                 all of them, here\n"
        "  fencewire save 3fa0... 2 /media/stick  the second one\n"
        "  fencewire save 3fa0... --wait 600      ask for it and wait",
    )
    save.add_argument("id", metavar="MESSAGE", help="its id, as in inbox --json")
    save.add_argument("rest", metavar="N DIR", nargs="*", help="number of a file, and where to")
    save.add_argument(
        "--wait",
        metavar="SECONDS",
        type=numbers.seconds,
        default=0.0,
        help="for what is not here yet, at most this long",
    )
    storage = commands.add(
        "storage",
        "kept:storage",
        "Show how much is kept, and what had to make room; or choose how much may be kept.",
        "  fencewire storage\n  fencewire storage --mb 1000 --messages 1000000",
    )
    storage.add_argument(
        "--mb", metavar="N", type=numbers.whole, help="megabytes of messages, 64 or more"
    )
    storage.add_argument(
        "--messages", metavar="N", type=numbers.whole, help="messages, 1000 or more"
    )
    storage.add_argument(
        "--carried-mb",
        metavar="N",
        type=numbers.whole,
        help="of what is carried for others, 0 to 64",
    )
    storage.add_argument(
        "--attachment-mb", metavar="N", type=numbers.whole, help="of one attachment, 1 to 1000"
    )
    storage.add_argument(
        "--attachments-mb", metavar="N", type=numbers.whole, help="of all attachments"
    )


def _files(commands: Commands) -> None:
    export = commands.add(
        "export",
        "export:export",
        "Write messages to a file: JSON Lines, or an ICS 309 log as CSV or as a page that prints.",
        "  fencewire export > messages.jsonl\n"
        "  fencewire export --conversation clinic --since 6h | jq .text\n"
        '  fencewire export --format ics309-html --operator "K. Berg" --output log.html\n'
        "  fencewire export --carried --output /media/stick/carried.jsonl",
    )
    export.add_argument(
        "--format",
        choices=("jsonl", "ics309", "ics309-html"),
        default="jsonl",
        help="(%(default)s)",
    )
    export.add_argument(
        "--carried",
        action="store_true",
        help="instead: all that is here for others, still sealed, to be imported elsewhere",
    )
    export.add_argument(
        "--conversation", metavar="WHO", help="only with a station, or everyone; else all"
    )
    export.add_argument(
        "--since", metavar="TIME", help="from then on: 6h, 2d, 14:00, 2026-11-23T14:00"
    )
    export.add_argument("--until", metavar="TIME", help="before then")
    export.add_argument("--output", metavar="FILE", help="to this; else to standard output")
    export.add_argument("--operator", metavar="NAME", default="", help="who kept the log (ICS 309)")
    export.add_argument("--incident", metavar="NAME", default="", help="its name (ICS 309)")
    import_ = commands.add(
        "import",
        "importing:import_",
        "Take messages and receipts from a file of export, as if a neighbour had brought them.",
        "  on one island:    fencewire export --carried --output /media/stick/carried.jsonl\n"
        "  on the other:     fencewire import /media/stick/carried.jsonl\n"
        "  and back again, so that the authors learn what has arrived",
    )
    import_.add_argument("file", metavar="FILE", help="- reads it from input")
    backup = commands.add(
        "backup",
        "backup:backup",
        "Copy the station into one file, its secret key too, or make a station of such a file.",
        "  fencewire backup /media/stick/clinic.backup       also while the daemon runs\n"
        "  fencewire backup --restore clinic.backup          where no station is yet\n"
        "  fencewire backup --restore --replace clinic.backup",
    )
    backup.add_argument("file", metavar="FILE")
    backup.add_argument("--restore", action="store_true", help="make a station of the file")
    backup.add_argument(
        "--replace", action="store_true", help="with --restore: keep a station that is here aside"
    )
    backup.add_argument(
        "--attachments", action="store_true", help="with the files of messages, if there is room"
    )
    backup.add_argument("--state", metavar="DIR", help="where keys and messages are kept")
    for parser in (export, backup):
        parser.add_argument("--force", action="store_true", help="overwrite a file")
