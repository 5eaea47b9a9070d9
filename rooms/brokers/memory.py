"""The broker of a single process: nothing to connect to, nothing that waits."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from msgspec import UNSET, Raw

from rooms.brokers.base import Broker, Deliver
from rooms.protocol.commands import Origin, Position, Publication


class MemoryBroker(Broker):
    """Keeps a room's count while somebody is subscribed; a room that comes back is a new epoch."""

    def __init__(self) -> None:
        self._life = secrets.token_hex(4)
        self._epochs = count(1)
        self._heads: dict[str, Position] = {}
        self._deliver: Deliver | None = None

    @asynccontextmanager
    async def open(self, deliver: Deliver) -> AsyncIterator[None]:
        self._deliver = deliver
        try:
            yield
        finally:
            self._deliver = None
            self._heads.clear()

    def subscribe_nowait(self, room: str) -> Position:
        return self._heads.setdefault(room, self._first_position())

    def unsubscribe(self, room: str) -> None:
        self._heads.pop(room, None)

    def publish_nowait(
        self, room: str, event: str, payload: Raw, sender: Origin | None = None
    ) -> Position:
        head = self._heads.get(room)
        if head is None:
            return Position(self._first_position().epoch, 1)  # nobody is there to hear it
        position = self._heads[room] = Position(head.epoch, head.offset + 1)
        if self._deliver is not None:
            origin = UNSET if sender is None else sender
            self._deliver(
                Publication(
                    event=event, room=room, payload=payload, sender=origin, position=position
                )
            )
        return position

    def _first_position(self) -> Position:
        return Position(f"{self._life}.{next(self._epochs)}", 0)
