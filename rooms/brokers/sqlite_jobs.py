"""What waits for the durable broker's writer, and who waits for it to be done."""

from __future__ import annotations

import trio
from msgspec import Raw

from rooms.brokers.sqlite_store import Entry, sender_text
from rooms.errors import Unavailable
from rooms.protocol.commands import Origin, Position


class Job:
    """Something that the writer is asked to do in a room."""

    __slots__ = ("_done", "_failed", "_position", "room")

    def __init__(self, room: str) -> None:
        self.room = room
        self._done = trio.Event()
        self._position: Position | None = None
        self._failed = False

    async def ended(self) -> Position | None:
        """Wait for the position; None if it was given up before it was tried.

        Raises:
            Unavailable: It was tried and failed.
        """
        await self._done.wait()
        if self._failed:
            raise Unavailable("The server cannot store anything for the moment; try again.")
        return self._position

    def succeed(self, position: Position) -> None:
        """Tell those who wait that it is done."""
        self._position = position
        self._done.set()

    def fail(self) -> None:
        """Tell those who wait that it was tried and failed."""
        self._failed = True
        self._done.set()

    def give_up(self) -> None:
        """Tell those who wait that it will not be tried."""
        self._done.set()


class Subscribe(Job):
    """Find out where the room stands.

    Attributes:
        left: Whether who asked has gone away.
    """

    __slots__ = ("left",)

    def __init__(self, room: str) -> None:
        super().__init__(room)
        self.left = False

    async def ended(self) -> Position | None:
        try:
            return await super().ended()
        finally:
            self.left = not self._done.is_set()


class Publish(Job):
    """Store a publication."""

    __slots__ = ("entry", "payload", "sender")

    def __init__(
        self, room: str, event: str, payload: Raw, sender: Origin | None, key: str | None
    ) -> None:
        super().__init__(room)
        self.payload = payload
        self.sender = sender
        self.entry = Entry(room, event, bytes(payload), sender_text(sender), key)
