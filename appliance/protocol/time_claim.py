"""What a station says of the time as it answers a ping: part of the pong (`keepalive`)."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.codec import Fields


@dataclass(frozen=True)
class SourceTime:
    """A time from a satellite or network time source, perhaps over other stations."""

    ms: int
    """Milliseconds since 1970."""

    error_ms: int
    """How far it may be off."""

    hops: int
    """0: the source is the station's own."""

    gps: bool
    """It is a satellite's."""


@dataclass(frozen=True)
class TimeClaim:
    """What a station says of the time as it answers a ping."""

    own_ms: int
    """Its machine's clock, milliseconds since 1970, however wrong."""

    source: SourceTime | None = None
    """What it has from a source."""

    def fields(self) -> dict[int, int]:
        """Return what is sent, to stand in another message."""
        if self.source is None:
            return {0: self.own_ms}
        source = self.source
        return {
            0: self.own_ms,
            1: source.ms,
            2: source.error_ms,
            3: source.hops,
            4: int(source.gps),
        }

    @classmethod
    def read(cls, fields: Fields) -> TimeClaim:
        """Read it; raises FormatError."""
        own_ms, source = fields.uint(0, below=1 << 53), None
        if fields.has(1):
            source = SourceTime(
                ms=fields.uint(1, below=1 << 53),
                error_ms=fields.uint(2, below=1 << 32),
                hops=fields.uint(3, below=1 << 16),
                gps=bool(fields.uint(4, below=2)),
            )
        fields.end()
        return cls(own_ms, source)
