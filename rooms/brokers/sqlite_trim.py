"""How the durable broker's file is kept small, in steps that hold nobody up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from rooms.brokers.base import KEY_SECONDS, KEYS
from rooms.brokers.sqlite_file import insert, transaction
from rooms.core.history import Retention

STEP_ROOMS = 256
"""The most rooms that one step looks after."""

STEP_ROWS = 1000
"""About the most rows that one step deletes.

The rooms share them, so that what lies together in the file is deleted together.
"""

LOOK_SECONDS = 3600
"""A room is looked after when something of it is too old, but at least this often."""

_CARES = "INSERT INTO cares VALUES", "(?, ?, ?, ?)"
_TABLES = """
CREATE TEMP TABLE cares (name TEXT PRIMARY KEY, messages INTEGER, seconds REAL, used INTEGER);
CREATE TEMP TABLE cuts (room INTEGER PRIMARY KEY, first INTEGER, cut INTEGER);
"""
_FIND_CUTS = """
INSERT INTO cuts
WITH spans AS (
    SELECT id, offset - messages + 1 AS surplus, :now - seconds AS oldest,
        (SELECT min(offset) FROM publications WHERE room = id) AS first
    FROM cares JOIN rooms USING (name)
), found AS (
    SELECT id, first, max(surplus, coalesce(
        (SELECT offset FROM publications
        WHERE room = id AND offset < first + :rows AND time > oldest ORDER BY offset LIMIT 1),
        first + :rows
    )) AS cut
    FROM spans WHERE first NOT NULL
)
SELECT * FROM found WHERE first < cut
"""
_DELETE_PUBLICATIONS = """
DELETE FROM publications WHERE rowid IN (
    SELECT p.rowid FROM cuts JOIN publications AS p USING (room)
    WHERE offset < min(cut, first + :share)
)
"""
_NOTE_USED = "UPDATE rooms SET time = :now WHERE name IN (SELECT name FROM cares WHERE used)"
_FORGET_ROOMS = """
DELETE FROM rooms WHERE id IN (
    SELECT id FROM cares JOIN rooms USING (name)
    WHERE rooms.time <= :now - max(seconds, :key_seconds)
    AND NOT EXISTS (SELECT * FROM publications WHERE room = id)
)
RETURNING name
"""
_LOOK_AGAIN = """
UPDATE rooms SET due = max(:now + 1, min(:now + :look, coalesce(
    seconds + (SELECT time FROM publications WHERE room = id ORDER BY offset LIMIT 1),
    rooms.time + max(seconds, :key_seconds)
)))
FROM cares WHERE cares.name = rooms.name
"""
_DELETE_KEYS = """
DELETE FROM keys WHERE number IN (SELECT number FROM keys ORDER BY number LIMIT :rows)
AND (time <= :now - :key_seconds OR number <= (SELECT max(number) FROM keys) - :keys)
"""


class Care(Struct, frozen=True):
    """A room that is to be looked after.

    Attributes:
        used: Whether somebody is there, so that where it stands must not be forgotten.
    """

    room: str
    retention: Retention
    used: bool


class Trimmer:
    """Deletes what is not kept any more, through one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._db.executescript(_TABLES)

    def due(self, now: float) -> list[str]:
        """Return some rooms that are to be looked after by ``now``."""
        rows = self._db.execute("SELECT name FROM rooms WHERE due <= ? LIMIT ?", [now, STEP_ROOMS])
        return [name for (name,) in rows.fetchall()]

    def trim(self, cares: Iterable[Care], now: float) -> tuple[bool, list[str]]:
        """Look after rooms: at most `STEP_ROOMS`.

        Returns:
            Whether there is more to do for them, and the rooms that are forgotten.
        """
        rows = [
            (care.room, care.retention.messages, care.retention.seconds, care.used)
            for care in cares
        ]
        values = {
            "now": now,
            "rows": STEP_ROWS,
            "key_seconds": KEY_SECONDS,
            "look": LOOK_SECONDS,
        }
        with transaction(self._db):
            if self._delete(rows, values):
                return True, []
            self._db.execute(_NOTE_USED, values)
            forgotten = self._db.execute(_FORGET_ROOMS, values).fetchall()
            self._db.execute(_LOOK_AGAIN, values)
        return False, [name for (name,) in forgotten]

    def trim_keys(self, now: float) -> bool:
        """Delete some keys that are forgotten; return whether there are more."""
        values = {"now": now, "rows": STEP_ROWS, "key_seconds": KEY_SECONDS, "keys": KEYS}
        with transaction(self._db):
            return self._db.execute(_DELETE_KEYS, values).rowcount == STEP_ROWS

    def shrink(self) -> None:
        """Give some space back if a good part of the file is empty."""
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        if free > pages // 4:
            # one page a step: only executescript() takes them all
            self._db.executescript(f"PRAGMA incremental_vacuum({STEP_ROWS})")

    def _delete(self, rows: Sequence[tuple[Any, ...]], values: dict[str, float]) -> bool:
        """Delete some of what is not kept; return whether there was any."""
        self._db.execute("DELETE FROM cares")
        self._db.execute("DELETE FROM cuts")
        insert(self._db, *_CARES, rows)
        rooms = self._db.execute(_FIND_CUTS, values).rowcount
        if rooms:
            share = max(1, STEP_ROWS // rooms)
            self._db.execute(_DELETE_PUBLICATIONS, {"share": share})
        return rooms > 0
