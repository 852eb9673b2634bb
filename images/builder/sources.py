"""What of the repository goes into an image, and the key that stands for all of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from images.builder.files import files_below, hash_files, make_dirs

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def inputs(kind: str, root: Path) -> Iterator[Path]:
    """Files of an image, below a checkout or a copy of one."""
    yield root / "requirements.lock"
    for name in ("builder", "common", "initrd", kind):
        yield from files_below(root / "images" / name)
    yield from files_below(root / "appliance")


def image_key(kind: str, *, root: Path = CHECKOUT) -> str:
    """Changes when an image of this kind may come out different.

    Newer Debian packages are not in it: they come in when somebody asks for them.
    """
    return hash_files(inputs(kind, root), below=root)


def take_snapshot(kind: str, target: Path) -> None:
    """Copies the inputs, so that work in the checkout does not show in a half of an image."""
    for path in inputs(kind, CHECKOUT):
        copy = target / path.relative_to(CHECKOUT)
        make_dirs(copy.parent)
        shutil.copy(path, copy, follow_symlinks=False)
