"""Frames that wait for one client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from rooms.core.slow import DEFAULT_RULE, Portion, SlowRule
from rooms.server.backlog import Backlog, Slow
from rooms.server.stalls import Stalls
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
        slow: The connection: told when a limit is passed, and cut off if nothing can be dropped;
            from then on nothing is taken but `finish`.
        stalls: Sees to it that what waits does not wait for ever.
    """

    __slots__ = (
        "_backlog",
        "_drained",
        "_limit_bytes",
        "_limit_writes",
        "_link",
        "_slow",
        "_stalls",
        "broken",
        "closed",
        "start",
    )

    def __init__(
        self,
        link: Link,
        *,
        limit_bytes: int,
        limit_writes: int,
        start: Start,
        slow: Slow,
        stalls: Stalls,
    ) -> None:
        self._link = link
        self._limit_bytes = limit_bytes
        self._limit_writes = limit_writes
        self.start = start
        self._slow = slow
        self._stalls = stalls
        self._backlog: Backlog | None = None  # there is one only while something waits
        self._drained: trio.Event | None = None
        self.closed = False
        self.broken = False

    @property
    def waiting_bytes(self) -> int:
        """How much waits, what is under way included."""
        return 0 if self._backlog is None else self._backlog.bytes

    def write(self, frames: bytes, portion: Portion | None = None, /) -> None:
        """Write whole frames now, or as soon as the client reads.

        Args:
            portion: What of a room is in them, if it has a rule of its own for slow members.
        """
        if self.closed:
            return
        if self._backlog is not None:
            if not self._backlog.put(frames, portion):
                self._cut(DEFAULT_RULE if portion is None else portion.rule)
            return
        try:
            sent = self._link.send_nowait(frames)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.broken = self.closed = True
            return
        if sent != len(frames):
            self._begin(frames[sent:])

    def finish(self, last: bytes) -> None:
        """Write ``last`` after what waits, and take no more.

        After an overflow it goes out instead of what waits.
        """
        if self.broken:
            return
        if self.closed and self._backlog is not None:
            self._backlog.clear()
        self.closed = False
        if self._backlog is not None:
            self._backlog.add(last)  # there is always room for the last
        else:
            self.write(last)
        self.closed = True

    def close(self) -> None:
        """Take no more."""
        self.closed = True

    async def drained(self) -> None:
        """Wait until nothing waits any more, or nothing can be written any more."""
        while self._backlog is not None and not self.broken:
            if self._drained is None or self._drained.is_set():
                self._drained = trio.Event()  # one for all who wait
            await self._drained.wait()

    def progress(self) -> int | None:
        """Return what changes when the peer's machine confirms anything; None while bytes wait."""
        return self._link.progress() if self._backlog is None else None

    def moved(self) -> bool:
        """Whether the client took anything of what waits since this was last asked."""
        backlog = self._backlog
        return backlog is None or backlog.has_moved(self._link.progress())

    def stall(self) -> None:
        """End the connection, because nothing of what waits for it moves."""
        if not self.closed:
            self._cut(SlowRule("deadline", "#"))

    def _cut(self, rule: SlowRule) -> None:
        self.closed = True
        self._slow.cut(rule)

    def _begin(self, rest: bytes) -> None:
        """Have the rest of a write wait, and all that follows."""
        self._backlog = Backlog(self._slow, rest, self._limit_bytes, self._limit_writes)
        self._stalls.watch(self)
        self.start(self._write_backlog)

    async def _write_backlog(self) -> None:
        """Write until nothing waits; a write that is cut short leaves the outbox broken."""
        backlog = self._backlog
        assert backlog is not None
        try:
            while data := backlog.take():
                await self._link.send_all(data)
                backlog.sent()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if backlog.bytes:
                self.broken = self.closed = True
            self._backlog = None
            self._stalls.forget(self)
            if self._drained is not None:
                self._drained.set()
