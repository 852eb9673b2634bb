"""Debian trees: the toolbox and what an image starts from, each made by mmdebstrap.

A tree is kept until its list changes or newer packages are asked for, since making one downloads
and, for another architecture, emulates. Packages that were downloaded once are kept too.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from images.builder import host
from images.builder.toolbox import Toolbox
from images.builder.work import cache_dir, digest, making, only_builder, run, say, step

SUITE = "trixie"

EXCLUDED_PATHS = ("doc", "man", "locale", "info", "lintian", "bug", "bash-completion")
"""What is not even unpacked, below /usr/share."""


@dataclass(frozen=True)
class Kind:
    """One of the images."""

    name: str
    """How it is asked for."""

    arch: str
    """Debian's name of its processor."""

    machine: str
    """The kernel's name of its processor."""


KINDS = {
    kind.name: kind for kind in (Kind("pc", "amd64", "x86_64"), Kind("pi", "arm64", "aarch64"))
}


@dataclass(frozen=True)
class Base:
    """A Debian tree as an archive."""

    tar: Path
    """The archive."""

    manifest: str
    """Names and versions of its packages."""


def read_list(path: Path) -> list[str]:
    """Lines of a list, without comments."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def read_lists(sources: Path, kind: Kind, name: str) -> list[str]:
    """Lines of what is for all images and of what is for this one."""
    return [
        line
        for part in ("common", kind.name)
        for line in read_list(sources / "images" / part / name)
    ]


def mmdebstrap_argv(packages: list[str], *, arch: str) -> list[str]:
    """All of the command but where the result goes. What it says decides what a tree is."""
    wanted = [name for name in packages if not name.startswith("-")]
    unwanted = " ".join(name[1:] for name in packages if name.startswith("-"))
    backports = f"{SUITE}-backports"
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--variant=essential",
        f"--architectures={arch}",
        "--components=main,non-free-firmware",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in EXCLUDED_PATHS),
        f"--include={','.join(wanted)}",
        # Packages of an earlier run go in, those of this run come out.
        "--skip=download/empty,essential/unlink",
        '--setup-hook=mkdir -p "$1/var/cache/apt/archives"; '
        'cp -a "$FENCEWIRE_DEBS/." "$1/var/cache/apt/archives/"',
        '--customize-hook=rm -f "$FENCEWIRE_DEBS"/*.deb; '
        'mv "$1"/var/cache/apt/archives/*.deb "$FENCEWIRE_DEBS/"',
    ]
    if any(name.endswith(f"/{backports}") for name in wanted):
        argv.append(
            f'--setup-hook=sed -n "s/ {SUITE} / {backports} /p" "$1/etc/apt/sources.list" '
            '> "$1/etc/apt/sources.list.d/backports.list"'
        )
    if unwanted:
        argv.append(f'--customize-hook=chroot "$1" dpkg --purge --force-depends {unwanted}')
    return [*argv, '--customize-hook=chroot "$1" dpkg-query -W > "$FENCEWIRE_MANIFEST"']


def make_tree(
    name: str, packages: list[str], *, arch: str, form: str, refresh: bool
) -> tuple[Path, str]:
    """The tree of a list, made if it is not there, and its manifest. `form` is tar or directory."""
    argv = mmdebstrap_argv(packages, arch=arch)
    final = cache_dir("bases") / f"{name}-{digest(argv, form)}"
    tree, manifest = final / f"tree.{form}", final / "manifest"
    if refresh or not manifest.exists():
        with step(f"Debian packages for {name}"), making(final) as fresh, host.able_to_run(arch):
            run(
                # Its mounts are its own, so that none is left when it is killed.
                [
                    *("unshare", "--mount", "--fork", "--kill-child"),
                    *argv,
                    f"--format={form}",
                    SUITE,
                    fresh / tree.name,
                ],
                env={
                    "INITRD": "No",  # the kernel's package would make one that nobody needs
                    "TMPDIR": str(cache_dir("scratch")),
                    "FENCEWIRE_DEBS": str(cache_dir(f"debs/{name}")),
                    "FENCEWIRE_MANIFEST": str(fresh / "manifest"),
                },
            )
    made = time.strftime("%Y-%m-%d", time.localtime(manifest.stat().st_mtime))
    say(f"Debian packages for {name} are of {made}; --refresh takes today's.")
    return tree, manifest.read_text()


def make_toolbox(sources: Path, *, refresh: bool) -> Toolbox:
    packages = read_list(sources / "images/builder/packages")
    with only_builder("toolbox"):
        tree, manifest = make_tree(
            "toolbox", packages, arch=host.ARCH, form="directory", refresh=refresh
        )
    return Toolbox(tree, manifest)


def make_base(sources: Path, kind: Kind, *, refresh: bool) -> Base:
    tar, manifest = make_tree(
        kind.name,
        read_lists(sources, kind, "packages"),
        arch=kind.arch,
        form="tar",
        refresh=refresh,
    )
    return Base(tar, manifest)
