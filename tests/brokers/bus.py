"""A broker for several nodes that can do nothing at once: a bus with a task for every node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from msgspec import UNSET, Raw

from rooms.brokers.base import Broker, Deliver
from rooms.protocol.commands import Origin, Position, Publication

QUEUE = 100


class Bus:
    """What the nodes share: the heads of all rooms, and the way to every node."""

    def __init__(self) -> None:
        self.heads: dict[str, Position] = defaultdict(lambda: Position("e1", 0))
        self.nodes: list[BusBroker] = []
        self.lock = trio.Lock()  # fair, so every node gets publications in the same order


class BusBroker(Broker):
    """One node's end of a `Bus`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._subscribed: set[str] = set()
        self._send, self._receive = trio.open_memory_channel[Publication](QUEUE)

    @asynccontextmanager
    async def open(self, deliver: Deliver) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver_all, deliver)
            self._bus.nodes.append(self)
            yield
            self._bus.nodes.remove(self)
            nursery.cancel_scope.cancel()

    def subscribe_nowait(self, room: str) -> Position:
        raise trio.WouldBlock

    def unsubscribe(self, room: str) -> None:
        self._subscribed.discard(room)

    def publish_nowait(
        self, room: str, event: str, payload: Raw, sender: Origin | None = None
    ) -> Position:
        raise trio.WouldBlock

    async def subscribe(self, room: str) -> Position:
        async with self._bus.lock:
            self._subscribed.add(room)
            return self._bus.heads[room]

    async def publish(
        self, room: str, event: str, payload: Raw, sender: Origin | None = None
    ) -> Position:
        async with self._bus.lock:
            head = self._bus.heads[room]
            position = self._bus.heads[room] = Position(head.epoch, head.offset + 1)
            origin = UNSET if sender is None else sender
            publication = Publication(
                event=event, room=room, payload=payload, sender=origin, position=position
            )
            for node in self._bus.nodes:
                await node._send.send(publication)
            return position

    async def _deliver_all(self, deliver: Deliver) -> None:
        async for publication in self._receive:
            if publication.room in self._subscribed:
                deliver(publication)
