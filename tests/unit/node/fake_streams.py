"""A stream of a fake voice process."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.media import StartStream


@dataclass
class FakeStream:
    """A stream of the fake voice process."""

    host: str
    port: int
    next_host: str = ""
    next_port: int = 0
    start: StartStream | None = None
    heard: bool = False
    packets: int = 0
    silent_since: float | None = None
    warned: bool = False
