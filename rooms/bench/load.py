"""When which room publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import floor
from typing import TYPE_CHECKING

from rooms.bench.shares import RoomShare
from rooms.protocol.commands import Position

if TYPE_CHECKING:
    from rooms.bench.connection import Connection

Publish = Callable[["Room", list[int]], None]
"""Publishes in a room once for each time given, in nanoseconds of the monotonic clock."""


class Room:
    """One room as one worker sees it: its share of the members.

    Attributes:
        publisher: The connection that publishes, if it lives in this worker.
        position: Where the room stood when somebody joined last.
        elsewhere: For the publisher: how many publications each other worker's members have.
    """

    __slots__ = (
        "delivered",
        "elsewhere",
        "members",
        "position",
        "published",
        "publisher",
        "share",
        "told",
    )

    def __init__(self, share: RoomShare) -> None:
        self.share = share
        self.members = share.members
        self.publisher: Connection | None = None
        self.position: Position | None = None
        self.published = 0
        self.delivered = 0
        self.told = 0
        self.elsewhere: dict[int, int] = {}

    @property
    def completed(self) -> int:
        """How many publications all members in this worker have."""
        return self.delivered // self.members

    @property
    def finished(self) -> int:
        """How many publications all members in all workers have, as far as is known here."""
        if len(self.elsewhere) < self.share.sharing - 1:
            return 0
        return min([self.completed, *self.elsewhere.values()])


class ClosedLoop:
    """Keeps up to ``window`` publications of each room under way."""

    def __init__(self, window: int, publish: Publish) -> None:
        self._window = window
        self._publish = publish

    def advance(self, rooms: Iterable[Room], now: int) -> None:
        """Publish in those of the ``rooms`` where something was finished."""
        for room in rooms:
            missing = room.finished + self._window - room.published
            if missing > 0 and room.publisher is not None:
                self._publish(room, [now] * missing)


class OpenLoop:
    """Publishes in each room at a fixed rate, the rooms one after the other.

    A publication carries the time when it was due, so that a server which falls behind is charged
    for the wait.
    """

    def __init__(self, rate: float, rooms: list[Room], publish: Publish, start: int) -> None:
        self._period = 1e9 / rate
        self._rooms = [room for room in rooms if room.publisher is not None]
        self._publish = publish
        self._start = start
        self._turns = 0

    def advance(self, now: int) -> None:
        """Publish everything that is due."""
        due: dict[Room, list[int]] = {}
        while self._rooms and self._time(self._turns) <= now:
            room = self._rooms[self._turns % len(self._rooms)]
            due.setdefault(room, []).append(self._time(self._turns))
            self._turns += 1
        for room, times in due.items():
            self._publish(room, times)

    def wait(self, now: int) -> float:
        """Return how many seconds a poll may last; it knows only whole milliseconds."""
        if not self._rooms:
            return 0.1
        return min(max(floor((self._time(self._turns) - now) / 1e6), 0) / 1000, 0.1)

    def _time(self, turn: int) -> int:
        return self._start + int(turn * self._period / len(self._rooms))
