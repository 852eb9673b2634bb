"""The key's file: made once, whole and for its owner alone, and never replaced."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.daemon.keyfile import FILE_NAME, KeyFileError, load_or_make

NOBODY = 65534


def test_a_key_is_made_once(tmp_path: Path) -> None:
    key = load_or_make(tmp_path)
    path = tmp_path / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_nlink == 1
    assert list(tmp_path.iterdir()) == [path]
    before = path.read_bytes()
    assert load_or_make(tmp_path).secret_bytes() == key.secret_bytes()
    assert path.read_bytes() == before
    other = tmp_path / "other"
    other.mkdir()
    assert load_or_make(other).id != key.id


def test_its_mode_needs_no_help_from_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_make(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "short": lambda data: data[:-1],
    "long": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "another format": lambda data: data.replace(b"key 1", b"key 2"),
    "one bit of the secret": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "one bit of the checksum": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_key_is_an_error_and_stays(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    load_or_make(tmp_path)
    path = tmp_path / FILE_NAME
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(KeyFileError, match=r"is damaged\. Put a backup of it back\.") as error:
        load_or_make(tmp_path)
    assert str(path) in str(error.value)
    assert path.read_bytes() == damaged
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_others_can_read_is_an_error(tmp_path: Path) -> None:
    load_or_make(tmp_path)
    path = tmp_path / FILE_NAME
    for mode in (0o644, 0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
            load_or_make(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    path.chmod(0o400)
    load_or_make(tmp_path)


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    real = tmp_path / "real"
    real.mkdir()
    load_or_make(real)
    obstacles: tuple[Callable[[], None], ...] = (
        lambda: path.mkdir(),
        lambda: os.mkfifo(path, 0o600),
        lambda: path.symlink_to(real / FILE_NAME),
        lambda: path.symlink_to(tmp_path / "nowhere"),
    )
    for put in obstacles:
        put()
        with pytest.raises(KeyFileError, match=str(path)):
            load_or_make(tmp_path)
        assert not (tmp_path / "nowhere").exists()
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_without_a_place_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"choose another place with --state"):
        load_or_make(tmp_path / "missing")


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can read what it may not")
def test_a_key_that_can_not_be_read_is_an_error(tmp_path: Path) -> None:
    load_or_make(tmp_path)
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o711)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(KeyFileError, match="Start Fencewire as the user who owns it"):
            load_or_make(tmp_path)
    finally:
        os.seteuid(0)


def test_a_disk_that_takes_nothing_leaves_nothing(tmp_path: Path) -> None:
    """By the limit on a file's size, which a write meets as it does a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
        with pytest.raises(KeyFileError, match=os.strerror(errno.EFBIG)):
            load_or_make(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []
    load_or_make(tmp_path)


def test_two_makers_agree(tmp_path: Path) -> None:
    barrier = threading.Barrier(2, timeout=10)
    rounds = [tmp_path / str(number) for number in range(100)]

    def make_all() -> list[bytes]:
        found = []
        for place in rounds:
            barrier.wait()
            found.append(load_or_make(place).secret_bytes())
        return found

    for place in rounds:
        place.mkdir()
    with ThreadPoolExecutor(2) as pool:
        first, second = (run.result() for run in [pool.submit(make_all) for _ in range(2)])
    assert first == second
    assert len(set(first)) == len(first)
    for place in rounds:
        assert [path.name for path in place.iterdir()] == [FILE_NAME]
