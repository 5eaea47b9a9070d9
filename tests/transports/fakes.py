"""A connection, and what is at both ends of it, for the tests of transports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from rooms.errors import Disconnect
from rooms.protocol.parser import Message
from rooms.transports.base import Link


class FakeLink(Link):
    """A connection that a test plays the peer of.

    Args:
        watchable: Whether it calls, instead of being read.

    Attributes:
        full: Whether nothing can be sent at once.
    """

    def __init__(self, *, watchable: bool = False) -> None:
        self.sent = b""
        self.finished = False
        self.paused = False
        self.full = False
        self.readers = 0
        self.arrive: Callable[[bytes], None] | None = None
        self._watchable = watchable
        self._send, self._receive = trio.open_memory_channel[bytes](100)

    def comes(self, data: bytes) -> None:
        """Have ``data`` arrive; nothing means the end."""
        if self.arrive is None:
            self._send.send_nowait(data)
        else:
            self.arrive(data)

    def watch(self, call: Callable[[bytes], None]) -> bool:
        self.arrive = call if self._watchable else None
        return self._watchable

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def send_nowait(self, data: bytes) -> int:
        if self.full:
            raise BlockingIOError
        self.sent += data
        return len(data)

    async def send_all(self, data: bytes) -> None:
        self.sent += data
        await trio.lowlevel.checkpoint()

    async def receive_some(self) -> bytes:
        if self.readers:
            raise trio.BusyResourceError
        self.readers += 1
        try:
            return await self._receive.receive()
        finally:
            self.readers -= 1

    async def finish(self) -> None:
        if self.readers:
            raise trio.BusyResourceError
        self.finished = True
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@dataclass
class FakePace:
    """A limit for bytes."""

    bytes: int = 1_000_000


class FakeReceiver:
    """A session that keeps what it gets."""

    def __init__(self, limit: int = 100) -> None:
        self.heard = False
        self.full = False
        self.messages: list[Message] = []
        self.pongs: list[bytes] = []
        self.endings: list[bool] = []
        self.reasons: list[Disconnect] = []
        self.received_bytes = 0
        self.pace = FakePace()
        self.overdrafts = 0
        self.other_frames = 0
        self._limit = limit

    def overdraw(self, frames: int = 0) -> None:
        self.overdrafts += 1
        self.other_frames += frames

    def receive(self, opcode: int, payload: bytes) -> None:
        assert not self.full
        self.messages.append((opcode, payload))
        self.full = len(self.messages) >= self._limit

    def ponged(self, payload: bytes) -> None:
        self.pongs.append(payload)

    def end(self, reason: Disconnect) -> None:
        self.reasons.append(reason)

    def ended(self, clean: bool) -> None:
        self.endings.append(clean)
        self.full = False


class FakeWriter:
    """An outbox without a limit."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.last: bytes | None = None

    def write(self, frames: bytes) -> None:
        if self.last is None:
            self.written.append(frames)

    def finish(self, last: bytes) -> None:
        assert self.last is None
        self.last = last
