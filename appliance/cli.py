"""The command line.  What its commands are stands in `commands.parser`."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from appliance.commands import exits, parser


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name must not fail on an old console
    args = parser.build(with_village="village" in arguments).parse_args(arguments)
    function = args.function
    if isinstance(function, str):
        module, _, name = function.partition(":")
        function = getattr(importlib.import_module(f"appliance.commands.{module}"), name)
    try:
        code = function(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; nothing more may be written when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    assert isinstance(code, int)
    return code
