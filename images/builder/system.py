"""The root file system: the lean tree, Fencewire, and the files of `images/*/tree`, as squashfs."""

from pathlib import Path

from images.builder import app
from images.builder.bases import Kind
from images.builder.files import copy_tree, files_below, hash_files
from images.builder.lean import Lean
from images.builder.toolbox import Toolbox
from images.builder.work import EPOCH, cache_dir, digest, making, run, scratch, step

COMPRESSION_LEVEL = 9
"""zstd's; 15 takes nine times as long and makes it 6 % smaller."""


def make_system(sources: Path, kind: Kind, lean: Lean, wheels: Path, toolbox: Toolbox) -> Path:
    """The squashfs."""
    trees = [sources / "images" / part / "tree" for part in ("common", kind.name)]
    ours = [path for tree in (*trees, sources / "appliance") for path in files_below(tree)]
    code = Path(__file__).read_text() + Path(app.__file__).read_text()
    key = digest(lean.key, wheels.name, hash_files(ours, below=sources), code)
    final = cache_dir("systems") / f"{kind.name}-{key}"
    if not final.exists():
        with scratch() as root, making(final) as fresh:
            with step(f"Tree of {kind.name}"):
                run(["cp", "-a", f"{lean.root}/.", root])
                app.add_app(sources, root, wheels, toolbox)
                for tree in trees:
                    copy_tree(tree, root)
                finish(root, toolbox)
            with step(f"Root file system of {kind.name}"):
                compress(root, fresh / "root.squashfs", toolbox)
    return final / "root.squashfs"


def finish(root: Path, toolbox: Toolbox) -> None:
    """Users and enabled units, as the tree's own files ask for them."""
    toolbox.run(["systemd-sysusers", "--root", root])
    toolbox.run(["systemctl", "--root", root, "preset-all"])
    # Empty: every boot has a machine id of its own, until one can be kept.
    (root / "etc/machine-id").write_text("")
    for leftover in root.glob("etc/*-"):
        leftover.unlink()


def compress(root: Path, target: Path, toolbox: Toolbox) -> None:
    times = ["-mkfs-time", str(EPOCH), "-all-time", str(EPOCH)]
    level = ["-comp", "zstd", "-Xcompression-level", str(COMPRESSION_LEVEL)]
    toolbox.run(
        [
            "env",
            "--unset=SOURCE_DATE_EPOCH",
            "mksquashfs",
            root,
            target,
            *times,
            *level,
            "-noappend",
            "-no-progress",
            "-quiet",
        ]
    )
