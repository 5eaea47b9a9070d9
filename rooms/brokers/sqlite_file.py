"""The durable broker's file: checked when it is opened, and open in one server at a time."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import structlog
import trio

from rooms.errors import ConfigError

T = TypeVar("T")
Synchronous = Literal["normal", "full"]

APPLICATION = 0x526F6F6D  # "Room": tells our files from others (PRAGMA application_id)

VERSION = 1
"""Of the tables; a file with a later one was written by a later release."""

SQLITE = (3, 35)
"""The oldest SQLite that knows all statements that are used."""

RETRY_SECONDS = 0.05
"""How often a file that another server has open is tried again."""

BUSY_SECONDS = 1
"""How long a statement waits for another program, such as a backup, that has locked the file."""

CHECKED_BYTES = 256 * 1024 * 1024
"""A file up to this size is read through at start; of a larger one only what is needed."""

EPOCH_BYTES = 5

CHUNKS = (64, 8, 1)
"""Rows that one statement inserts.  For each statement Python lets go of its global lock, and a
busy server gives it back only after milliseconds, so it is the number of statements that counts."""

# Publications lie in the order in which they came, whatever their room: so a transaction changes
# few pages of the file, and a small index finds what belongs together.
_TABLES = f"""
BEGIN;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
CREATE TABLE server (boot TEXT NOT NULL);
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    offset INTEGER NOT NULL,
    time REAL NOT NULL,
    due REAL NOT NULL
);
CREATE INDEX rooms_due ON rooms (due);
CREATE TABLE publications (
    room INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    time REAL NOT NULL,
    event TEXT NOT NULL,
    payload BLOB NOT NULL,
    sender TEXT,
    UNIQUE (room, offset)
);
CREATE TABLE keys (
    number INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    room INTEGER NOT NULL,
    key TEXT NOT NULL,
    offset INTEGER NOT NULL
);
INSERT INTO server VALUES ('');
COMMIT;
"""  # noqa: S608  # made of constants

log = structlog.get_logger("rooms")

_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_BUSY: "another program has locked it: end that program",
    sqlite3.SQLITE_LOCKED: "another program has locked it: end that program",
    sqlite3.SQLITE_READONLY: "it may not be written: give this user the right to write it",
    sqlite3.SQLITE_PERM: "it may not be written: give this user the right to write it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened or made: let this user write it and its folder",
    sqlite3.SQLITE_NOTADB: "it is not a database: choose another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a copy or choose another file",
    sqlite3.SQLITE_IOERR: "the disk fails, or has no space for it: look after the disk",
}


def cause(error: sqlite3.Error) -> str:
    """Return what went wrong and what to do, without saying where."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest is detail
    return _CAUSES.get(code, f"it cannot be used: {error}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Have all that is written in the block be on record after it, or nothing of it."""
    _undo(connection)  # if that failed the last time
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        _undo(connection)


def _undo(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # some errors end it by themselves
        connection.execute("ROLLBACK")


def insert(
    connection: sqlite3.Connection,
    head: str,
    marks: str,
    rows: Sequence[tuple[Any, ...]],
    tail: str = "",
) -> None:
    """Insert many rows by few statements: ``head``, then ``marks`` for each row, then ``tail``."""
    start = 0
    for size in CHUNKS:
        statement = f"{head} {', '.join([marks] * size)} {tail}"
        while len(rows) - start >= size:
            chunk = rows[start : start + size]
            connection.execute(statement, [value for row in chunk for value in row])
            start += size


def new_epoch() -> str:
    """Return an epoch that no room has had."""
    return secrets.token_hex(EPOCH_BYTES)


def boot_id() -> str:
    """Return what stays the same until the machine starts again; a new one where none is told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex()


class FileInUse(ConfigError):
    """Another server has the file open."""


async def when_free(path: Path, patience: float, open_file: Callable[[float], T]) -> T:
    """Call ``open_file``, with the time, in a thread; again while another server has the file.

    Args:
        path: Of the file, for the log.
        patience: Seconds for which it is tried.

    Raises:
        FileInUse: The other server has not let go of it.
    """
    start = trio.current_time()
    waits = False
    while True:
        try:
            return await trio.to_thread.run_sync(open_file, trio.current_time())
        except FileInUse:
            if trio.current_time() >= start + patience:
                raise
        if not waits:
            waits = True
            log.warning("waiting for another server to close its file", path=str(path))
        await trio.sleep(RETRY_SECONDS)


class File:
    """An open file: two connections, for a writing and for a reading thread.

    Not safe for several threads at once; each connection is, one after the other.

    Args:
        path: Of the database; beside it lie its log and the lock that keeps other servers out.
        synchronous: See `rooms.brokers.sqlite`.
        boot: Names the time since the machine was started.

    Raises:
        ConfigError: It cannot be used; the message says why and what to do.
    """

    def __init__(self, path: Path, synchronous: Synchronous, boot: str) -> None:
        self.path = path
        self._synchronous = synchronous
        self._open: list[sqlite3.Connection] = []
        try:
            self._lock()
            self.writer = self._connect()
            _check(path, self.writer)
            self._begin("" if synchronous == "full" else boot, boot)
            self.reader = self._connect()
            self.reader.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise self.refuse(error) from None
        except ConfigError:
            self._close()
            raise

    def refuse(self, error: sqlite3.Error) -> ConfigError:
        """Close, and return what to tell whoever wanted to use the file."""
        self._close()
        return ConfigError(f"The broker's file {self.path}: {cause(error)}.")

    def close(self) -> None:
        """Note that nothing is missing, and close.

        Raises:
            sqlite3.Error: That could not be noted.
        """
        try:
            self.writer.execute("PRAGMA synchronous = FULL")
            self.writer.execute("UPDATE server SET boot = ''")
            self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._close()

    def _close(self) -> None:
        while self._open:
            self._open.pop().close()

    def _connect(self, suffix: str = "", timeout: float = BUSY_SECONDS) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path}{suffix}",
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        self._open.append(connection)
        return connection

    def _lock(self) -> None:
        """Keep other servers out for as long as this process lives, however it ends."""
        folder = self.path.parent
        if sqlite3.sqlite_version_info < SQLITE:
            raise ConfigError(
                f"The broker's file {self.path}: this Python has SQLite {sqlite3.sqlite_version}: "
                f"use one with {'.'.join(map(str, SQLITE))} or later."
            )
        if not folder.is_dir():
            raise ConfigError(f"The broker's file {self.path}: there is no folder {folder}.")
        if self.path.is_dir():
            raise ConfigError(f"The broker's file {self.path} is a folder: name a file in it.")
        try:
            self._connect("-lock", timeout=0).execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            message = f"The broker's file {self.path} is open in another server: stop that one"
            raise FileInUse(f"{message}, or give this one a file of its own.") from None

    def _begin(self, mark: str, boot: str) -> None:
        """Prepare for writing, and find out whether the machine failed while the file was open.

        What was not on the disk then is gone, so no room may count on as if it were not.
        """
        for name, value in (
            ("auto_vacuum", "INCREMENTAL"),  # before there is a table
            ("journal_mode", "WAL"),
            ("synchronous", "FULL"),  # the mark must be on the disk before what it is for
            ("journal_size_limit", 64 * 1024 * 1024),
            ("cache_size", -16 * 1024),
            ("temp_store", "MEMORY"),
        ):
            self.writer.execute(f"PRAGMA {name} = {value}")
        if _value(self.writer, "PRAGMA journal_mode") != "wal":
            raise ConfigError(
                f"The broker's file {self.path}: its file system has no shared memory, as those of "
                "other machines have not: choose one on a disk of this machine."
            )
        if not _value(self.writer, "PRAGMA application_id"):
            self.writer.executescript(_TABLES)
        left = _value(self.writer, "SELECT boot FROM server")
        if left not in ("", boot):
            self.writer.execute("UPDATE rooms SET epoch = lower(hex(randomblob(?)))", [EPOCH_BYTES])
        self.writer.execute("UPDATE server SET boot = ?", [mark])
        self.writer.execute(f"PRAGMA synchronous = {self._synchronous}")


def _check(path: Path, connection: sqlite3.Connection) -> None:
    """Do nothing if this is a file of ours, or empty.

    Raises:
        ConfigError: It is not one that this release can use.
    """
    application = _value(connection, "PRAGMA application_id")
    version = _value(connection, "PRAGMA user_version")
    empty = not _value(connection, "SELECT count(*) FROM sqlite_schema")
    if application != APPLICATION and not (empty and application == 0):
        raise ConfigError(
            f"The broker's file {path} is another program's database: choose another file."
        )
    if version > VERSION:
        raise ConfigError(
            f"The broker's file {path} was written by a later release (its tables have version "
            f"{version}, this release knows {VERSION}): install that one or choose another file."
        )
    if path.stat().st_size <= CHECKED_BYTES:
        found = _value(connection, "PRAGMA quick_check(1)")
        if found != "ok":
            raise ConfigError(
                f"The broker's file {path} is damaged ({found}): restore a copy or choose another."
            )


def _value(connection: sqlite3.Connection, statement: str) -> Any:
    return connection.execute(statement).fetchone()[0]
