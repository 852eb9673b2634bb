"""Fencewire itself: wheels by hash for the image's processor and Python, and our own package.

They have a folder of their own, `/usr/lib/fencewire`, apart from Debian's Python packages.
"""

import shutil
import sys
from pathlib import Path

from images.builder.bases import Kind
from images.builder.files import copy_tree
from images.builder.lean import compile_python
from images.builder.toolbox import Toolbox
from images.builder.work import BuildError, cache_dir, digest, making, run, step

HOME = Path("usr/lib/fencewire")
"""Where it is in the image, from its root."""

PYTHON = "3.13"
"""What Debian trixie has."""

PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34")
"""Wheels that run on trixie's C library, as they call themselves without the processor."""

UNUSED = ("**/tests", "**/test", "**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.c", "**/*.h", "bin",
          "*.dist-info/RECORD")  # fmt: skip
"""What of the wheels only their developers need; RECORD would differ from what is left."""


def make_wheels(sources: Path, kind: Kind, toolbox: Toolbox) -> Path:
    """A directory with all that the lock names."""
    lock = sources / "requirements.lock"
    key = digest(lock.read_text(), PLATFORMS, UNUSED, Path(__file__).read_text(), toolbox.manifest)
    final = cache_dir("wheels") / f"{kind.name}-{key}"
    if not final.exists():
        with step(f"Python packages for {kind.machine}"), making(final) as fresh:
            platforms = [f"--platform={name}_{kind.machine}" for name in PLATFORMS]
            run(
                [
                    sys.executable,
                    "-m",
                    "pip",
                    "install",
                    "--disable-pip-version-check",
                    "--no-input",
                    "--quiet",
                    "--no-compile",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--require-hashes",
                    f"--python-version={PYTHON}",
                    "--implementation=cp",
                    *platforms,
                    f"--target={fresh / HOME}",
                    f"--requirement={lock}",
                ],
                env={"PIP_CACHE_DIR": str(cache_dir("pip"))},
            )
            for pattern in UNUSED:
                for path in (fresh / HOME).glob(pattern):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            if not list((fresh / HOME).glob("opuslib_next*/**/libopus*.so*")):
                raise BuildError("The wheel of opuslib-next-bundled came without its libopus.")
            compile_python(toolbox, fresh, fresh / HOME)
    return final


def add_app(sources: Path, root: Path, wheels: Path, toolbox: Toolbox) -> None:
    """Puts wheels and our own package into a tree."""
    shutil.copytree(wheels / HOME, root / HOME, symlinks=True)
    copy_tree(sources / "appliance", root / HOME / "appliance")
    compile_python(toolbox, root, root / HOME / "appliance")
