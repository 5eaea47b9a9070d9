"""Frames that wait for one client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from rooms.errors import SlowConsumer
from rooms.transports.base import Link

Start = Callable[[Callable[[], Awaitable[None]]], object]


class Outbox:
    """Writes whole frames to one client, at once where the kernel takes them.

    What it does not take waits, up to a limit, and is written by a task that lives only while
    something waits.  `write` never waits and never fails the one who calls it: a client that does
    not read is its own problem.

    Args:
        link: Where the bytes go.
        limit_bytes: The most that may wait.
        limit_writes: The most writes that may wait.
        start: Starts the writer in a nursery of the connection; may be set anew.
        overflow: Called with what it is when a limit is passed; from then on nothing is taken but
            `finish`.
    """

    __slots__ = (
        "_drained",
        "_limit_bytes",
        "_limit_writes",
        "_link",
        "_overflow",
        "_receive",
        "_rest",
        "_send",
        "broken",
        "closed",
        "start",
        "waiting_bytes",
    )

    def __init__(
        self,
        link: Link,
        *,
        limit_bytes: int,
        limit_writes: int,
        start: Start,
        overflow: Callable[[SlowConsumer], None],
    ) -> None:
        self._link = link
        self._limit_bytes = limit_bytes
        self._limit_writes = limit_writes
        self.start = start
        self._overflow = overflow
        self._rest = b""  # of a write that the kernel took only in part: must go out, and first
        # made when something waits for the first time: most clients never need it
        self._send: trio.MemorySendChannel[bytes] | None = None
        self._receive: trio.MemoryReceiveChannel[bytes] | None = None
        self._drained: trio.Event | None = None
        self.waiting_bytes = 0
        self.closed = False
        self.broken = False

    def write(self, frames: bytes) -> None:
        """Write whole frames now, or as soon as the client reads."""
        if self.closed:
            return
        if self.waiting_bytes:
            self._wait(frames)
            return
        try:
            sent = self._link.send_nowait(frames)
        except OSError:
            self.broken = self.closed = True
            return
        if sent != len(frames):
            self._rest = frames[sent:]
            self.waiting_bytes = len(self._rest)
            self.start(self._write_backlog)

    def finish(self, last: bytes) -> None:
        """Write ``last`` after what waits, and take no more.

        After an overflow it goes out instead of what waits.
        """
        if self.broken:
            return
        if self.closed:
            self._take_waiting()
            self.closed = False
        if self.waiting_bytes:
            self._put(last)  # there is always room for the last
        else:
            self.write(last)
        self.closed = True

    def close(self) -> None:
        """Take no more."""
        self.closed = True

    async def drained(self) -> None:
        """Wait until nothing waits any more, or nothing can be written any more."""
        while self.waiting_bytes and not self.broken:
            self._drained = trio.Event()
            await self._drained.wait()

    def _wait(self, frames: bytes) -> None:
        """Have ``frames`` wait, if the limits allow it."""
        writes = 0 if self._receive is None else self._receive.statistics().current_buffer_used
        if writes >= self._limit_writes or self.waiting_bytes + len(frames) > self._limit_bytes:
            self.closed = True
            self._overflow(SlowConsumer())
        else:
            self._put(frames)

    def _put(self, frames: bytes) -> None:
        if self._send is None:
            self._send, self._receive = trio.open_memory_channel[bytes](self._limit_writes + 1)
        self._send.send_nowait(frames)
        self.waiting_bytes += len(frames)

    def _take_waiting(self) -> bytes:
        """Take all that has not begun to be written out of the channel, joined."""
        if self._receive is None:
            return b""
        waiting = []
        while self._receive.statistics().current_buffer_used:
            waiting.append(self._receive.receive_nowait())
        joined = b"".join(waiting)
        self.waiting_bytes -= len(joined)
        return joined

    async def _write_backlog(self) -> None:
        """Write until nothing waits; a write that is cut short leaves the outbox broken."""
        try:
            while self.waiting_bytes:
                rest, self._rest = self._rest, b""
                data = rest + self._take_waiting()
                self.waiting_bytes = len(data)
                await self._link.send_all(data)
                self.waiting_bytes -= len(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.broken = True
        finally:
            if self.waiting_bytes:
                self.broken = self.closed = True
            if self._drained is not None:
                self._drained.set()
