"""Commands and events of the network helper as bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.model.net import NetCommand, NetEvent
from appliance.protocol.typed_messages import Limits, Wire

MAX_FRAME_BYTES: Final = 65_536
"""Longest message between daemon and network helper."""

MAX_TEXT: Final = 300
"""Characters of a text; what is said to the operator is the longest."""

MAX_ITEMS: Final = 64
"""Entries of a list."""

KEY_BYTES: Final = 32
"""A station's public key, the only bytes that are sent."""


class NetWireError(ValueError):
    """The bytes are no message of ours."""


_WIRE: Final = Wire(NetWireError, Limits(MAX_FRAME_BYTES, MAX_TEXT, MAX_ITEMS, KEY_BYTES))

encode: Final[Callable[[NetCommand | NetEvent], bytes]] = _WIRE.encode
"""A message as bytes; raises `NetWireError` for text that is none, and for too much of it."""

decode_command: Final[Callable[[bytes], NetCommand]] = _WIRE.reader(NetCommand)
"""What the daemon sent; raises `NetWireError` and nothing else."""

decode_event: Final[Callable[[bytes], NetEvent]] = _WIRE.reader(NetEvent)
"""What the helper sent; raises `NetWireError` and nothing else."""
