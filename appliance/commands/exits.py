"""Exit codes, for scripts.  They are stable; `fencewire --help` lists them."""

from __future__ import annotations

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3
NO_STATION: Final = 4
NOT_IN_TIME: Final = 5
NOT_ANSWERED: Final = 6
DECLINED: Final = 7
NO_CALL: Final = 8
NO_MATCH: Final = 9
INTERRUPTED: Final = 130

TABLE: Final = """\
exit codes:
  0    done
  1    failed; the message says why
  2    wrong usage
  3    no daemon is running, or it went away
  4    no such station or group, or several answer to that name
  5    not delivered, or did not happen, in the time given
  6    the call was not answered
  7    the call was declined, or the line was busy
  8    the call could not be connected, or broke off
  9    the comparison did not match, or was not finished
  130  interrupted
"""

CALL_ENDS: Final = {
    "hung-up": OK,
    "they-hung-up": OK,
    "no-answer": NOT_ANSWERED,
    "cancelled": NOT_ANSWERED,
    "declined": DECLINED,
    "they-declined": DECLINED,
    "busy": DECLINED,
    "unreachable": NO_CALL,
    "no-common-codec": NO_CALL,
    "no-such-line": NO_CALL,
    "cut-off": NO_CALL,
    "failed": NO_CALL,
}
"""By `model.call.EndReason`, which is not imported here: it would bring cryptography along."""
