"""A file that is there whole or not at all, for our user's eyes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from appliance.commands.output import Failure
from appliance.daemon.keyfile import sync_directory

_MAX_PREFIX_CHARS: Final = 40
"""Of the file's name in that of its draft; a name has at most 255 bytes."""


def refuse_existing(path: Path) -> None:
    """Raise Failure where there is something already."""
    if os.path.lexists(path):
        raise Failure(f"{path} is there already.", "Choose another name, or add --force.")


@contextmanager
def whole_file(path: Path, *, force: bool, draft_in: Path | None = None) -> Iterator[IO[bytes]]:
    """Yield a file that gets its name when the body is done and all of it is on disk.

    Its mode is 0600.  Nothing is left of it when the body fails; what a power cut leaves lies in
    `draft_in`, a folder on the same disk, else beside it.  Raises Failure where `path` is
    there already, unless with `force`, and when it can't be written.
    """
    if not force:
        refuse_existing(path)
    try:
        prefix = f".{path.name[:_MAX_PREFIX_CHARS]}."
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=draft_in or path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        _give_name(draft, path, force=force)
        sync_directory(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        draft.unlink(missing_ok=True)


def _give_name(draft: Path, path: Path, *, force: bool) -> None:
    if not force:
        try:
            # A link, unlike a rename, fails where something has come into being meanwhile.
            os.link(draft, path)
        except FileExistsError:
            refuse_existing(path)
        except OSError:
            refuse_existing(path)  # a USB stick, whose file system knows no links
        else:
            return
    draft.replace(path)


def cannot_write(path: Path, error: OSError) -> Failure:
    """Say why a file can't be written."""
    return Failure(
        f"{path} can't be written: {error.strerror or error}.",
        "Make room there, or choose another place.",
    )
