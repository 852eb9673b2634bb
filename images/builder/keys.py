"""The key of an image: a hash of everything in the repository that goes into it."""

from collections.abc import Iterator
from pathlib import Path

from images.builder.files import files_below, hash_files
from images.builder.work import CHECKOUT, IMAGES


def inputs(kind: str) -> Iterator[Path]:
    yield CHECKOUT / "requirements.lock"
    for tree in (IMAGES / "builder", IMAGES / "common", IMAGES / "initrd", IMAGES / kind):
        yield from files_below(tree)
    yield from files_below(CHECKOUT / "appliance")


def image_key(kind: str) -> str:
    """Changes when an image of this kind, built from this checkout, may differ.

    Newer Debian packages are not in it: they come in when somebody asks for them.
    """
    return hash_files(inputs(kind), below=CHECKOUT)
