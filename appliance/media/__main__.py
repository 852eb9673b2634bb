"""``python -m appliance.media``: the voice process.

With ``--fd`` it belongs to the daemon that started it and ends with it; with ``--listen-fd`` it is
a service that daemons connect to, at a socket that the service manager holds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
import threading

from appliance.adapters.opus import OpusError
from appliance.adapters.realtime import be_realtime, die_with_parent, lock_memory
from appliance.adapters.service_manager import notify
from appliance.media.control import Control
from appliance.media.engine import Engine
from appliance.media.voice import warm_up

SWITCH_INTERVAL_S = 0.0005
"""How long another thread of ours may keep the interpreter from the loop; Python's own is 5 ms."""

STACK_BYTES = 512 * 1024
"""For the helper threads."""


def end_with_thread(failure: threading.ExceptHookArgs) -> None:
    """End at once when a thread fails.

    Without one of its threads the process would be deaf or dumb and still answer; whoever started
    it starts a whole one, and the daemon opens its calls' streams anew.
    """
    threading.__excepthook__(failure)
    sys.stderr.flush()
    os._exit(1)


def main(arguments: list[str] | None = None) -> int:
    """Run until told to end."""
    parser = argparse.ArgumentParser(prog="python -m appliance.media", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--listen-fd", type=int, help="inherited socket to take daemons at")
    where.add_argument("--fd", type=int, help="inherited socket of the daemon")
    options = parser.parse_args(arguments)
    parent = os.getppid()
    if options.fd is not None:
        die_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # The terminal's Ctrl-C is the daemon's.
    try:
        warm_up()
        control = Control(listen_fd=options.listen_fd, fd=options.fd)
    except (OSError, OpusError) as error:
        sys.stderr.write(f"The voice process can't start: {error}\n")
        return 1
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    threading.stack_size(STACK_BYTES)
    threading.excepthook = end_with_thread
    engine = Engine(control, realtime=be_realtime(), memory_locked=lock_memory())
    signal.signal(signal.SIGTERM, lambda _signal, _frame: engine.end())
    if options.fd is None:
        signal.signal(signal.SIGINT, lambda _signal, _frame: engine.end())
    gc.collect()
    gc.freeze()
    gc.disable()
    if control.fresh:
        engine.greet()
    notify("READY=1")
    with contextlib.suppress(BrokenPipeError):
        engine.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
