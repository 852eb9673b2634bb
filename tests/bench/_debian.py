"""Programs that only a bench wants, out of Debian's packages, without installing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def unpack(directory: Path, *packages: str) -> None:
    """Fetch Debian packages and unpack them; what is in them is found by `environment`."""
    subprocess.run(
        ["apt-get", "download", *packages], cwd=directory, check=True, capture_output=True
    )
    for package in directory.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
        package.unlink()


def environment(directory: Path) -> Mapping[str, str]:
    """PATH and libraries with what was unpacked."""
    path = [str(directory / place) for place in ("usr/bin", "usr/sbin")]
    libraries = [str(found) for found in directory.glob("usr/lib/*-linux-gnu*")]
    return {
        "PATH": os.pathsep.join([*path, os.environ["PATH"]]),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
    }


def find(directory: Path, programs: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Fetch the packages of those programs that are not here; an environment that has them all.

    Raises CalledProcessError where Debian's packages can't be fetched.
    """
    search = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    missing = [p for name, p in programs.items() if not shutil.which(name, path=search)]
    if missing:
        unpack(directory, *(package for packages in missing for package in packages))
    return environment(directory)
