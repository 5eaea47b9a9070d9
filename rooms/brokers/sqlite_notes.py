"""Notes, in the durable broker's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from rooms.brokers.notes import Note, Notes
from rooms.brokers.sqlite_file import insert, transaction
from rooms.brokers.sqlite_writer import Writer

# An older release leaves it alone, so it needs no new version of the file.
_TABLE = """
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value BLOB NOT NULL, ends REAL NOT NULL)
"""
_NOTES = "INSERT INTO notes VALUES", "(?, ?, ?)"
_AGAIN = """
ON CONFLICT (name) DO UPDATE SET value = excluded.value, ends = max(ends, excluded.ends)
"""


class SqliteNotes(Notes):
    """The notes in a file that a broker has opened, written and read by its writer's thread.

    Args:
        now: Tells the time that the file goes by.
    """

    _db: sqlite3.Connection
    _writer: Writer

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def use(self, connection: sqlite3.Connection, writer: Writer) -> None:
        """Go by a file that has been opened."""
        self._db, self._writer = connection, writer

    async def write(self, notes: Sequence[Note]) -> None:
        now = self._now()
        rows = [(note.name, note.value, now + note.seconds) for note in notes]
        async with self._writer.turn:
            await self._writer.call(self._write, rows, now)

    async def read(self) -> list[Note]:
        async with self._writer.turn:
            return await self._writer.call(self._read, self._now())

    def _write(self, rows: Sequence[tuple[str, bytes, float]], now: float) -> None:
        with transaction(self._db):
            self._db.execute(_TABLE)
            insert(self._db, *_NOTES, rows, _AGAIN)
            self._db.execute("DELETE FROM notes WHERE ends <= ?", [now])

    def _read(self, now: float) -> list[Note]:
        self._db.execute(_TABLE)
        rows = self._db.execute("SELECT name, value, ends FROM notes WHERE ends > ?", [now])
        return [Note(name, value, ends - now) for name, value, ends in rows]
