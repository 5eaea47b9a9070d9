"""The room tokens that a connection has shown, each for as long as it holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import trio

from rooms.core.grants import Action, Grants

StartTask = Callable[[Callable[[], Awaitable[None]]], object]


class Pass(NamedTuple):
    """What a room token allows in its room, and until when by Trio's clock."""

    grants: Grants
    deadline: float


class Passes:
    """The room tokens of one connection, one for each of its rooms at most.

    Args:
        start: Starts a task that ends with the connection.
        notice: Called when tokens have expired.

    Attributes:
        expired: The rooms of those that have, and that were not left since.
    """

    __slots__ = ("_by_room", "_changed", "_notice", "_start", "_watching", "expired")

    def __init__(self, start: StartTask, notice: Callable[[], None]) -> None:
        self._start = start
        self._notice = notice
        self.expired: set[str] = set()
        self._by_room: dict[str, Pass] = {}
        self._changed = trio.Event()
        self._watching = False

    def __len__(self) -> int:
        return len(self._by_room)

    def allow(self, action: Action, room: str) -> bool:
        """Whether the token for ``room`` allows ``action`` there."""
        shown = self._by_room.get(room)
        if shown is None or shown.deadline <= trio.current_time():
            return False
        return shown.grants.allow(action, room)

    def add(self, room: str, shown: Pass) -> None:
        """Hold a token for ``room``, instead of the one that is there."""
        self.expired.discard(room)
        self._by_room[room] = shown
        self._changed.set()
        if not self._watching:
            self._watching = True
            self._start(self._watch)

    def drop(self, room: str) -> None:
        """Forget the token for ``room``; there need not be one."""
        self.expired.discard(room)
        if self._by_room.pop(room, None) is not None:
            self._changed.set()

    async def _watch(self) -> None:
        """Wait for the next token that expires, until there is none."""
        while self._by_room:
            self._changed = trio.Event()
            with trio.move_on_at(min(each.deadline for each in self._by_room.values())):
                await self._changed.wait()
            self._expire()
        self._watching = False

    def _expire(self) -> None:
        now = trio.current_time()
        ended = [room for room, each in self._by_room.items() if each.deadline <= now]
        for room in ended:
            del self._by_room[room]
        if ended:
            self.expired.update(ended)
            self._notice()
