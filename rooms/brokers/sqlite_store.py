"""What the durable broker writes: publications, where rooms stand, keys.

All of it is called from one thread at a time.  A call either does all of its work or raises
`sqlite3.Error` and has done nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from rooms.brokers.base import KEY_SECONDS, KEYS
from rooms.brokers.sqlite_file import insert, new_epoch, transaction
from rooms.protocol.commands import Origin, Position

HEADS = 100_000
"""The most rooms of which memory holds where they stand; the file holds it of all."""

PROBE_BYTES = 256 * 1024
"""What must fit on a disk that was full before publications are stored again."""

FIRST_LOOK_SECONDS = 60
"""When a new room is looked after for the first time."""

_ROOMS = "INSERT INTO rooms VALUES", "(?, ?, ?, ?, ?, ?)"
_SAVE = "ON CONFLICT (id) DO UPDATE SET offset = excluded.offset, time = excluded.time"
_PUBLICATIONS = "INSERT INTO publications VALUES", "(?, ?, ?, ?, ?, ?)"
_KEYS = "INSERT INTO keys (time, room, key, offset) VALUES", "(?, ?, ?, ?)"
_KNOWN = """
SELECT keys.time, name, key, epoch, keys.offset FROM keys JOIN rooms ON room = id
WHERE keys.time > ? ORDER BY number DESC LIMIT ?
"""


class Entry(Struct, frozen=True):
    """A publication that is to be stored; ``sender`` is JSON."""

    room: str
    event: str
    payload: bytes
    sender: str | None
    key: str | None


class Known(Struct, frozen=True):
    """A publication that had a key."""

    time: float
    room: str
    key: str
    position: Position


class _Head(Struct, frozen=True):
    """Where a room stands, and its number in the file."""

    number: int
    epoch: str
    offset: int

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)


class _Batch:
    """The rows that some publications come to."""

    def __init__(self, now: float) -> None:
        self._now = now
        self.positions: list[Position] = []
        self.publications: list[tuple[Any, ...]] = []
        self.keys: list[tuple[Any, ...]] = []

    def add(self, entry: Entry, head: _Head) -> None:
        self.positions.append(head.position)
        self.publications.append(
            (head.number, head.offset, self._now, entry.event, entry.payload, entry.sender)
        )
        if entry.key is not None:
            self.keys.append((self._now, head.number, entry.key, head.offset))


class Store:
    """The tables, through one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._heads: dict[str, _Head] = {}
        self._unsaved: dict[str, _Head] = {}  # of rooms where nothing was published yet
        last = self._db.execute("SELECT max(id) FROM rooms").fetchone()[0]
        self._numbers = int(last or 0)

    def last_time(self) -> float:
        """Return when something was last written, or 0."""
        last = self._db.execute("SELECT max(time) FROM rooms").fetchone()[0]
        return float(last or 0)

    def stand(self, rooms: Iterable[str]) -> list[Position]:
        """Return where rooms stand; a new one is saved with what is written next."""
        positions = []
        for room in rooms:
            head = self._heads.get(room) or self._load(room)
            if not head.offset:
                self._unsaved[room] = head
            positions.append(head.position)
        return positions

    def append(self, entries: Iterable[Entry], now: float) -> list[Position]:
        """Store publications and return their positions, in the same order."""
        heads = dict(self._unsaved)
        batch = _Batch(now)
        for entry in entries:
            last = heads.get(entry.room) or self._heads.get(entry.room) or self._load(entry.room)
            head = heads[entry.room] = _Head(last.number, last.epoch, last.offset + 1)
            batch.add(entry, head)
        if heads:
            with transaction(self._db):
                insert(self._db, *_ROOMS, _room_rows(heads, now), _SAVE)
                insert(self._db, *_PUBLICATIONS, batch.publications)
                insert(self._db, *_KEYS, batch.keys)
            self._heads.update(heads)
            self._unsaved.clear()
        return batch.positions

    def known(self, now: float) -> Iterator[Known]:
        """Yield the keyed publications that are to be remembered, the oldest first."""
        rows = self._db.execute(_KNOWN, [now - KEY_SECONDS, KEYS]).fetchall()
        for time, room, key, epoch, offset in reversed(rows):
            yield Known(time, room, key, Position(epoch, offset))

    def forget(self, rooms: Iterable[str]) -> None:
        """Note that the file does not hold these rooms any more."""
        for room in rooms:
            self._heads.pop(room, None)
            self._unsaved.pop(room, None)

    def probe(self) -> None:
        """Write something of the size of a batch, and take it back: a page may still fit."""
        with transaction(self._db):
            self._db.execute("CREATE TABLE IF NOT EXISTS probe (filling BLOB)")
            self._db.execute("INSERT INTO probe VALUES (zeroblob(?))", [PROBE_BYTES])
        with transaction(self._db):
            self._db.execute("DROP TABLE probe")

    def _load(self, room: str) -> _Head:
        """Return where a room stands that memory does not know; a new one is not yet saved."""
        found = self._db.execute("SELECT id, epoch, offset FROM rooms WHERE name = ?", [room])
        row = found.fetchone()
        if row is None:
            self._numbers += 1
        head = _Head(self._numbers, new_epoch(), 0) if row is None else _Head(*row)
        if len(self._heads) >= HEADS:
            self._heads = dict(self._unsaved)
        self._heads[room] = head
        return head


def _room_rows(heads: dict[str, _Head], now: float) -> Sequence[tuple[Any, ...]]:
    due = now + FIRST_LOOK_SECONDS
    return [(head.number, name, head.epoch, head.offset, now, due) for name, head in heads.items()]


def sender_text(sender: Origin | None) -> str | None:
    """Return who published as the file holds it."""
    return None if sender is None else msgspec.json.encode(sender).decode()
