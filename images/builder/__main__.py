"""Builds an image, or says what its key is. `scripts/image` is the way in."""

import argparse
import json
import shutil
import signal
import sys
import time
from pathlib import Path

from images.builder import host
from images.builder.app import make_wheels
from images.builder.bases import KINDS, Kind, make_base, make_toolbox
from images.builder.disk import make_disk
from images.builder.initrd import make_initrd
from images.builder.lean import make_lean
from images.builder.sources import image_key, take_snapshot
from images.builder.system import make_system
from images.builder.work import (
    BuildError,
    cache_dir,
    digest,
    making,
    only_builder,
    run,
    say,
    scratch,
)


def build(sources: Path, kind: Kind, *, refresh: bool) -> Path:
    """The image's directory in the cache."""
    begun = time.monotonic()
    repository_key = image_key(kind.name, root=sources)
    toolbox = make_toolbox(sources, refresh=refresh)
    base = make_base(sources, kind, refresh=refresh)
    key = digest(repository_key, base.manifest, toolbox.manifest)
    final = cache_dir("images") / f"{kind.name}-{key}"
    if not final.exists():
        lean = make_lean(sources, kind, base, toolbox)
        wheels = make_wheels(sources, kind, toolbox)
        initrd = make_initrd(sources, kind, lean, toolbox)
        system = make_system(sources, kind, lean, wheels, toolbox)
        with making(final) as fresh:
            make_disk(
                sources, kind, lean, initrd=initrd, system=system, toolbox=toolbox, target=fresh
            )
            image = fresh / f"fencewire-{kind.name}.img"
            about = {
                "key": key,
                "repository_key": repository_key,
                "kernel": lean.kernel_version,
                "image_bytes": image.stat().st_size,
                "root_bytes": system.stat().st_size,
                "initrd_bytes": initrd.stat().st_size,
                "packages": versions(base.manifest),
                "tools": versions(toolbox.manifest),
            }
            image.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    say(f"Image of {kind.name} is ready: {time.monotonic() - begun:.1f} s")
    return final


def versions(manifest: str) -> dict[str, str]:
    """By package."""
    return dict(line.split("\t") for line in manifest.splitlines())


def deliver(built: Path, kind: Kind, out: Path) -> Path:
    """Copies an image to where somebody wants it, holes included."""
    out.mkdir(parents=True, exist_ok=True)
    name = f"fencewire-{kind.name}"
    run(["cp", "--sparse=always", built / f"{name}.img", out])
    shutil.copyfile(built / f"{name}.json", out / f"{name}.json")
    return out / f"{name}.img"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/image", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS), help="for a PC or for a Raspberry Pi")
    parser.add_argument("--out", type=Path, metavar="DIR", help="put it there")
    parser.add_argument("--refresh", action="store_true", help="with today's Debian packages")
    parser.add_argument("--key", action="store_true", help="only print what it depends on, as hash")
    options = parser.parse_args()
    kind = KINDS[options.kind]
    if options.key:
        sys.stdout.write(f"{image_key(kind.name)}\n")
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):  # what was begun is removed on the way out
        signal.signal(number, signal.default_int_handler)
    try:
        host.prepare()
        with only_builder(kind.name), scratch() as sources:
            take_snapshot(kind.name, sources)
            built = build(sources, kind, refresh=options.refresh)
            image = built / f"fencewire-{kind.name}.img"
            if options.out:
                image = deliver(built, kind, options.out)
    except BuildError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    sys.stdout.write(f"{image}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
