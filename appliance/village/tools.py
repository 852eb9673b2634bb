"""The programs that the village uses, and the Debian packages that have them."""

import os
import shutil
import subprocess

from appliance.village.errors import VillageError

PACKAGES = {"unshare": "util-linux", "ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
"""Program -> Debian package. Without `nft` a cable's loss is made by the relay instead."""

OPTIONAL = frozenset({"nft"})

COMMAND_TIMEOUT_S = 20.0
"""None of them takes a second; more is a machine in trouble, to be said rather than waited for."""


def search_path() -> str:
    """PATH with the system directories, which ordinary users on Debian do not have in theirs."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def find(program: str) -> str | None:
    """The path of a program, or nothing."""
    return shutil.which(program, path=search_path())


def require_all() -> None:
    """Raise `VillageError` that names every missing program and what to install."""
    missing = [name for name in PACKAGES if name not in OPTIONAL and not find(name)]
    if missing:
        packages = " ".join(sorted({PACKAGES[name] for name in missing}))
        raise VillageError(
            f"The village needs {', '.join(missing)}. Install with: sudo apt install {packages}"
        )


def run(program: str, *arguments: str, stdin: str = "") -> None:
    """Run one of the programs to its end; `VillageError` with its own words when it fails."""
    path = find(program)
    if path is None:
        raise VillageError(
            f"The village needs {program}. Install with: sudo apt install {PACKAGES[program]}"
        )
    done = subprocess.run(
        [path, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.strip() or f"exit status {done.returncode}"
        raise VillageError(f"{program} {' '.join(arguments)} failed: {words}")
