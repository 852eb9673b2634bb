"""Commands and events of the voice process as bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.model.media import MediaCommand, MediaEvent
from appliance.protocol.typed_messages import Limits, Wire

MAX_FRAME_BYTES: Final = 32_768
"""Longest message between daemon and voice process."""

MAX_TEXT: Final = 4_096
"""Characters of a text; paths are the longest."""

MAX_ITEMS: Final = 512
"""Entries of a list; the histogram of lateness is the longest."""


class MediaWireError(ValueError):
    """The bytes are no message of ours."""


_WIRE: Final = Wire(MediaWireError, Limits(MAX_FRAME_BYTES, MAX_TEXT, MAX_ITEMS))

encode: Final[Callable[[MediaCommand | MediaEvent], bytes]] = _WIRE.encode
"""A message as bytes; raises `MediaWireError` when it could not be read back."""

decode_command: Final[Callable[[bytes], MediaCommand]] = _WIRE.reader(MediaCommand)
"""What the daemon sent; raises `MediaWireError` and nothing else."""

decode_event: Final[Callable[[bytes], MediaEvent]] = _WIRE.reader(MediaEvent)
"""What the voice process sent; raises `MediaWireError` and nothing else."""
