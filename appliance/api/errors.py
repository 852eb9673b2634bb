"""What can go wrong between a client and the daemon.  All of it has words for the operator."""

from __future__ import annotations


class ClientError(Exception):
    """Something went wrong; says what happened and what to do."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.text = text
        """What happened, in a sentence."""
        self.fix = fix
        """What to do, in a sentence; may be empty."""

    def __str__(self) -> str:
        return f"{self.text} {self.fix}".strip()


class NotRunning(ClientError):  # noqa: N818 - it names a state that clients wait out
    """Nobody listens at the socket."""


class NotYetRunning(NotRunning):
    """The system will start it, or is doing so."""


class ConnectionLost(NotRunning):
    """The daemon went away or fell silent; whether it still did what was asked is not known."""


class RequestError(ClientError):
    """The daemon's answer was an error."""

    def __init__(self, status: int, code: str, text: str, fix: str) -> None:
        super().__init__(text, fix)
        self.status = status
        """HTTP status."""
        self.code = code
        """For programs, such as ``unknown-station``."""
