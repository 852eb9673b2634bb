"""The station's name in a file beside its key, for when the message store is lost.

It is no secret, and nothing depends on it: a file that can't be read or written is as good as none.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from appliance.daemon.keyfile import sync_directory
from appliance.model.identity import StationId, clean_name

log = logging.getLogger(__name__)

FILE_NAME: Final = "station.name"
_MAX_BYTES: Final = 4096


def load(state_dir: Path, station: StationId) -> str | None:
    """Return the name that this station had; None: nobody knows."""
    try:
        with (state_dir / FILE_NAME).open("rb") as file:
            kept = json.loads(file.read(_MAX_BYTES))
        if kept["station"] == station.text:
            return clean_name(kept["name"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log.warning("the station's name can't be read from its file: %s", type(error).__name__)
    return None


def keep(state_dir: Path, station: StationId, name: str) -> None:
    """Write the name down unless it stands there already."""
    path = state_dir / FILE_NAME
    text = json.dumps({"station": station.text, "name": name}).encode() + b"\n"
    with suppress(OSError):
        if path.read_bytes() == text:
            return
    draft = state_dir / f"{FILE_NAME}.new"
    try:
        with draft.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_directory(state_dir)
    except OSError as error:
        log.warning("the station's name can't be written beside its key: %s", error.strerror)
