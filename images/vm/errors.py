"""What can go wrong with a virtual machine, as one error."""

from __future__ import annotations


class MachineError(Exception):
    """A machine did not do what was asked in time, ended, or could not be started.

    The message says what, and ends with the last lines that the machine wrote, where there are any.
    """
