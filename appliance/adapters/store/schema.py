"""The tables, and how a database of an older version becomes one of this version.

Nothing here opens a file.  Rows are counted by `records.number`, so that the tables and indexes
below repeat 8 bytes and not a 32-byte id.

A conversation is a station's key, a "g" and a group's id, or no bytes at all for everyone.
`position` is what the port calls order, which SQL keeps for itself.  `urgency` sorts what waits:
twice the precedence, and one more for a receipt, so that receipts go first among equals.
"""

from __future__ import annotations

import sqlite3
from typing import Final

APPLICATION_ID: Final = 0x46574952
"""In the file's header (``PRAGMA application_id``): "FWIR"."""

_VERSION_1: Final = (
    # `kept`: a message, or a receipt of ours for one, so it stays when nobody waits for it.
    """
    CREATE TABLE records (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        kind INTEGER NOT NULL,
        author BLOB NOT NULL,
        urgency INTEGER NOT NULL,
        position INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        raw BLOB NOT NULL
    ) STRICT
    """,
    # `delivered_by` and `read_by`: records with our receipts for an incoming message.
    """
    CREATE TABLE messages (
        number INTEGER PRIMARY KEY REFERENCES records,
        conversation BLOB NOT NULL,
        author BLOB NOT NULL,
        outgoing INTEGER NOT NULL,
        line TEXT NOT NULL,
        precedence INTEGER NOT NULL,
        position INTEGER NOT NULL,
        written_ms INTEGER NOT NULL,
        written_sure INTEGER NOT NULL,
        received_ms INTEGER NOT NULL,
        received_sure INTEGER NOT NULL,
        unread INTEGER NOT NULL,
        expires_awake_s REAL,
        delivered_by INTEGER REFERENCES records,
        read_by INTEGER REFERENCES records,
        problem TEXT,
        text TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX messages_by_conversation ON messages (conversation, position)",
    "CREATE INDEX messages_by_position ON messages (position)",
    "CREATE INDEX messages_unread ON messages (conversation, position) WHERE unread",
    """
    CREATE INDEX messages_mine_to_everyone ON messages (precedence DESC, position)
    WHERE outgoing AND conversation = x''
    """,
    """
    CREATE INDEX messages_of_others_to_everyone ON messages (author)
    WHERE NOT outgoing AND conversation = x''
    """,
    """
    CREATE TABLE recipients (
        message INTEGER NOT NULL REFERENCES messages,
        station BLOB NOT NULL,
        state INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        sure INTEGER NOT NULL,
        PRIMARY KEY (message, station)
    ) STRICT, WITHOUT ROWID
    """,
    # In the order in which a station gets what waits for it.
    """
    CREATE TABLE outbox (
        station BLOB NOT NULL,
        urgency INTEGER NOT NULL,
        position INTEGER NOT NULL,
        record INTEGER NOT NULL REFERENCES records,
        PRIMARY KEY (station, urgency DESC, position, record)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE stations (
        id BLOB PRIMARY KEY NOT NULL,
        card BLOB,
        trust TEXT NOT NULL CHECK (trust IN ('new', 'known', 'verified')),
        verified_name TEXT,
        seen_ms INTEGER,
        seen_sure INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE vals (
        name TEXT PRIMARY KEY NOT NULL,
        value BLOB NOT NULL
    ) STRICT
    """,
)

_VERSION_2: Final = (
    # `recipient`: the conversation that a record is for.  Times are seconds of being awake.
    """
    CREATE TABLE carried (
        record INTEGER PRIMARY KEY REFERENCES records,
        recipient BLOB NOT NULL,
        came_from BLOB NOT NULL,
        tier INTEGER NOT NULL,
        precedence INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        born_awake_s REAL NOT NULL,
        expires_awake_s REAL NOT NULL
    ) STRICT
    """,
    "CREATE INDEX carried_until ON carried (expires_awake_s)",
    # In the order in which they make room.
    "CREATE INDEX carried_least ON carried (precedence, tier, born_awake_s)",
    "CREATE INDEX carried_least_of_tier ON carried (tier, precedence, born_awake_s)",
    # How many bytes of what there are, so that nobody has to count.
    """
    CREATE TABLE holds (
        tier INTEGER NOT NULL,
        came_from BLOB NOT NULL,
        precedence INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (tier, came_from, precedence)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TRIGGER carried_added AFTER INSERT ON carried BEGIN
        INSERT INTO holds VALUES (new.tier, new.came_from, new.precedence, new.bytes)
        ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
    END
    """,
    """
    CREATE TRIGGER carried_dropped AFTER DELETE ON carried BEGIN
        UPDATE holds SET bytes = bytes - old.bytes
        WHERE (tier, came_from, precedence) = (old.tier, old.came_from, old.precedence);
        DELETE FROM holds WHERE bytes <= 0
        AND (tier, came_from, precedence) = (old.tier, old.came_from, old.precedence);
    END
    """,
    """
    CREATE TABLE known (
        id BLOB PRIMARY KEY NOT NULL,
        until_awake_s REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX known_until ON known (until_awake_s)",
    # Who has said to have which message, though it may not have come by here yet.
    """
    CREATE TABLE had (
        message BLOB NOT NULL,
        station BLOB NOT NULL,
        until_awake_s REAL NOT NULL,
        PRIMARY KEY (message, station)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX had_until ON had (until_awake_s)",
    # Neighbours that carry a message of ours.
    """
    CREATE TABLE holders (
        message INTEGER NOT NULL REFERENCES messages,
        station BLOB NOT NULL,
        PRIMARY KEY (message, station)
    ) STRICT, WITHOUT ROWID
    """,
    # `first`: the record that said the same before, by the same author.  `notice`: not written by
    # anybody, but about the conversation.  `attachments`: CBOR.  `lifetime_s`: what its author
    # chose; 0: no limit.
    "ALTER TABLE messages ADD COLUMN first BLOB",
    "ALTER TABLE messages ADD COLUMN notice INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE messages ADD COLUMN attachments BLOB",
    "ALTER TABLE messages ADD COLUMN lifetime_s INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX messages_again ON messages (author, first) WHERE first IS NOT NULL",
    # For these a receipt has still to be written.
    """
    CREATE INDEX messages_owed ON messages (author)
    WHERE NOT outgoing AND delivered_by IS NULL AND NOT notice
    """,
    # Records that say what a message of ours says, sealed again.
    """
    CREATE TABLE resealed (
        record INTEGER PRIMARY KEY REFERENCES records,
        message INTEGER NOT NULL REFERENCES messages
    ) STRICT
    """,
    "CREATE INDEX resealed_by_message ON resealed (message)",
    """
    CREATE TABLE groups (
        id BLOB PRIMARY KEY NOT NULL,
        state BLOB NOT NULL
    ) STRICT
    """,
    # What bulk data belongs to which record; `mine`: the record is a message that is shown here.
    """
    CREATE TABLE blob_uses (
        root BLOB NOT NULL,
        record INTEGER NOT NULL REFERENCES records,
        bytes INTEGER NOT NULL,
        mine INTEGER NOT NULL,
        PRIMARY KEY (root, record)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX blob_uses_by_record ON blob_uses (record)",
    """
    CREATE TRIGGER record_dropped AFTER DELETE ON records BEGIN
        DELETE FROM blob_uses WHERE record = old.number;
    END
    """,
    # What had to make room: how much of which class, and up to where in a conversation.
    """
    CREATE TABLE evictions (
        class TEXT NOT NULL,
        conversation BLOB NOT NULL,
        records INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        upto_position INTEGER NOT NULL,
        last_ms INTEGER NOT NULL,
        last_sure INTEGER NOT NULL,
        PRIMARY KEY (class, conversation)
    ) STRICT, WITHOUT ROWID
    """,
    # Ids of messages that had to make room: they don't come back as new until nobody can bring
    # them any more.
    """
    CREATE TABLE removed (
        id BLOB PRIMARY KEY NOT NULL,
        until_awake_s REAL NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX removed_until ON removed (until_awake_s)",
    # Keys are free to make, so who says to carry a message is counted up to a bound only.
    """
    CREATE TRIGGER holders_bounded BEFORE INSERT ON holders
    WHEN (SELECT count(*) FROM holders WHERE message = new.message) >= 64 BEGIN
        SELECT RAISE(IGNORE);
    END
    """,
)

_VERSION_3: Final = (
    # `known`: our operator had to do with the station, so others' calls do not crowd it out.
    """
    CREATE TABLE calls (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        station BLOB NOT NULL,
        line TEXT NOT NULL,
        outgoing INTEGER NOT NULL,
        known INTEGER NOT NULL,
        begun_ms INTEGER NOT NULL,
        begun_sure INTEGER NOT NULL,
        answered INTEGER NOT NULL,
        talked_s REAL,
        reason TEXT,
        detail TEXT NOT NULL,
        quality TEXT NOT NULL,
        missed INTEGER NOT NULL,
        seen INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX calls_by_known ON calls (known, number)",
    "CREATE INDEX calls_by_station ON calls (station, number)",
    "CREATE INDEX calls_unseen ON calls (station, number) WHERE NOT seen",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_VERSION_1, _VERSION_2, _VERSION_3)
"""What leads from each version to the next; the first starts from nothing.  Never edited, only
added to."""

VERSION: Final = len(MIGRATIONS)


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the schema that a database has; 0: none yet."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(db: sqlite3.Connection) -> None:
    """Bring a database to this version, one step at a time, each whole or not at all."""
    for version in range(version_of(db), VERSION):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[version]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version + 1}")
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
