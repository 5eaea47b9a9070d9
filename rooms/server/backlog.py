"""What waits for a client that does not read fast enough, and what it loses if that is too much."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio
from msgspec import UNSET

from rooms.core.slow import DEFAULT_RULE, Portion, SlowRule
from rooms.protocol.commands import Dropped
from rooms.protocol.dialects.base import Dialect

WRITE_BYTES = 65536
"""What is under way can be dropped no more, so no more is written at once."""

RESERVED_PART = 8
"""One in so many bytes and writes is kept free of what may be dropped: for replies and pings."""

Write = tuple[bytes, Portion | None]


class Slow(Protocol):
    """What a backlog needs of the connection that it is of."""

    @property
    def dialect(self) -> Dialect: ...

    def cut(self, rule: SlowRule) -> None:
        """End the connection, because of a rule."""
        ...

    def lost(self, portion: Portion, first: bool) -> None:
        """Take note of messages that were dropped.

        Args:
            first: Whether none of that room were since the client last read.
        """
        ...


class Backlog:
    """Whole frames in their order, from the first that the kernel did not take to the last.

    Args:
        slow: The connection.
        rest: Of a write that the kernel took only in part: must go out, and first.
        limit_bytes: The most that may wait, what is under way included.
        limit_writes: The most writes that may wait.

    Attributes:
        bytes: How much waits, what is under way included.
    """

    __slots__ = (
        "_dropped_newest",
        "_dropped_oldest",
        "_first",
        "_limit_bytes",
        "_limit_writes",
        "_moved",
        "_progress",
        "_receive",
        "_rest",
        "_send",
        "_slow",
        "_under_way",
        "_writes",
        "bytes",
    )

    def __init__(self, slow: Slow, rest: bytes, limit_bytes: int, limit_writes: int) -> None:
        self._slow = slow
        self._rest = rest
        self._limit_bytes = limit_bytes
        self._limit_writes = limit_writes
        self._first: deque[Write] = deque()  # older than what is in the channel, never dropped
        # made when a second write has to wait: often none does
        self._send: trio.MemorySendChannel[Write] | None = None
        self._receive: trio.MemoryReceiveChannel[Write] | None = None
        self._writes = 0
        self._under_way = 0
        self._dropped_oldest: dict[str, Portion] = {}
        self._dropped_newest: dict[str, Portion] = {}
        self._moved = False
        self._progress: int | None = None
        self.bytes = len(rest)

    def put(self, frames: bytes, portion: Portion | None) -> bool:
        """Have ``frames`` wait, if there is room for them.

        Returns:
            Whether the client may stay: it must go if they neither fit nor may be dropped.
        """
        rule = DEFAULT_RULE if portion is None else portion.rule
        if portion is None or rule.policy == "disconnect":
            if self.bytes + len(frames) > self._limit_bytes or self._writes >= self._limit_writes:
                return False
        elif not POLICIES[rule.policy](self, len(frames), portion):
            return True
        self.add(frames, portion)
        return True

    def add(self, frames: bytes, portion: Portion | None = None) -> None:
        """Have ``frames`` wait: there is room for one write more than the limit, the last."""
        if self._send is None:
            self._send, self._receive = trio.open_memory_channel[Write](self._limit_writes + 1)
        self._send.send_nowait((frames, portion))
        self.bytes += len(frames)
        self._writes += 1

    def take(self) -> bytes:
        """Return what is to be written next, nothing at the end; it is under way until `sent`.

        Where messages were dropped, the client is told of it.
        """
        taken, size = [self._rest, *self._notices(self._dropped_oldest)], len(self._rest)
        self._rest = b""
        while size < WRITE_BYTES and (write := self._next()):
            taken.append(write[0])
            size += len(write[0])
        if not self._writes:
            taken += self._notices(self._dropped_newest)
        data = b"".join(taken)
        self.bytes += len(data) - size  # the notices were not counted before
        self._under_way = len(data)
        return data

    def sent(self) -> None:
        """Note that what was under way has been written."""
        self.bytes -= self._under_way
        self._under_way = 0
        self._moved = True

    def clear(self) -> None:
        """Forget what has not begun to be written."""
        while self._next():
            pass
        self.bytes = self._under_way + len(self._rest)
        self._dropped_oldest.clear()
        self._dropped_newest.clear()

    def has_moved(self, progress: int | None) -> bool:
        """Whether anything has moved since this was last asked.

        Args:
            progress: Of the link: it tells of less than what `sent` does, where it is known.
        """
        crept = self._progress is not None and progress != self._progress
        moved = self._moved or crept
        self._moved, self._progress = False, progress
        return moved

    def fits(self, size: int) -> bool:
        """Whether there is room for what may be dropped."""
        most_bytes = self._limit_bytes - self._limit_bytes // RESERVED_PART
        most_writes = self._limit_writes - self._limit_writes // RESERVED_PART
        return self.bytes + size <= most_bytes and self._writes < most_writes

    def drop_waiting(self) -> bool:
        """Drop the oldest write whose rule is to drop the oldest; return whether there is one."""
        while self._receive is not None and self._writes > len(self._first):
            frames, portion = self._receive.receive_nowait()
            if portion is not None and portion.rule.policy == "drop_oldest":
                self.bytes -= len(frames)
                self._writes -= 1
                self._lose(self._dropped_oldest, portion)
                return True
            self._first.append((frames, portion))
        return False

    def drop_oldest(self, size: int, portion: Portion) -> bool:
        """Make room by dropping what came before; return whether there is room then."""
        while not self.fits(size):
            if not self.drop_waiting():
                self._lose(self._dropped_oldest, portion)
                return False
        return True

    def drop_newest(self, size: int, portion: Portion) -> bool:
        """Drop this and all that comes of its room until the client has got what waits.

        Returns:
            Whether nothing had to be dropped.
        """
        if portion.room not in self._dropped_newest and self.fits(size):
            return True
        self._lose(self._dropped_newest, portion)
        return False

    def _next(self) -> Write | None:
        """Take the oldest write out of what waits; its bytes still count."""
        if not self._writes:
            return None
        self._writes -= 1
        if self._first:
            return self._first.popleft()
        assert self._receive is not None
        return self._receive.receive_nowait()

    def _lose(self, dropped: dict[str, Portion], portion: Portion) -> None:
        before = dropped.get(portion.room)
        dropped[portion.room] = portion if before is None else before.plus(portion)
        self._slow.lost(portion, before is None)

    def _notices(self, dropped: dict[str, Portion]) -> list[bytes]:
        """Return what tells the client of dropped messages, and forget them."""
        notices = [self._slow.dialect.encode(_notice(portion)) for portion in dropped.values()]
        dropped.clear()
        return notices


POLICIES: dict[str, Callable[[Backlog, int, Portion], bool]] = {
    "drop_oldest": Backlog.drop_oldest,
    "drop_newest": Backlog.drop_newest,
}
"""What each policy does with a write that may be dropped; returns whether it is to wait."""


def _notice(portion: Portion) -> Dropped:
    return Dropped(
        room=portion.room,
        count=portion.publications,
        position=portion.position,
        presence=portion.presence or UNSET,
    )
