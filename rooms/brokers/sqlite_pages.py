"""Pages of a room's history, read from the durable broker's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from msgspec import UNSET, Raw, Struct

from rooms.core.history import Page, Retention, page_offsets
from rooms.protocol.commands import Origin, Position, Publication

_FIRST = """
SELECT offset FROM publications WHERE room = ? AND offset > ? AND time > ? ORDER BY offset LIMIT 1
"""
_ROWS = """
SELECT offset, event, payload, sender FROM publications
WHERE room = ? AND offset BETWEEN ? AND ? ORDER BY offset
"""


class Question(Struct, frozen=True):
    """Which page is asked for.

    Attributes:
        retention: How much of the room is kept; what the file still has beyond that is not shown.
        unsaved: Where the room stands if the file does not know it.
    """

    room: str
    limit: int
    since: Position | None
    before: Position | None
    newest_first: bool
    retention: Retention
    unsaved: Position


def read_page(connection: sqlite3.Connection, question: Question, now: float) -> Page:
    """Return the page.

    Raises:
        Unrecoverable: As `Stream.page`.
        sqlite3.Error: The file cannot be read.
    """
    with _snapshot(connection):
        found = connection.execute(
            "SELECT id, epoch, offset FROM rooms WHERE name = ?", [question.room]
        ).fetchone()
        number, *position = found or (0, question.unsaved.epoch, question.unsaved.offset)
        last = Position(*position)
        first = _first(connection, number, last, question.retention, now)
        offsets, more = page_offsets(
            last, first, question.limit, question.since, question.before, question.newest_first
        )
        rows = connection.execute(_ROWS, [number, offsets.start, offsets.stop - 1]).fetchall()
    if len(rows) != len(offsets):
        raise sqlite3.DatabaseError(f"publications of the room {question.room!r} are missing")
    publications = [_publication(question.room, last.epoch, *row) for row in rows]
    if question.newest_first:
        publications.reverse()
    return Page(last, publications, more)


def _first(
    connection: sqlite3.Connection, number: int, last: Position, retention: Retention, now: float
) -> int:
    """Return the offset of the oldest publication that is kept, or of the next one to come."""
    surplus, oldest = last.offset - retention.messages, now - retention.seconds
    found = connection.execute(_FIRST, [number, surplus, oldest]).fetchone()
    return found[0] if found is not None else last.offset + 1


def _publication(
    room: str, epoch: str, offset: int, event: str, payload: bytes, sender: str | None
) -> Publication:
    return Publication(
        event=event,
        room=room,
        payload=Raw(payload),
        sender=UNSET if sender is None else msgspec.json.decode(sender, type=Origin),
        position=Position(epoch, offset),
    )


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Have all that is read in the block be of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
