"""The toolbox: runs tools of Debian's own release on files of the host.

Mounts live in a mount namespace of the one command, so an interrupted build leaves none behind.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from images.builder.work import cache_dir, run


@dataclass(frozen=True)
class Toolbox:
    """A Debian tree with the tools that make images."""

    root: Path
    """Where it is."""

    manifest: str
    """Names and versions of its packages."""

    def run(self, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> str:
        """Runs a tool. The cache has the same path inside as outside."""
        binds = [Path("/proc"), Path("/dev"), cache_dir(".")]
        lines = ["set -e"]
        for path in binds:
            inside = Path(f"{self.root}{path}")
            inside.mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --rbind {shlex.quote(str(path))} {shlex.quote(str(inside))}")
        lines.append('exec chroot "$@"')
        tools = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": "/tmp"}  # noqa: S108
        return run(
            ["unshare", "--mount", "sh", "-c", "\n".join(lines), "sh", self.root, *argv],
            env={**tools, "HOME": "/", **(env or {}), "PATH": f"{tools['PATH']}:{os.defpath}"},
        )
