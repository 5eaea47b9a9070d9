"""A broker for several nodes that can do nothing at once: a bus with a task for every node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from msgspec import UNSET, Raw

from rooms.brokers.base import Broker, Deliver, Lost, Retain, ignore_lost, retain_nothing
from rooms.brokers.keys import Keys
from rooms.core.filters import FilterCounts
from rooms.core.history import Kept, Page, Stream
from rooms.protocol.commands import Origin, Position, Publication
from rooms.protocol.topics import Filter

QUEUE = 100


class Bus:
    """What the nodes share: the streams of all rooms, and the way to every node."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        self.keys = Keys()
        self.nodes: list[BusBroker] = []
        self.lock = trio.Lock()  # fair, so every node gets publications in the same order


class BusBroker(Broker):
    """One node's end of a `Bus`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._subscribed: set[str] = set()
        self._followed = FilterCounts()
        self._retain: Retain = retain_nothing
        self._send, self._receive = trio.open_memory_channel[Publication](QUEUE)

    @asynccontextmanager
    async def open(
        self, deliver: Deliver, retain: Retain = retain_nothing, lost: Lost = ignore_lost
    ) -> AsyncIterator[None]:
        self._retain = retain
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

    def follow_nowait(self, rooms: Filter) -> None:
        raise trio.WouldBlock

    def unfollow(self, rooms: Filter) -> None:
        self._followed.remove(rooms)

    def publish_nowait(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        raise trio.WouldBlock

    def history_nowait(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        raise trio.WouldBlock

    async def subscribe(self, room: str) -> Position:
        async with self._bus.lock:
            self._subscribed.add(room)
            return self._stream(room).position

    async def follow(self, rooms: Filter) -> None:
        async with self._bus.lock:
            self._followed.add(rooms)

    async def publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        async with self._bus.lock:
            now = trio.current_time()
            if key is not None and (known := self._bus.keys.find(room, key, now)):
                return known
            stream, origin = self._stream(room), UNSET if sender is None else sender
            position = stream.advance()
            stream.keep(Kept(now, event, payload.copy(), origin))
            if key is not None:
                self._bus.keys.remember(room, key, position, now)
            publication = Publication(
                event=event, room=room, payload=payload, sender=origin, position=position
            )
            with trio.CancelScope(shield=True):  # to all nodes or to none
                for node in self._bus.nodes:
                    await node._send.send(publication)
            return position

    async def history(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        async with self._bus.lock:
            stream = self._stream(room)
            return stream.page(trio.current_time(), limit, since, before, newest_first)

    def _stream(self, room: str) -> Stream:
        new = Stream(room, Position("e1", 0), self._retain(room))
        return self._bus.streams.setdefault(room, new)

    async def _deliver_all(self, deliver: Deliver) -> None:
        async for publication in self._receive:
            if publication.room in self._subscribed or self._followed.match(publication.room):
                deliver(publication)
