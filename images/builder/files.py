"""Copies files into a tree the way the image wants them, whatever the checkout's umask was."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path


def files_below(tree: Path) -> Iterator[Path]:
    """Files and links of ours, sorted, without what Python leaves behind."""
    for path in sorted(tree.rglob("*")):
        if "__pycache__" not in path.parts and (path.is_symlink() or path.is_file()):
            yield path


def is_program(path: Path) -> bool:
    return os.access(path, os.X_OK)


def copy_tree(source: Path, target: Path) -> None:
    """Files of `source` over those of `target`: of root, 0755 where executable, else 0644."""
    for path in files_below(source):
        copy = target / path.relative_to(source)
        make_dirs(copy.parent)
        copy.unlink(missing_ok=True)
        if path.is_symlink():
            copy.symlink_to(path.readlink())
        else:
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if is_program(path) else 0o644)


def make_dirs(path: Path) -> None:
    """Directories that are not there get mode 0755, also under a strict umask."""
    if not path.is_dir():
        make_dirs(path.parent)
        path.mkdir()
        path.chmod(0o755)


def hash_files(paths: Iterable[Path], *, below: Path) -> str:
    """Stands for names, kinds and contents of files."""
    whole = hashlib.sha256()
    for path in paths:
        kind = "link" if path.is_symlink() else "program" if is_program(path) else "file"
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        name = str(path.relative_to(below))
        whole.update(f"{kind} {name} {len(content)}\n".encode() + content)
    return whole.hexdigest()[:16]
