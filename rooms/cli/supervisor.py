"""Keeps worker processes running: starts them, passes signals on, and starts anew what dies."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import structlog
import trio

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between the end of a worker and the next try; each failure doubles them."""

STEADY_SECONDS = 30.0
"""A worker that has lived as long has not failed to start."""

MISTAKEN = 2
"""How a worker exits whose settings cannot be used: another try would end the same way."""

STOPPING = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger("rooms")


class Worker(Protocol):
    """What the supervisor needs of a process."""

    @property
    def serving(self) -> bool:
        """Whether it has come as far as to serve."""
        ...

    async def wait(self) -> int:
        """Return its status once it has ended."""
        ...

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        ...


Start = Callable[[int], Awaitable[Worker]]
"""Starts the worker of a number, counted from 1."""


class Supervisor:
    """Keeps workers running until it is told to stop, or until it is clear that none can start.

    Args:
        count: How many.
        waits: Start a worker that has failed anew not after a pause, but by `restart`: whoever
            develops wants to change something first.

    Attributes:
        stopping: Set when a signal has said so.
    """

    def __init__(self, start: Start, count: int, *, waits: bool = False) -> None:
        self._start = start
        self._count = count
        self._waits = waits
        self._workers: dict[int, Worker] = {}
        self.stopping = trio.Event()
        self._stopped_by = signal.SIGTERM
        self._again = trio.Event()
        self._status = 0
        self._failed: set[int] = set()  # the numbers of workers that have
        self._has_served = False  # then a mistake may pass, such as a broker that is away

    async def run(self, signals: AsyncIterator[int]) -> int:
        """Keep the workers until they are to stop; returns the status to exit with."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._obey, signals)
            async with trio.open_nursery() as keeping:
                for number in range(1, self._count + 1):
                    keeping.start_soon(self._keep, number)
            nursery.cancel_scope.cancel()
        return self._status

    def restart(self) -> None:
        """End all workers and start them anew."""
        self._again.set()
        self._again = trio.Event()
        self._tell(signal.SIGINT)

    def stop(self, number: int) -> None:
        """Pass a stopping signal on; the workers know what it and a second one mean."""
        self._stopped_by = signal.Signals(number)
        self.stopping.set()
        self._tell(number)

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number in STOPPING:
                self.stop(number)
            else:
                self._tell(number)

    def _tell(self, number: int) -> None:
        for worker in self._workers.values():
            worker.send_signal(number)

    async def _keep(self, number: int) -> None:
        """Keep one worker running."""
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            began, again = trio.current_time(), self._again
            status = await self._live(number)
            if self.stopping.is_set() or again.is_set():
                continue
            served = any(each.serving for each in self._workers.values())
            self._has_served = self._has_served or served
            self._failed.add(number)
            if self._is_hopeless(status):
                self._give_up(status)
                return
            if trio.current_time() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            await self._pause(number, status, pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _live(self, number: int) -> int:
        """Start a worker and return its status once it has ended."""
        try:
            worker = self._workers[number] = await self._start(number)
        except OSError as error:  # no memory for it, say
            log.error("a worker cannot be started", worker=number, error=str(error))
            return 1
        if self.stopping.is_set():  # it was not there yet to be told
            worker.send_signal(self._stopped_by)
        status = await worker.wait()
        del self._workers[number]
        self._has_served = self._has_served or worker.serving
        return status

    def _is_hopeless(self, status: int) -> bool:
        """Whether no worker will ever serve: all have failed, or one as all others must."""
        if self._has_served or self._waits:
            return False
        return status == MISTAKEN or len(self._failed) == self._count

    def _give_up(self, status: int) -> None:
        if status != MISTAKEN:  # of a mistake the worker has said all
            log.error("no worker could start; the server ends", status=status)
        self._status = max(status, 1)  # a signal's is negative
        self.stop(signal.SIGTERM)

    async def _pause(self, number: int, status: int, seconds: float) -> None:
        """Wait until a worker that has failed is to be started anew, or everything is to stop."""
        if self._waits:
            log.error("the server failed; it is started again when a file changes", status=status)
            seconds = float("inf")
        else:
            log.error("a worker died", worker=number, status=status, starts_again_in=seconds)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, self.stopping, nursery.cancel_scope)
            nursery.start_soon(_cancel_after, self._again, nursery.cancel_scope)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
