"""What the rows of each table and index look like, so that a page tells by itself whose it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from appliance.adapters.store.pages import Page, Row, Value

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "INTEGER": (int,),
    # Whole ones are stored as integers.
    "REAL": (float, int),
    "TEXT": (str,),
    "BLOB": (bytes,),
}
_ANY: Final = (int, float, str, bytes)


@dataclass(frozen=True)
class Column:
    """One value of a row."""

    name: str
    """Its name; none: a part of an index only."""

    types: tuple[type, ...]
    """What it can be."""

    nullable: bool
    """It can be nothing."""

    may_be_missing: bool
    """Rows from before this column was added end without it."""


@dataclass(frozen=True)
class Shape:
    """The rows of one table or one index, in the order in which they are stored."""

    name: str
    """Of the table or index."""

    index: bool
    """It repeats what is in a table."""

    numbered: bool
    """Its rows have numbers."""

    columns: tuple[Column, ...]
    """Their values."""

    number: int | None
    """Which of them is the row's number, and stored as nothing."""

    def fits(self, row: Row) -> bool:
        """Tell whether this can be one of its rows."""
        if (row.rowid is not None) != self.numbered or len(row.values) > len(self.columns):
            return False
        missing = self.columns[len(row.values) :]
        return all(column.may_be_missing for column in missing) and all(
            (value is None and (column.nullable or place == self.number))
            or isinstance(value, column.types)
            for place, (value, column) in enumerate(zip(row.values, self.columns, strict=False))
        )

    def named(self, row: Row) -> dict[str, Value]:
        """Return a row's values by column."""
        values = {
            column.name: value for column, value in zip(self.columns, row.values, strict=False)
        }
        if self.number is not None:
            values[self.columns[self.number].name] = row.rowid
        return values


def shapes_of(db: sqlite3.Connection) -> tuple[Shape, ...]:
    """Return the shapes of all that a database has: its tables, then its indexes."""
    tables: list[Shape] = []
    indexes: list[Shape] = []
    listed = db.execute("SELECT name, wr FROM pragma_table_list WHERE schema = 'main'").fetchall()
    for table, unnumbered in listed:
        if table.startswith("sqlite_"):
            continue
        rows = db.execute(f'PRAGMA table_info("{table}")').fetchall()
        columns = tuple(_column(row) for row in rows)
        keys = [place for place, row in enumerate(rows) if row[5]]
        is_number = len(keys) == 1 and rows[keys[0]][2] == "INTEGER" and not unnumbered
        number = keys[0] if is_number else None
        order = tuple(range(len(columns)))
        for _, index, _, origin, _ in db.execute(f'PRAGMA index_list("{table}")').fetchall():
            places = [row[1] for row in db.execute(f'PRAGMA index_xinfo("{index}")')]
            if unnumbered and origin == "pk":
                order = tuple(places)  # the table itself, its key first
                continue
            indexed = tuple(_indexed(columns, place, number) for place in places)
            indexes.append(Shape(index, True, False, indexed, None))
        stored = tuple(columns[place] for place in order)
        tables.append(Shape(table, False, not unnumbered, stored, number))
    return (*tables, *indexes)


def _column(row: tuple[int, str, str, int, str | None, int]) -> Column:
    _, name, kind, not_null, default, _ = row
    nullable = not not_null
    return Column(name, _TYPES.get(kind, _ANY), nullable, nullable or default is not None)


def _indexed(columns: tuple[Column, ...], place: int, number: int | None) -> Column:
    if place == -1 or place == number:
        return Column("", (int,), nullable=False, may_be_missing=False)
    if place < 0:
        return Column("", _ANY, nullable=True, may_be_missing=False)
    column = columns[place]
    return Column("", column.types, column.nullable, may_be_missing=False)


def owner(page: Page, shapes: Iterable[Shape]) -> Shape | None:
    """Return whose a page looks to be, if it is anybody's.

    An index that could be as well goes before: what it holds is in its table too.
    """
    best: Shape | None = None
    most = len(page.rows) // 2
    for shape in shapes:
        if shape.numbered != page.table:
            continue
        fitting = sum(shape.fits(row) for row in page.rows)
        if fitting > most or (fitting == most and best is not None and shape.index):
            best, most = shape, fitting
    return best
