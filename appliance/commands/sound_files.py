"""Sound files that are named on the command line."""

from __future__ import annotations

from pathlib import Path

from appliance.commands.output import Failure, visible


def sound_file(name: str | None, *, must_exist: bool) -> str | None:
    """Return a sound file's whole path, since the daemon does not know where we are."""
    if name is None:
        return None
    path = Path(name).absolute()
    if must_exist and not path.is_file():
        raise Failure(f"There is no file {visible(str(path))}.", "Give the path of a WAV file.")
    if not must_exist and not path.parent.is_dir():
        raise Failure(f"There is no folder {visible(str(path.parent))}.", "Make it first.")
    return str(path)
