"""What the image builder decides, on small trees: what is chosen, written, and kept.

That an image boots is for `tests/image`.
"""

import re
import stat
from pathlib import Path

import pytest

from images.builder import bases, disk, files, initrd, lean, sources, work
from images.builder.work import BuildError

PC, PI = bases.KINDS["pc"], bases.KINDS["pi"]
IMAGES = sources.CHECKOUT / "images"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FENCEWIRE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(path: Path, text: str = "", mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def read_archive(content: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every entry of a cpio archive, by name."""
    entries: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert content[at : at + 6] == b"070701"
        fields = [int(content[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_end = at + 110 + fields[11]
        name = content[at + 110 : name_end - 1].decode()
        begin = (name_end + 3) & ~3
        if name == "TRAILER!!!":
            return entries
        entries[name] = (fields[1], content[begin : begin + fields[6]])
        at = (begin + fields[6] + 3) & ~3


class TestPackages:
    def test_a_list_is_names_without_comments(self, tmp_path: Path) -> None:
        path = write(tmp_path / "packages", "# why\n\nudev   # names\n-dracut\n")
        assert bases.read_list(path) == ["udev", "-dracut"]

    def test_unwanted_packages_are_removed_and_not_asked_for(self) -> None:
        argv = bases.mmdebstrap_argv(["udev", "-dracut", "-cpio"], arch="amd64")
        assert "--include=udev" in argv
        assert any(word.endswith("dpkg --purge --force-depends dracut cpio") for word in argv)

    def test_backports_are_used_only_where_a_package_is_from_there(self) -> None:
        plain = bases.mmdebstrap_argv(["udev"], arch="arm64")
        newer = bases.mmdebstrap_argv(["udev", "kernel/trixie-backports"], arch="arm64")
        assert "trixie-backports" not in " ".join(plain)
        assert any("sources.list.d/backports.list" in word for word in newer)

    def test_no_wheel_depends_on_the_python_that_builds(self) -> None:
        """pip asks the Python that it runs in about markers, which is not the image's."""
        lock = (sources.CHECKOUT / "requirements.lock").read_text()
        assert not re.findall(r"^\S+ ; .*python(?:_full)?_version.*", lock, re.MULTILINE)


class TestModules:
    @pytest.fixture
    def modules(self, tmp_path: Path) -> Path:
        write(tmp_path / "modules.builtin", "kernel/virtio/virtio_pci.ko\n")
        write(tmp_path / "modules.dep", "kernel/sd-mod.ko: kernel/scsi.ko\nkernel/scsi.ko:\n")
        write(tmp_path / "kernel/sd-mod.ko")
        write(tmp_path / "kernel/scsi.ko")
        return tmp_path

    def test_what_a_module_needs_comes_along(self, modules: Path) -> None:
        assert initrd.choose_modules(["sd_mod"], modules) == ["kernel/scsi.ko", "kernel/sd-mod.ko"]

    def test_what_is_built_in_is_left_out(self, modules: Path) -> None:
        assert initrd.choose_modules(["virtio_pci"], modules) == []

    def test_a_name_that_the_kernel_does_not_know_is_an_error(self, modules: Path) -> None:
        with pytest.raises(BuildError, match="sd_mode"):
            initrd.choose_modules(["sd_mode"], modules)

    def test_a_module_that_was_trimmed_is_missed(self, modules: Path) -> None:
        (modules / "kernel/scsi.ko").unlink()
        with pytest.raises(BuildError, match="scsi"):
            lean.find_modules(["scsi"], modules)

    def test_a_module_goes_with_what_it_needs(self, modules: Path) -> None:
        (modules / "kernel/scsi.ko").unlink()
        lean.drop_orphaned_modules(modules)
        assert not (modules / "kernel/sd-mod.ko").exists()

    def test_a_line_may_be_for_one_image(self) -> None:
        lines = ["overlay", "pc: ahci", "pi: bcm2835"]
        assert initrd.module_names(lines, PC) == ["overlay", "ahci"]
        assert initrd.module_names(lines, PI) == ["overlay", "bcm2835"]


class TestTree:
    def test_modes_do_not_come_from_the_checkout(self, tmp_path: Path) -> None:
        write(tmp_path / "from/etc/plain", mode=0o600)
        write(tmp_path / "from/bin/program", mode=0o700)
        (tmp_path / "from/etc/link").symlink_to("/dev/null")
        files.copy_tree(tmp_path / "from", tmp_path / "to")
        modes = {
            path.name: stat.S_IMODE(path.lstat().st_mode)
            for path in (tmp_path / "to").rglob("*")
            if not path.is_symlink()
        }
        assert modes == {"etc": 0o755, "plain": 0o644, "bin": 0o755, "program": 0o755}
        assert (tmp_path / "to/etc/link").readlink() == Path("/dev/null")

    def test_trimming_does_not_follow_links(self, tmp_path: Path) -> None:
        kept = write(tmp_path / "outside/kept")
        tree = tmp_path / "tree"
        write(tree / "doc/gone")
        (tree / "link").symlink_to(kept.parent)
        lean.trim(tree, ["doc", "link", "absent/*"])
        assert list(tree.iterdir()) == []
        assert kept.exists()

    def test_no_program_gains_privileges_by_being_started(self, tmp_path: Path) -> None:
        program = write(tmp_path / "usr/bin/su", mode=0o4755)
        lean.drop_privileged_bits(tmp_path)
        assert stat.S_IMODE(program.stat().st_mode) == 0o755


class TestInitrd:
    def test_the_archive_holds_a_system_that_can_start(self, tmp_path: Path) -> None:
        write(tmp_path / "init", "#!/bin/sh\n")
        write(tmp_path / "lib/modules/7/kernel/a.ko", "odd")
        entries = read_archive(initrd.pack(tmp_path))
        assert entries["init"] == (stat.S_IFREG | 0o755, b"#!/bin/sh\n")
        assert entries["lib/modules/7/kernel/a.ko"] == (stat.S_IFREG | 0o755, b"odd")
        assert entries["bin/sh"] == (stat.S_IFLNK | 0o777, b"busybox")
        assert entries["dev/console"][0] == stat.S_IFCHR | 0o600
        names = list(entries)
        assert all(names.index(str(Path(name).parent)) < names.index(name)
                   for name in names if "/" in name)  # fmt: skip

    def test_the_same_tree_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("one/b", "one/a", "two/a", "two/b"):
            write(tmp_path / name, name[-1])
        assert initrd.pack(tmp_path / "one") == initrd.pack(tmp_path / "two")


class TestDisk:
    def test_grub_finds_itself_where_the_disk_has_it(self) -> None:
        boot = disk.patch_boot_sector(bytes(512))
        core = disk.patch_core(bytes(1024))
        assert len(boot) == disk.MBR_CODE_BYTES
        assert int.from_bytes(boot[0x5C:0x64], "little") == disk.GRUB_CORE_SECTOR
        assert int.from_bytes(core[0x1F4:0x1FC], "little") == disk.GRUB_CORE_SECTOR + 1
        config = (IMAGES / "pc/disk.cfg").read_text()
        offset = re.search(r"partition fencewire-bios \{\s+offset = (\d+)M", config)
        assert offset
        assert int(offset[1]) * 2**20 == disk.GRUB_CORE_SECTOR * disk.SECTOR_BYTES

    @pytest.mark.parametrize("kind", ["pc", "pi"])
    def test_partitions_have_the_names_that_the_system_looks_for(self, kind: str) -> None:
        config = (IMAGES / kind / "disk.cfg").read_text()
        named = re.findall(r"partition (fencewire-\S+) ", config)
        assert named[-2:] == ["fencewire-boot", "fencewire-root"]

    @pytest.mark.parametrize("path", ["pc/boot/grub.cfg", "pi/boot/cmdline.txt"])
    def test_the_kernel_is_told_the_same_everywhere(self, path: str) -> None:
        text = (IMAGES / path).read_text()
        line = next(line for line in text.splitlines() if "root=" in line).split()
        wanted = {"root=PARTLABEL=fencewire-root", "quiet", "gpt", "panic=10", "fsck.repair=yes"}
        assert wanted <= set(line)
        assert [word for word in line if word.startswith("console=tty")]


class TestKey:
    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        for name in ("requirements.lock", "appliance/a.py", "images/pc/packages"):
            write(tmp_path / name, name)
        return tmp_path

    def test_the_key_follows_what_goes_in(self, checkout: Path) -> None:
        keys = [sources.image_key("pc", root=checkout)]
        write(checkout / "appliance/a.py", "changed")
        keys.append(sources.image_key("pc", root=checkout))
        (checkout / "appliance/a.py").chmod(0o700)
        keys.append(sources.image_key("pc", root=checkout))
        (checkout / "appliance/a.py").rename(checkout / "appliance/b.py")
        keys.append(sources.image_key("pc", root=checkout))
        assert len(set(keys)) == len(keys)

    def test_the_key_ignores_what_does_not(self, checkout: Path) -> None:
        key = sources.image_key("pc", root=checkout)
        write(checkout / "appliance/__pycache__/a.pyc", "compiled")
        write(checkout / "images/pi/packages", "another image's")
        write(checkout / "images/vm/qemu.py", "boots images")
        (checkout / "appliance/a.py").touch()
        assert sources.image_key("pc", root=checkout) == key

    def test_a_snapshot_has_the_key_of_the_checkout(self, tmp_path: Path) -> None:
        sources.take_snapshot("pc", tmp_path)
        assert sources.image_key("pc", root=tmp_path) == sources.image_key("pc")


class TestCache:
    def test_what_was_interrupted_is_not_there(self, cache: Path) -> None:
        def fail_half_way() -> None:
            with work.making(cache / "images/pc-1") as fresh:
                write(fresh / "half")
                raise BuildError

        with pytest.raises(BuildError):
            fail_half_way()
        assert not (cache / "images/pc-1").exists()
        assert list((cache / "scratch").iterdir()) == []

    def test_old_results_are_forgotten_by_kind(self, cache: Path) -> None:
        for name in ("pi-0", "pc-1", "pc-2", "pc-3", "pc-4"):
            with work.making(cache / "images" / name) as fresh:
                write(fresh / "whole")
        left = {path.name for path in (cache / "images").iterdir()}
        assert left == {"pi-0", "pc-2", "pc-3", "pc-4"}

    def test_a_failed_command_says_what_it_said(self) -> None:
        with pytest.raises(BuildError, match="no such thing"):
            work.run(["sh", "-c", "echo no such thing >&2; exit 3"])
