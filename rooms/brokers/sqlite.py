"""The durable broker: one server's rooms in one SQLite file.

A publication has its position, is delivered and is acknowledged after the transaction that holds
it has been committed.  What that promises depends on ``synchronous``:

``normal`` (the default)
    Nothing acknowledged is lost when the server ends, however it ends: a crash, ``kill -9``, no
    memory left.  When the machine itself fails (power, kernel), the last moments before may be
    missing from the disk; then every room begins a new epoch, so nobody takes the gap for silence.

``full``
    Nothing acknowledged is lost when the machine fails either: each transaction waits for the
    disk.  How fast that is depends on the disk; one that says too early that it is done breaks
    the promise.

The order of everything is that of one queue.  A single task takes all that waits in it and
commits it in one transaction, in a thread, while the queue fills again.  So a transaction is
shared by as many publications as come in during the one before.

A transaction that fails, for example on a full disk, fails all of its publications: none has a
position or is delivered, each publisher is told `Unavailable`, and the next transaction tries
again.  A room whose history is off has nothing to store, so it is left to `MemoryBroker`: its
epoch and its keys end with the server.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import trio
from msgspec import UNSET, Raw

from rooms.brokers.base import Broker, Deliver, Lost, Retain, ignore_lost, retain_nothing
from rooms.brokers.keys import Keys
from rooms.brokers.memory import MemoryBroker
from rooms.brokers.notes import Notes
from rooms.brokers.sqlite_file import File, Synchronous, boot_id, new_epoch, when_free
from rooms.brokers.sqlite_jobs import Job, Publish, Subscribe
from rooms.brokers.sqlite_notes import SqliteNotes
from rooms.brokers.sqlite_pages import Question, read_page
from rooms.brokers.sqlite_store import Store
from rooms.brokers.sqlite_trim import Care, Trimmer
from rooms.brokers.sqlite_upkeep import Upkeep
from rooms.brokers.sqlite_writer import Writer
from rooms.core.filters import FilterCounts
from rooms.core.history import Page
from rooms.errors import Unavailable
from rooms.protocol.commands import Origin, Position, Publication
from rooms.protocol.topics import Filter

log = structlog.get_logger("rooms")


def _ignore(publication: Publication) -> None:
    """Take what is published while the broker is not open."""


class SqliteBroker(Broker):
    """Keeps publications, positions and keys in a file; for a single server.

    Args:
        path: Of the database.  Beside it lie ``-wal`` and ``-shm``, which are part of it, and
            ``-lock``, which keeps other servers out.
        synchronous: What survives a failure of the machine; see above.
        patience: Seconds for which opening waits for another server to let go of the file.
        wall: Tells seconds since 1970: ages go on while the server does not run.
        boot: Tells what stays the same until the machine starts again.
    """

    def __init__(
        self,
        path: Path,
        synchronous: Synchronous = "normal",
        *,
        patience: float = 0.0,
        wall: Callable[[], float] = time.time,
        boot: Callable[[], str] = boot_id,
    ) -> None:
        self._path = path.absolute()
        self._synchronous = synchronous
        self._patience = patience
        self._wall = wall
        self._boot = boot
        self._started = 0.0
        self._file: File
        self._store: Store
        self._upkeep: Upkeep
        self._writer: Writer | None = None  # until the file is open
        self._notes = SqliteNotes(self._now)
        self._reading = trio.CapacityLimiter(1)
        self._memory = MemoryBroker()
        self._subscribed: dict[str, Position] = {}
        self._followed = FilterCounts()
        self._keys = Keys()
        self._under_way: dict[tuple[str, str], Publish] = {}
        self._deliver: Deliver = _ignore
        self._retain: Retain = retain_nothing

    @property
    def problem(self) -> str | None:
        return None if self._writer is None else self._writer.problem

    @property
    def notes(self) -> Notes:
        return self._notes

    @asynccontextmanager
    async def open(
        self, deliver: Deliver, retain: Retain = retain_nothing, lost: Lost = ignore_lost
    ) -> AsyncIterator[None]:
        self._deliver, self._retain = deliver, retain
        trimmer = await when_free(self._path, self._patience, self._open_file)
        writer = self._writer = Writer(self._store, self._now, self._settle)
        self._notes.use(self._file.writer, writer)
        self._upkeep = Upkeep(self._store, trimmer, writer, self._now, self._care)
        try:
            async with self._memory.open(deliver), self._working(writer):
                yield
        finally:
            self._deliver = _ignore
            self._subscribed.clear()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._close_file, self._now(), limiter=self._reading)

    def subscribe_nowait(self, room: str) -> Position:
        if not self._keeps(room):
            return self._memory.subscribe_nowait(room)
        if room not in self._subscribed:
            raise trio.WouldBlock
        return self._subscribed[room]

    async def subscribe(self, room: str) -> Position:
        if not self._keeps(room):
            return await self._memory.subscribe(room)
        return await self._done(Subscribe(room))

    def unsubscribe(self, room: str) -> None:
        self._memory.unsubscribe(room)
        self._subscribed.pop(room, None)

    def follow_nowait(self, rooms: Filter) -> None:
        self._memory.follow_nowait(rooms)
        self._followed.add(rooms)

    def unfollow(self, rooms: Filter) -> None:
        self._memory.unfollow(rooms)
        self._followed.remove(rooms)

    def publish_nowait(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        if not self._keeps(room):
            return self._memory.publish_nowait(room, event, payload, sender, key)
        if key is not None and (known := self._keys.find(room, key, self._now())):
            return known
        raise trio.WouldBlock

    async def publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        if not self._keeps(room):
            return await self._memory.publish(room, event, payload, sender, key)
        if key is not None and (known := await self._find(room, key)) is not None:
            return known
        job = Publish(room, event, payload, sender, key)
        if key is not None:
            self._under_way[room, key] = job
        return await self._done(job)

    def history_nowait(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        if not self._keeps(room):
            return self._memory.history_nowait(room, limit, since, before, newest_first)
        raise trio.WouldBlock

    async def history(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        if not self._keeps(room):
            return await self._memory.history(room, limit, since, before, newest_first)
        unsaved = self._subscribed.get(room) or Position(new_epoch(), 0)
        retention = self._retain(room)
        question = Question(room, limit, since, before, newest_first, retention, unsaved)
        return await self._ask(question)

    # The file.

    def _open_file(self, now: float) -> Trimmer:
        self._file = File(self._path, self._synchronous, self._boot())
        try:
            self._store = Store(self._file.writer)
            self._started = max(self._wall(), self._store.last_time()) - now
            for known in self._store.known(self._started + now):
                self._keys.remember(known.room, known.key, known.position, known.time)
            return Trimmer(self._file.writer)
        except sqlite3.Error as error:
            raise self._file.refuse(error) from None

    @asynccontextmanager
    async def _working(self, writer: Writer) -> AsyncIterator[None]:
        """Run the tasks while the block runs; what waits at its end is still done."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            upkeep = trio.CancelScope()
            nursery.start_soon(self._keep_up, upkeep)
            try:
                yield
            finally:
                upkeep.cancel()
                writer.close()

    async def _keep_up(self, scope: trio.CancelScope) -> None:
        with scope:
            await self._upkeep.run()

    def _care(self, room: str) -> Care:
        return Care(room, self._retain(room), room in self._subscribed)

    def _close_file(self, now: float) -> None:
        try:
            self._store.append([], now)
            self._file.close()
        except sqlite3.Error as error:
            log.warning("broker's file not closed properly", path=str(self._path), error=str(error))

    def _now(self) -> float:
        """Return the time that the file goes by; it never goes back."""
        return self._started + trio.current_time()

    async def _ask(self, question: Question) -> Page:
        try:
            return await trio.to_thread.run_sync(
                read_page, self._file.reader, question, self._now(), limiter=self._reading
            )
        except sqlite3.Error as error:
            log.error("history cannot be read", room=question.room, error=str(error))
            raise Unavailable("The server cannot read that for the moment; try again.") from None

    # Jobs for the writer.

    def _keeps(self, room: str) -> bool:
        return self._retain(room).messages > 0

    async def _find(self, room: str, key: str) -> Position | None:
        """Return the position of the publication with this key, waiting for it if it is on its way.

        Raises:
            Unavailable: The first try failed while we were waiting for it.
        """
        await trio.lowlevel.checkpoint()
        while (job := self._under_way.get((room, key))) is not None:
            position = await job.ended()
            if position is not None:
                return position
        return self._keys.find(room, key, self._now())

    async def _done(self, job: Job) -> Position:
        """Have ``job`` done and return its position.

        Raises:
            Unavailable: It failed, or the broker is not open.
        """
        taken = False
        try:
            if self._writer is None:
                raise trio.ClosedResourceError
            await self._writer.submit(job)
            taken = True
        except trio.ClosedResourceError:
            raise Unavailable("The server is stopping; try again later.") from None
        finally:
            if not taken:
                self._take_back(job)
                job.give_up()
        position = await job.ended()
        assert position is not None
        return position

    def _take_back(self, job: Job) -> None:
        if isinstance(job, Publish) and job.entry.key is not None:
            del self._under_way[job.room, job.entry.key]

    def _settle(self, job: Job, position: Position | None) -> None:
        """Deliver what is on record, and only then tell who waits for it."""
        self._take_back(job)
        if position is None:
            job.fail()
            return
        if isinstance(job, Publish):
            self._published(job, position)
        elif isinstance(job, Subscribe) and not job.left:
            self._subscribed[job.room] = position
        job.succeed(position)

    def _published(self, job: Publish, position: Position) -> None:
        room, key = job.room, job.entry.key
        self._upkeep.grown[room] = None
        if key is not None:
            self._keys.remember(room, key, position, self._now())
        subscribed = room in self._subscribed
        if subscribed:
            self._subscribed[room] = position
        if subscribed or (self._followed and self._followed.match(room)):
            sender = UNSET if job.sender is None else job.sender
            self._deliver(
                Publication(
                    event=job.entry.event,
                    room=room,
                    payload=job.payload,
                    sender=sender,
                    position=position,
                )
            )
