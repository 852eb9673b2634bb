"""The note of answered calls as bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from appliance.model.kept_call import KeptCalls
from appliance.protocol.typed_messages import Limits, Wire

MAX_BYTES: Final = 65_536
"""Of the whole note."""

MAX_CALLS: Final = 16
"""Calls in it."""


class KeptCallsError(ValueError):
    """The bytes are no note of calls."""


_WIRE: Final = Wire(KeptCallsError, Limits(MAX_BYTES, 4_096, MAX_CALLS))

_Known: TypeAlias = KeptCalls | None

encode: Final[Callable[[KeptCalls], bytes]] = _WIRE.encode
"""A note as bytes; raises `KeptCallsError` when it could not be read back."""

_decode: Final = _WIRE.reader(_Known)


def decode(data: bytes) -> KeptCalls:
    """Read a note; raises `KeptCallsError` and nothing else."""
    kept = _decode(data)
    if not isinstance(kept, KeptCalls):
        raise KeptCallsError("its type is not known")
    return kept
