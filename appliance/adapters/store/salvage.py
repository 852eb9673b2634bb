"""What can be read of a damaged database, brought into a fresh one; the damaged one is set aside.

Every page of rows is read by itself, so that what is lost with a page is what was on it: neither
the first page, nor the head of a table, nor a hole in the log takes anything else along.  All
tables of the schema are copied, whatever they are.  Then what is ours to deliver is set right, so
that a message that somebody may not have waits for him again: he knows it if he has it already.

Files beside the database, all with its name and an ending:

``.new``         being made, worth nothing until it is whole
``.mended``      whole; from here on it takes the damaged one's place, whatever happens
``.mended.txt``  what was saved, in words
``.damaged-N``   set aside, with its log and the words; the latest two are kept
``.suspect``     damage was seen while the database was in use

What stays out: whether there is damage at all, which `database` finds out.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.adapters.store import attachments, schema
from appliance.adapters.store.pages import MAGIC, PAGE_SIZE, Page, Pages
from appliance.adapters.store.shapes import Shape, owner, shapes_of
from appliance.model.codec import FormatError
from appliance.model.message import DeliveryState
from appliance.model.record import RecordKind, record_id_of

KEPT: Final = 2
"""Damaged files that are kept; each may be as large as the store."""

LOST: Final = "The disk lost the sealed copy before it was delivered. Write it again."
"""What a message of ours is marked with when only its text is left."""

_SCHEMA_COLUMNS: Final = 5
"""Of the table of tables: type, name, table, root page, SQL."""

_FILLED: Final = re.compile(r"\bINSERT\s+(?:OR\s+\w+\s+)?INTO\s+(\w+)", re.IGNORECASE)
"""In a trigger: a table that fills itself from others."""


@dataclass(frozen=True)
class Saved:
    """What came over."""

    messages: int
    """Messages to us and of ours."""

    waiting: int
    """Of these, ours that somebody still has to get."""

    stations: int
    """Stations that are known."""

    def __str__(self) -> str:
        """In words for the operator."""
        return (
            f"The message store was damaged. {self.messages} messages and {self.stations} stations "
            f"could be saved; {self.waiting} of the messages still wait to be delivered. What "
            "others hold comes back from them."
        )


def beside(path: Path, ending: str) -> Path:
    """Return the name of a file that belongs to a database."""
    return path.with_name(path.name + ending)


def mend(path: Path) -> None:
    """Bring what can be read of a damaged database into a fresh one in its place.

    Raises OSError and sqlite3.Error; then nothing was changed.  Cut off at any point, it goes on
    with the next call of this or of `finish`.
    """
    draft = beside(path, ".new")
    _remove(draft)
    for old in sorted(_numbers(path))[: -(KEPT - 1)]:
        for ending in ("", "-wal", ".txt"):
            beside(path, f".damaged-{old}{ending}").unlink(missing_ok=True)
    try:
        with Pages(path) as pages:
            saved = _salvage(pages, draft)
        words = beside(path, ".mended.txt")
        words.write_text(f"{saved}\n")
        for file in (words, draft):
            _sync(file)
    except BaseException:
        _remove(draft)
        raise
    draft.rename(beside(path, ".mended"))
    _sync(path.parent)
    finish(path)


def has_room(path: Path) -> bool:
    """Tell whether what is read could be written beside the damaged file."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize > path.stat().st_size


def finish(path: Path) -> None:
    """Let a mended database take its place, if there is one."""
    mended = beside(path, ".mended")
    if not mended.exists():
        return
    number = max((*_numbers(path), 0)) + 1
    # The log first: it must not meet the new file.  Looking at a database leaves an empty one.
    if (log := beside(path, "-wal")).exists() and log.stat().st_size == 0:
        log.unlink()
    for source, ending in ((beside(path, "-wal"), "-wal"), (path, "")):
        with suppress(FileNotFoundError):
            source.rename(beside(path, f".damaged-{number}{ending}"))
    _sync(path.parent)
    for ending in ("-shm", ".suspect"):
        beside(path, ending).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        latest = max((*_numbers(path), 1))
        beside(path, ".mended.txt").rename(beside(path, f".damaged-{latest}.txt"))
    mended.rename(path)
    _sync(path.parent)


def set_aside(path: Path) -> tuple[Path, str] | None:
    """Return the latest damaged file that is still kept, and what was saved from it."""
    numbers = _numbers(path)
    if not numbers:
        return None
    latest = beside(path, f".damaged-{max(numbers)}")
    try:
        words = beside(latest, ".txt").read_text().strip()
    except (OSError, ValueError):
        words = "The message store was damaged. What could be read of it was saved."
    return latest, words


def _numbers(path: Path) -> list[int]:
    begin = f"{path.name}.damaged-"
    endings = [one.name.removeprefix(begin) for one in path.parent.glob(f"{begin}*")]
    return [int(ending) for ending in endings if ending.isascii() and ending.isdigit()]


def _remove(draft: Path) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        beside(draft, ending).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- Rows


def _salvage(pages: Pages, draft: Path) -> Saved:
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(draft, isolation_level=None)) as db:
        # It is worth nothing until it is whole, and synced then.
        for setting in ("synchronous = OFF", "journal_mode = MEMORY", "temp_store = MEMORY"):
            db.execute(f"PRAGMA {setting}").fetchall()
        db.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        db.execute("BEGIN")
        version = _version(pages)
        for step in schema.MIGRATIONS[:version]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        _copy_rows(pages, db)
        _keep_texts(db)
        _drop_what_hangs(db)
        _wait_again(db)
        db.execute("COMMIT")
        schema.migrate(db)
        attachments.mend(db)
        db.execute("PRAGMA journal_mode = WAL").fetchall()
        return _count(db)


def _version(pages: Pages) -> int:
    """Return the schema's version by the file's header; if that is lost, the newest is likely."""
    first = pages.read(1)
    version = int.from_bytes(first[60:64], "big")
    sound = first.startswith(MAGIC) and 1 <= version <= schema.VERSION
    return version if sound else schema.VERSION


def _copy_rows(pages: Pages, db: sqlite3.Connection) -> None:
    """Copy the rows of each table by its tree, then those of pages that no tree leads to."""
    shapes = shapes_of(db)
    filled = _filled_by_triggers(db)
    roots = _roots(pages)
    seen = {1}
    for shape in shapes:
        waiting = [roots[shape.name]] if shape.name in roots else []
        while waiting:
            number = waiting.pop()
            page = None if number in seen else pages.parse(number)
            # A page that is another's by its looks is left to that one.
            if page is None or page.table != shape.numbered or not _agrees(page, shape):
                continue
            seen.add(number)
            waiting += page.children
            if not shape.index and shape.name not in filled:
                _insert(db, shape, page)
    seen |= pages.free()
    for number in range(2, pages.count + 1):
        page = None if number in seen else pages.parse(number)
        found = owner(page, shapes) if page is not None else None
        if page is not None and found is not None and not found.index and found.name not in filled:
            _insert(db, found, page)


def _agrees(page: Page, shape: Shape) -> bool:
    return 2 * sum(shape.fits(row) for row in page.rows) >= len(page.rows)


def _filled_by_triggers(db: sqlite3.Connection) -> set[str]:
    triggers = db.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    return {table for (sql,) in triggers for table in _FILLED.findall(sql)}


def _roots(pages: Pages) -> dict[str, int]:
    """Return the first page of each table and index, as far as the table of tables can be read."""
    roots: dict[str, int] = {}
    waiting, seen = [1], set[int]()
    while waiting:
        number = waiting.pop()
        page = None if number in seen else pages.parse(number)
        seen.add(number)
        if page is None or not page.table:
            continue
        waiting += page.children
        for row in page.rows:
            if len(row.values) == _SCHEMA_COLUMNS:
                _, name, _, root, _ = row.values
                if isinstance(name, str) and isinstance(root, int):
                    roots[name] = root
    return roots


def _insert(db: sqlite3.Connection, shape: Shape, page: Page) -> None:
    for row in page.rows:
        if not shape.fits(row):
            continue
        named = shape.named(row)
        if shape.name == "records" and not _is_whole(named):
            continue
        names = ", ".join(f'"{name}"' for name in named)
        marks = ", ".join("?" * len(named))
        with suppress(sqlite3.IntegrityError):
            db.execute(
                f'INSERT OR IGNORE INTO "{shape.name}" ({names}) VALUES ({marks})',  # noqa: S608
                tuple(named.values()),
            )


def _is_whole(record: Mapping[str, object]) -> bool:
    """Tell whether a record is what its id says: others would refuse it, and us for sending it."""
    raw = record["raw"]
    try:
        return isinstance(raw, bytes) and record_id_of(raw) == record["id"]
    except FormatError:
        return False


# -- Making it whole


def _keep_texts(db: sqlite3.Connection) -> None:
    """Keep messages of which only the text is left, with an empty record that never travels."""
    db.execute(
        "INSERT INTO records (number, id, kind, author, urgency, position, kept, raw)"
        " SELECT number, randomblob(32), ?, author, 2 * precedence, position, 1, x''"
        " FROM messages WHERE number NOT IN (SELECT number FROM records)",
        (int(RecordKind.MESSAGE),),
    )
    empty = "SELECT number FROM records WHERE raw = x''"
    db.execute(
        f"UPDATE messages SET expires_awake_s = 0, problem = ?"  # noqa: S608
        f" WHERE outgoing AND number IN ({empty})"
        f" AND (SELECT coalesce(min(state), 0) FROM recipients WHERE message = number) < ?",
        (LOST, int(DeliveryState.DELIVERED)),
    )
    for table, column, parent, _ in _references(db):
        if parent == "records" and table != "messages":
            db.execute(f'DELETE FROM "{table}" WHERE "{column}" IN ({empty})')  # noqa: S608


def _drop_what_hangs(db: sqlite3.Connection) -> None:
    """Let go of rows that belong to a lost one, and of mentions of it."""
    changed = True
    while changed:
        before = db.total_changes
        for table, column, parent, nullable in _references(db):
            key = _key(db, parent)
            what = 'UPDATE "{}" SET "{}" = NULL' if nullable else 'DELETE FROM "{}"'
            db.execute(
                f'{what.format(table, column)} WHERE "{column}" IS NOT NULL'  # noqa: S608
                f' AND "{column}" NOT IN (SELECT "{key}" FROM "{parent}")'
            )
        changed = db.total_changes != before


def _references(db: sqlite3.Connection) -> list[tuple[str, str, str, bool]]:
    """Return what refers to what: a table, its column, the other table, if it may be NULL."""
    found = db.execute(
        'SELECT tables.name, keys."from", keys."table", columns."notnull" OR columns.pk'
        " FROM sqlite_schema AS tables"
        " JOIN pragma_foreign_key_list(tables.name) AS keys"
        ' JOIN pragma_table_info(tables.name) AS columns ON columns.name = keys."from"'
        " WHERE tables.type = 'table'"
    ).fetchall()
    return [(table, column, parent, not needed) for table, column, parent, needed in found]


def _key(db: sqlite3.Connection, table: str) -> str:
    (name,) = db.execute("SELECT name FROM pragma_table_info(?) WHERE pk = 1", (table,)).fetchone()
    return str(name)


def _wait_again(db: sqlite3.Connection) -> None:
    """Let messages of ours wait for whoever is not known to have them."""
    db.execute(
        "INSERT INTO recipients (message, station, state, at_ms, sure)"
        " SELECT number, conversation, ?, received_ms, received_sure FROM messages"
        " WHERE outgoing AND length(conversation) = 32"  # who is in a group is not known here
        " AND NOT EXISTS (SELECT 1 FROM recipients WHERE message = number)",
        (int(DeliveryState.QUEUED),),
    )
    db.execute(
        "INSERT OR IGNORE INTO outbox (station, urgency, position, record)"
        " SELECT recipients.station, records.urgency, records.position, records.number"
        " FROM recipients JOIN messages ON messages.number = recipients.message"
        " JOIN records ON records.number = messages.number"
        " WHERE messages.outgoing AND messages.conversation != x''"
        " AND recipients.state < ? AND records.raw != x''",
        (int(DeliveryState.DELIVERED),),
    )


def _count(db: sqlite3.Connection) -> Saved:
    def one(query: str) -> int:
        (count,) = db.execute(query).fetchone()
        return int(count)

    return Saved(
        messages=one("SELECT count(*) FROM messages"),
        waiting=one("SELECT count(DISTINCT record) FROM outbox JOIN messages ON number = record"),
        stations=one("SELECT count(*) FROM stations"),
    )
