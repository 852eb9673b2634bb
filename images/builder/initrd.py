"""The initrd: busybox, a few kernel modules and our `/init`, as a cpio archive written here.

It needs nothing of the kernel's package but the modules, so it is the same work for every
processor, and the same input gives the same bytes.
"""

from collections.abc import Iterable
from pathlib import Path

from images.builder.bases import Kind, read_list
from images.builder.lean import Lean, find_modules, read_dependencies
from images.builder.toolbox import Toolbox
from images.builder.work import EPOCH, cache_dir, digest, making, scratch, step

DIRECTORIES = ("bin", "dev", "lib", "lib/modules", "proc", "run", "sys")
CONSOLE = (5, 1)
"""Major and minor of /dev/console, which the kernel opens before /init runs."""


def module_names(lines: Iterable[str], kind: Kind) -> list[str]:
    """What of the list is for this image."""
    names = []
    for line in lines:
        only_for, _, name = line.rpartition(":")
        if only_for in ("", kind.name):
            names.append(name.strip())
    return names


def choose_modules(names: Iterable[str], modules: Path) -> list[str]:
    """Paths of the modules of these names and of all that they need, below `modules`."""
    needs = read_dependencies(modules)
    found = find_modules(names, modules)
    return sorted({path for module in found for path in (module, *needs[module])})


class Archive:
    """A cpio archive in the format `newc`, in the making. Everything in it is root's."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._inode = 0

    def add(
        self, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        """Appends an entry; `mode` has the type in it, and links have their target as content."""
        self._inode += 1
        fields = (self._inode, mode, 0, 0, 1, EPOCH, len(content), 0, 0, *device, len(name) + 1, 0)
        self._content += b"070701" + b"".join(b"%08X" % field for field in fields)
        self._content += name.encode() + b"\0"
        self._pad()
        self._content += content
        self._pad()

    def _pad(self) -> None:
        self._content += bytes(-len(self._content) % 4)

    def finish(self) -> bytes:
        self._inode = -1
        self.add("TRAILER!!!", 0)
        return bytes(self._content)


def pack(tree: Path) -> bytes:
    """The archive of a directory, in which executable files and all others have one mode each."""
    archive = Archive()
    for name in DIRECTORIES:
        archive.add(name, 0o040755)
    archive.add("dev/console", 0o020600, device=CONSOLE)
    archive.add("bin/sh", 0o120777, b"busybox")
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if path.is_dir():
            if name not in DIRECTORIES:
                archive.add(name, 0o040755)
        else:
            archive.add(name, 0o100755, path.read_bytes())
    return archive.finish()


def make_initrd(sources: Path, kind: Kind, lean: Lean, toolbox: Toolbox) -> Path:
    """The compressed archive."""
    names = module_names(read_list(sources / "images/initrd/modules"), kind)
    init = (sources / "images/initrd/init").read_bytes()
    key = digest(lean.key, names, init, Path(__file__).read_text())
    final = cache_dir("initrds") / f"{kind.name}-{key}"
    if not final.exists():
        with step(f"Initrd of {kind.name}"), scratch() as tree, making(final) as fresh:
            fill(tree, names, init, lean, toolbox)
            archive = fresh / "archive"
            archive.write_bytes(pack(tree))
            toolbox.run(["zstd", "-q", "-15", "--rm", archive, "-o", fresh / "initrd"])
    return final / "initrd"


def fill(tree: Path, names: list[str], init: bytes, lean: Lean, toolbox: Toolbox) -> None:
    modules = Path("usr/lib/modules") / lean.kernel_version
    target = tree / "lib/modules" / lean.kernel_version
    (tree / "bin").mkdir()
    (tree / "init").write_bytes(init)
    (tree / "bin/busybox").write_bytes((lean.root / "usr/bin/busybox").read_bytes())
    for name in choose_modules(names, lean.root / modules):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((lean.root / modules / name).read_bytes())
    for name in ("modules.builtin", "modules.order"):
        (target / name).write_bytes((lean.root / modules / name).read_bytes())
    toolbox.run(["depmod", "--basedir", tree, lean.kernel_version])
    for index in target.glob("modules.*"):
        if index.name not in ("modules.dep", "modules.alias"):
            index.unlink()
