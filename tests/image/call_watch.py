"""What becomes of a call, seen by one program in the machine: one for each look would be slow."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from booted import ASKING, LOOK_EVERY_S, WITHIN_S, Booted

WATCH = (
    ASKING
    + """
import time
last = None
while True:
    for call in json.loads(ask("GET", "/v1/calls", ""))[:1]:
        facts = {
            "state": call["state"],
            "end": call["end_reason"],
            "loud": call["level_out_db"] > float(sys.argv[1]),
            "talks": bool(call["talk_left_s"]),
            "problems": {one["code"]: one["text"] for one in call["problems"]},
        }
        if facts != last:
            print(json.dumps(facts | {"moment": time.monotonic()}), flush=True)
        last = facts
    time.sleep(0.2)
"""
)
"""A line for each change of the latest call; by the machine's own clock."""


@dataclass(frozen=True)
class Look:
    """The latest call at one moment."""

    state: str
    end: str | None
    loud: bool
    """The other side is heard."""
    talks: bool
    """The talk key is held."""
    problems: dict[str, str]
    """What is wrong, by code."""
    moment: float
    """Seconds."""


class CallWatch:
    """All changes of the latest call at a station, from now on; a context manager that ends it."""

    def __init__(self, at: Booted, *, loud_db: float) -> None:
        """``loud_db``: what counts as heard, dB full scale."""
        self._at = at
        self._rest = b""
        self.looks: list[Look] = []
        words = ["python3", "-c", WATCH, str(loud_db)]
        self._program = at.machine.popen(words, listener=self._take)

    def __enter__(self) -> CallWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.kill()

    def _take(self, stream: str, data: bytes) -> None:
        if stream == "out":
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.looks += [Look(**json.loads(line)) for line in lines]

    def wait(self, good: Callable[[Look], bool], *, after: Look | None = None) -> Look:
        """The first that is as wanted, ``after`` another or of all."""
        start = 0 if after is None else self.looks.index(after) + 1
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            for look in self.looks[start:]:
                if good(look):
                    return look
            self._at.machine.shell.pump(LOOK_EVERY_S)
        raise self._at.machine.error(f"of the call was seen: {self.looks[-9:]}")
