"""The lean tree: a Debian base without what an appliance never uses, ready to run.

Trims by the lists `images/*/trim`, keeps kernel modules whose dependencies are still there, and
compiles Python's own library, so that none of it is done again when only Fencewire changes.
"""

import lzma
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from images.builder.bases import Base, Kind, read_lists
from images.builder.toolbox import Toolbox
from images.builder.work import BuildError, cache_dir, digest, making, run, step


@dataclass(frozen=True)
class Lean:
    """A trimmed tree and what of it belongs on the boot partition."""

    root: Path
    """The tree."""

    boot: Path
    """`vmlinuz`, and a Raspberry Pi's `firmware/`."""

    key: str
    """Stands for all that it was made from."""

    @property
    def kernel_version(self) -> str:
        return only(self.root / "usr/lib/modules", "*").name


def only(directory: Path, pattern: str) -> Path:
    """The one path that fits; Debian puts versions into names."""
    found = list(directory.glob(pattern))
    if len(found) != 1:
        raise BuildError(f"{directory} should hold one {pattern}, and has {len(found)}.")
    return found[0]


def make_lean(sources: Path, kind: Kind, base: Base, toolbox: Toolbox) -> Lean:
    unwanted = read_lists(sources, kind, "trim")
    wanted = read_lists(sources, kind, "modules")
    key = digest(base.manifest, toolbox.manifest, unwanted, wanted, Path(__file__).read_text())
    final = cache_dir("lean") / f"{kind.name}-{key}"
    if not final.exists():
        with step(f"Trimming the {kind.name} tree"), making(final) as fresh:
            root, boot = fresh / "root", fresh / "boot"
            root.mkdir()
            boot.mkdir()
            run(
                [
                    "tar",
                    "--numeric-owner",
                    "--xattrs",
                    "--xattrs-include=*",
                    "-C",
                    root,
                    "-xf",
                    base.tar,
                ]
            )
            take_boot_files(root, boot)
            trim(root, unwanted)
            drop_privileged_bits(root)
            modules = only(root / "usr/lib/modules", "*")
            drop_orphaned_modules(modules)
            find_modules(wanted, modules)
            unpack_modules(modules)
            toolbox.run(["depmod", "--basedir", root, modules.name])
            compile_python(toolbox, root, only(root / "usr/lib", "python3.*"))
    return Lean(final / "root", final / "boot", key)


def take_boot_files(root: Path, boot: Path) -> None:
    shutil.copyfile(only(root / "boot", "vmlinuz-*"), boot / "vmlinuz")
    if (root / "usr/lib/raspi-firmware").exists():
        shutil.copytree(root / "usr/lib/raspi-firmware", boot / "firmware")
        trees = only(root / "usr/lib", "linux-image-*")
        shutil.copytree(trees / "broadcom", boot / "device-trees")


def trim(root: Path, patterns: list[str]) -> None:
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def drop_privileged_bits(root: Path) -> None:
    """No program gains privileges by being started: services get theirs from systemd."""
    for path in (root / "usr").rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o6000:
            path.chmod(path.stat().st_mode & 0o1777)


def read_dependencies(modules: Path) -> dict[str, list[str]]:
    """For each module of modules.dep all that it needs, by path."""
    lines = (modules / "modules.dep").read_text().splitlines()
    return {name: needs.split() for name, _, needs in (line.partition(":") for line in lines)}


def drop_orphaned_modules(modules: Path) -> None:
    """Removes what could not be loaded any more because something that it needs was trimmed."""
    for name, needs in read_dependencies(modules).items():
        if not all((modules / need).exists() for need in needs):
            (modules / name).unlink(missing_ok=True)


def module_name(path: str) -> str:
    """A module as modprobe knows it."""
    return Path(path).name.partition(".")[0].replace("-", "_")


def find_modules(names: Iterable[str], modules: Path) -> list[str]:
    """Paths of modules with these names; what is built into the kernel has none."""
    paths = {module_name(path): path for path in read_dependencies(modules)}
    built_in = {module_name(path) for path in (modules / "modules.builtin").read_text().split()}
    there = {name for name, path in paths.items() if (modules / path).exists()}
    if missing := set(names) - there - built_in:
        raise BuildError(f"No kernel module is called {', '.join(sorted(missing))}.")
    return [paths[name] for name in names if name in there]


def unpack_modules(modules: Path) -> None:
    """Modules as they are load faster, and squashfs packs them nearly as well."""
    for packed in modules.rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()


def compile_python(toolbox: Toolbox, root: Path, *directories: Path) -> None:
    """Compiles to files that Python takes without looking at times, which the image flattens."""
    for directory in directories:
        for cache in directory.rglob("__pycache__"):
            shutil.rmtree(cache)
    toolbox.run(
        [
            "python3",
            "-m",
            "compileall",
            "-q",
            "-j0",
            "--invalidation-mode",
            "unchecked-hash",
            "-s",
            root,
            "-p",
            "/",
            *directories,
        ],
        env={"PYTHONHASHSEED": "0"},
    )
