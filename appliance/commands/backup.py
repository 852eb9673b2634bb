"""A station in one file, and a station from such a file.

The copy is made by this command and not by the daemon, which goes on meanwhile: SQLite lets others
read a moment of the database, and nobody but the station's own user can.  Files that belong to
messages may be large, and are found at whoever else has them: they are left out unless wanted.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from appliance.adapters.prekey_files import is_prekey_file
from appliance.adapters.store.backup import copy_database, nobody_uses, note_value, owners
from appliance.api.paths import default_state_dir
from appliance.api.schema import WallTime
from appliance.commands import exits
from appliance.commands.backup_file import (
    BLOBS,
    DATABASE,
    KEY,
    PREKEYS,
    RECORDINGS,
    BackupError,
    is_kept_file,
    read_backup,
    write_backup,
)
from appliance.commands.export_file import cannot_write, refuse_existing, whole_file
from appliance.commands.export_period import shown_time
from appliance.commands.output import Failure, Output
from appliance.daemon.keyfile import KeyFileError, load_or_make, sync_directory
from appliance.model.identity import StationKey
from appliance.node.own_card import CARD_VALUE, RESTORED_VALUE
from appliance.node.ports import StoreError

_STAGING: Final = "restoring"
"""Where a backup is unpacked and checked, inside of the state directory."""

_MAKING: Final = ".fencewire-backup-"
_UNFINISHED: Final = ".unfinished"
"""How the folder begins and ends in which a backup is made, beside its file: no name that somebody
would give to a folder of theirs, for what is left of one is removed."""

_ASIDE: Final = "replaced"
"""Where the former station is kept, with a number after it."""

_LOCK: Final = f"{DATABASE}.lock"


def backup(args: argparse.Namespace) -> int:
    """Make a backup, or a station of one."""
    out = Output(as_json=args.json)
    state = Path(args.state).absolute() if args.state else default_state_dir()
    file = Path(args.file)
    try:
        if args.replace and not args.restore:
            raise Failure("--replace goes with --restore.", code=exits.USAGE)
        return (
            _restore(out, state, file, replace=args.replace)
            if args.restore
            else _make(out, state, file, force=args.force, files=args.attachments)
        )
    except Failure as error:
        return out.failed(error)
    except (BackupError, KeyFileError, StoreError) as error:
        return out.failed(Failure(str(error)))


def _make(out: Output, state: Path, file: Path, *, force: bool, files: bool) -> int:
    key = _key_of(state)
    if not force:
        refuse_existing(file)
    try:
        # Beside the file: it takes as much room again, and no other disk may have the secret key.
        with _staging(file.parent) as staging:
            copy_database(state / DATABASE, staging / DATABASE)
            _same_station(key, staging / DATABASE)
            (staging / KEY).write_bytes((state / KEY).read_bytes())
            _copy(state, staging, PREKEYS, lambda path: is_prekey_file(path.name))
            _copy(
                state, staging, RECORDINGS, lambda path: is_kept_file(f"{RECORDINGS}/{path.name}")
            )
            blobs = state / BLOBS if files else None
            with whole_file(file, force=force, draft_in=staging) as target:
                _write(target, staging, key, blobs)
    except OSError as error:
        raise cannot_write(file, error) from None
    size = file.stat().st_size
    out.json({"file": str(file), "station": key.id.text, "bytes": size})
    out.line(
        f"{file} ({size / 1e6:,.1f} MB) is station ·{key.id.tag}: its SECRET KEY, its messages in\n"
        "the clear, groups and their keys, whom it has verified, voice messages not yet sent,\n"
        f"its settings, and {_FILES[files]}\n"
        "Whoever has it can be this station, and open what is sealed to it today, as long as the\n"
        "file exists: keep it where nobody else comes, and destroy it when there is a newer one.\n"
        f"To make a station of it, where none is yet: fencewire backup --restore {file}"
    )
    return exits.OK


_FILES: Final = {
    True: "the files that came with messages.",
    False: "NOT the files of messages (--attachments): they come from whoever has them.",
}


@contextlib.contextmanager
def _staging(beside: Path) -> Iterator[Path]:
    """Yield a folder for what is copied; what a cut left of earlier ones is removed.

    There are keys in it.  Whoever still uses one has it locked.
    """
    for path in beside.glob(f"{_MAKING}*{_UNFINISHED}"):
        with contextlib.suppress(OSError), _locked(path):
            shutil.rmtree(path)
    made = tempfile.TemporaryDirectory(prefix=_MAKING, suffix=_UNFINISHED, dir=beside)
    with made as name, _locked(Path(name)):
        yield Path(name)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; raises OSError where somebody else has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _write(target: IO[bytes], staging: Path, key: StationKey, blobs: Path | None) -> None:
    try:
        write_backup(target, staging, station=key.id.text, blobs=blobs)
    except FileNotFoundError:
        raise Failure("A file of a message was removed meanwhile.", "Try again.") from None


def _copy(state: Path, to: Path, folder: str, wanted: Callable[[Path], bool]) -> None:
    """Copy what is whole.  The daemon goes on meanwhile: what it destroys is not to be had."""
    (to / folder).mkdir(mode=0o700)
    source = state / folder
    for path in filter(wanted, list(source.iterdir()) if source.exists() else []):
        with contextlib.suppress(FileNotFoundError):
            (to / folder / path.name).write_bytes(path.read_bytes())


def _key_of(state: Path) -> StationKey:
    """Return the key of the station that is there; makes none."""
    try:
        there = (state / KEY).exists() and (state / DATABASE).exists()
    except PermissionError:
        raise Failure(f"{state} is somebody else's.", "Run this as its user, or root.") from None
    if not there:
        raise Failure(f"There is no station in {state}.", "Say where it is with --state.")
    return load_or_make(state)


def _same_station(key: StationKey, database: Path) -> None:
    if not owners(database, card_value=CARD_VALUE) <= {key.id.key}:
        raise Failure("The messages are of another station than the key.")


def _restore(out: Output, state: Path, file: Path, *, replace: bool) -> int:
    try:
        _refuse_station(state, replace=replace)
        owner = _owner(state)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner(state)
        with nobody_uses(state / DATABASE):
            _refuse_station(state, replace=replace)
            staging = state / _STAGING
            if staging.exists():  # from a restore that was cut short
                shutil.rmtree(staging)
            staging.mkdir(mode=0o700)
            try:
                key, made_ms = _unpack(file, staging)
                for path in _tree(staging):
                    owner(path)
                aside = _put_in_place(state, staging, owner) if replace else None
                if aside is None:
                    _install(state, staging)
            finally:
                shutil.rmtree(staging)
            owner(state / _LOCK)
    except OSError as error:
        raise cannot_write(state, error) from None
    out.json(
        {
            "station": key.id.text,
            "state": str(state),
            "made_ms": made_ms,
            "replaced": str(aside) if aside is not None else None,
        }
    )
    made = shown_time(WallTime(made_ms, sure=True))
    out.line(
        f"{state} is station ·{key.id.tag} as of {made} by the clock of then.\n"
        "What came later comes back only from others. Never run the board that it was made on\n"
        "beside this one: two boards with one key are an alarm everywhere."
    )
    if aside is not None:
        out.line(f"The station that was here is kept in {aside}, with its secret key.")
    out.line("Start it: fencewire")
    return exits.OK


def _refuse_station(state: Path, *, replace: bool) -> None:
    if replace:
        return
    if any(os.path.lexists(state / name) for name in (KEY, PREKEYS)) or _database_files(state):
        raise Failure(
            f"There is a station in {state} already.",
            "Add --replace to keep it aside and put the backup in its place, or choose another"
            " place with --state.",
        )


def _database_files(state: Path) -> list[str]:
    """Return the names of the database and what belongs to it, in the order to move them.

    Its log goes after the database: alone it is refused, where a database alone would lose it.
    """
    if not state.exists():
        return []
    names = sorted(path.name for path in state.iterdir() if path.name.startswith(DATABASE))
    return [name for name in names if name != _LOCK]


def _owner(state: Path) -> Callable[[Path], None]:
    """Return what gives files to the user whose station it is, where root restores it."""
    there = state
    while not there.exists():
        there = there.parent
    status = there.stat()

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            # That user may have put a link here, to what is not theirs.
            os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)

    return give


def _unpack(file: Path, staging: Path) -> tuple[StationKey, int]:
    """Unpack a backup and check all of it, before anything of it counts."""
    manifest = read_backup(file, staging)
    try:
        key = load_or_make(staging)
        _same_station(key, staging / DATABASE)
        mark = {"made_ms": manifest.made_ms, "restored_ms": int(time.time() * 1000)}
        note_value(staging / DATABASE, RESTORED_VALUE, json.dumps(mark).encode())
    except KeyFileError:
        raise BackupError(f"The station key in {file} is damaged.") from None
    except StoreError as error:
        if error.code == "store-newer":
            raise BackupError(
                f"{file} was made by a newer Fencewire. Update this one first."
            ) from None
        if error.code == "store-corrupt":
            raise BackupError(f"The database in {file} is damaged.") from None
        raise
    if key.id.text != manifest.station:
        raise BackupError(f"The key in {file} is not that of the station it names.")
    for name, _ in manifest.parts():
        with (staging / name).open("rb") as unpacked:
            os.fsync(unpacked.fileno())
    for name in (PREKEYS, RECORDINGS, BLOBS):
        if (staging / name).exists():
            sync_directory(staging / name)
    return key, manifest.made_ms


def _tree(folder: Path) -> list[Path]:
    return [folder, *folder.rglob("*")]


def _install(state: Path, staging: Path) -> None:
    """Give the files their names.

    The key comes first: a daemon that starts between the two, after a power cut, is the right
    station without messages, never another one with these.
    """
    (staging / KEY).replace(state / KEY)
    sync_directory(state)
    (staging / PREKEYS).replace(state / PREKEYS)
    sync_directory(state)
    for folder in (RECORDINGS, BLOBS):
        _move_files(staging / folder, state / folder)
    (staging / DATABASE).replace(state / DATABASE)
    sync_directory(state)


def _move_files(source: Path, to: Path) -> None:
    """Move files; a folder may be there from a start without a station."""
    if not source.exists():
        return
    to.mkdir(mode=0o700, exist_ok=True)
    status = source.stat()
    if os.geteuid() == 0:
        os.chown(to, status.st_uid, status.st_gid, follow_symlinks=False)
    for path in source.iterdir():
        path.replace(to / path.name)
    sync_directory(to)


def _put_in_place(state: Path, staging: Path, owner: Callable[[Path], None]) -> Path:
    """Keep the former station aside and install the other one; return where the former is.

    At no moment is a key missing, since a daemon would make a new one, or beside a database that
    belongs to another.
    """
    count = 1
    while os.path.lexists(state / f"{_ASIDE}-{count}"):
        count += 1
    aside = state / f"{_ASIDE}-{count}"
    aside.mkdir(mode=0o700)
    owner(aside)
    if (state / KEY).exists():
        os.link(state / KEY, aside / KEY)
    for name in (*_database_files(state), PREKEYS, RECORDINGS, BLOBS):
        with contextlib.suppress(FileNotFoundError):
            (state / name).rename(aside / name)
    sync_directory(aside)
    sync_directory(state)
    _install(state, staging)
    return aside
