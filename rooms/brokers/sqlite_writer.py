"""The one task that writes the durable broker's file: all that waits, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog
import trio

from rooms.brokers.sqlite_file import cause
from rooms.brokers.sqlite_jobs import Job, Publish, Subscribe
from rooms.brokers.sqlite_store import Entry, Store
from rooms.errors import Unavailable
from rooms.protocol.commands import Position

QUEUE = 1000
"""The most jobs that wait; who comes then waits until there is room."""

BATCH = 1000
BATCH_BYTES = 4 * 1024 * 1024
"""A transaction takes no further publication when it has so many, or payloads of this size."""

TURN = 100
"""Publications that are delivered before others may run."""

T = TypeVar("T")
Settle = Callable[[Job, Position | None], None]
"""Takes each job in its order, with its position, or with None if it has failed."""

log = structlog.get_logger("rooms")


class Writer:
    """Takes jobs, does them in their order and settles each after it is on record.

    Attributes:
        problem: Why nothing can be written, else None; the next that is written may change it.
        turn: Held by whoever uses the store.
    """

    def __init__(self, store: Store, now: Callable[[], float], settle: Settle) -> None:
        self.problem: str | None = None
        self.turn = trio.Lock()  # fair, so upkeep and publications take turns
        self._store = store
        self._now = now
        self._settle = settle
        self._limiter = trio.CapacityLimiter(1)
        self._send, self._receive = trio.open_memory_channel[Job](QUEUE)

    async def submit(self, job: Job) -> None:
        """Have ``job`` done in its turn; waits while the queue is full.

        Raises:
            trio.ClosedResourceError: The writer takes nothing more.
        """
        try:
            self._send.send_nowait(job)
        except trio.WouldBlock:
            await self._send.send(job)

    def close(self) -> None:
        """Take nothing more; `run` ends when all that waits is done."""
        self._send.close()

    async def run(self) -> None:
        """Do jobs until the writer is closed, even if cancelled: publishers wait for them."""
        with trio.CancelScope(shield=True):
            async for job in self._receive:
                async with self.turn:
                    await self._do(self._batch(job))

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Do something else with the store, in the writer's thread; the caller holds the turn.

        Raises:
            Unavailable: That failed.
        """
        try:
            return await trio.to_thread.run_sync(function, *args, limiter=self._limiter)
        except sqlite3.Error as error:
            self._note(error)
            raise Unavailable from None

    async def probe(self) -> None:
        """Find out whether writing works again.

        Raises:
            Unavailable: It does not.
        """
        async with self.turn:
            await self.call(self._store.probe)
            self._note(None)

    def _batch(self, first: Job) -> list[Job]:
        """Return all that waits, within limits."""
        batch, size = [first], 0
        while len(batch) < BATCH and size < BATCH_BYTES:
            try:
                job = self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            batch.append(job)
            size += len(job.entry.payload) if isinstance(job, Publish) else 0
        return batch

    async def _do(self, batch: list[Job]) -> None:
        """Do jobs in one go: those that only look first, for they see what is on record."""
        looking = [job for job in batch if isinstance(job, Subscribe)]
        storing = [job for job in batch if isinstance(job, Publish)]
        rooms, entries = [job.room for job in looking], [job.entry for job in storing]
        positions, error = await trio.to_thread.run_sync(
            self._work, rooms, entries, self._now(), limiter=self._limiter
        )
        if storing or error is not None:
            self._note(error)
        for number, (job, position) in enumerate(zip([*looking, *storing], positions, strict=True)):
            if number % TURN == TURN - 1:
                await trio.lowlevel.checkpoint()
            self._settle(job, position)

    def _work(
        self, rooms: Sequence[str], entries: Sequence[Entry], now: float
    ) -> tuple[list[Position | None], sqlite3.Error | None]:
        """Return a position for each, or None for those that failed, and why."""
        positions: list[Position | None] = []
        try:
            positions += self._store.stand(rooms)
            if entries:
                positions += self._store.append(entries, now)
        except sqlite3.Error as error:
            missing = len(rooms) + len(entries) - len(positions)
            return positions + [None] * missing, error
        return positions, None

    def _note(self, error: sqlite3.Error | None) -> None:
        """Note how writing went, and log when that changes."""
        before, self.problem = self.problem, None if error is None else cause(error)
        with suppress(OSError):  # the log may be on the same disk
            if self.problem is not None and before is None:
                log.error("publications cannot be stored", problem=self.problem, error=str(error))
            elif self.problem is None and before is not None:
                log.info("publications can be stored again")
