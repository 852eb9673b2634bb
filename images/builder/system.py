"""The root file system: the lean tree, Fencewire, and the files of `images/*/tree`, as squashfs."""

from pathlib import Path

from images.builder.app import add_app
from images.builder.bases import Kind
from images.builder.files import copy_tree, files_below, hash_files
from images.builder.lean import Lean
from images.builder.toolbox import Toolbox
from images.builder.work import CHECKOUT, EPOCH, IMAGES, cache_dir, digest, making, run, scratch, step

COMPRESSION_LEVEL = 15
"""zstd's; more costs minutes and saves a hundredth."""


def trees(kind: Kind) -> list[Path]:
    found = [IMAGES / part / "tree" for part in ("common", kind.name)]
    return [path for path in found if path.exists()]


def make_system(kind: Kind, lean: Lean, wheels: Path, toolbox: Toolbox) -> Path:
    """The squashfs."""
    sources = [*trees(kind), CHECKOUT / "appliance", Path(__file__)]
    contents = [
        hash_files(files_below(path) if path.is_dir() else [path], below=CHECKOUT)
        for path in sources
    ]
    key = digest(lean.key, wheels.name, contents)
    final = cache_dir("systems") / f"{kind.name}-{key}"
    if not final.exists():
        with scratch() as root, making(final) as fresh:
            with step(f"Tree of {kind.name}"):
                run(["cp", "-a", f"{lean.root}/.", root])
                compose(kind, root, wheels, toolbox)
            with step(f"Root file system of {kind.name}"):
                compress(root, fresh / "root.squashfs", toolbox)
    return final / "root.squashfs"


def compose(kind: Kind, root: Path, wheels: Path, toolbox: Toolbox) -> None:
    add_app(root, wheels, toolbox)
    for tree in trees(kind):
        copy_tree(tree, root)
    toolbox.run(["systemd-sysusers", "--root", root])
    toolbox.run(["systemctl", "--root", root, "preset-all"])
    # Empty: every boot has a machine id of its own, until one can be kept.
    (root / "etc/machine-id").write_text("")
    for leftover in root.glob("etc/*-"):
        leftover.unlink()


def compress(root: Path, target: Path, toolbox: Toolbox) -> None:
    times = ["-mkfs-time", str(EPOCH), "-all-time", str(EPOCH)]
    level = ["-comp", "zstd", "-Xcompression-level", str(COMPRESSION_LEVEL)]
    toolbox.run(["env", "--unset=SOURCE_DATE_EPOCH", "mksquashfs", root, target, *times, *level,
                 "-noappend", "-no-progress", "-quiet"])
