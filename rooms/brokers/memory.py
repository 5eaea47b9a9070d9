"""The broker of a single process: nothing to connect to, nothing that waits."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from sys import intern

import trio
from msgspec import UNSET, Raw

from rooms.brokers.base import Broker, Deliver, Lost, Retain, ignore_lost, retain_nothing
from rooms.brokers.keys import Keys
from rooms.core.filters import FilterCounts
from rooms.core.history import Kept, Page, Stream
from rooms.protocol.commands import Origin, Position, Publication
from rooms.protocol.topics import Filter

IDLE_ROOMS = 250_000
"""The most rooms whose history is kept while nobody is there; then the longest idle ones go."""

SWEEP_SECONDS = 10
"""How often what is too old is looked for."""

SWEEP_CHUNK = 1000
"""Rooms looked through before others may run."""


def _ignore(publication: Publication) -> None:
    """Take what is published while the broker is not open."""


class MemoryBroker(Broker):
    """Counts a room's publications while somebody is there, or while its history is kept.

    A room that was forgotten begins again with a new epoch.
    """

    def __init__(self) -> None:
        self._life = secrets.token_hex(4)
        self._epochs = count(1)
        self._subscribed: dict[str, Stream] = {}
        self._idle: dict[str, Stream] = {}  # the longest idle first
        self._followed = FilterCounts()
        self._keys = Keys()
        self._now: Callable[[], float] = trio.current_time
        self._deliver: Deliver = _ignore
        self._retain: Retain = retain_nothing

    @asynccontextmanager
    async def open(
        self, deliver: Deliver, retain: Retain = retain_nothing, lost: Lost = ignore_lost
    ) -> AsyncIterator[None]:
        self._deliver, self._retain = deliver, retain
        self._now = trio.lowlevel.current_clock().current_time  # a third of the usual way's cost
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._deliver = _ignore
            self._subscribed.clear()
            self._idle.clear()

    def subscribe_nowait(self, room: str) -> Position:
        stream = self._subscribed.get(room)
        if stream is None:
            stream = self._unheard(room)
            self._idle.pop(room, None)
            self._subscribed[room] = stream
        return stream.position

    def unsubscribe(self, room: str) -> None:
        stream = self._subscribed.pop(room, None)
        if stream is not None:
            self._rest(stream)

    def follow_nowait(self, rooms: Filter) -> None:
        self._followed.add(rooms)

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
        if key is not None and (known := self._keys.find(room, key, self._now())):
            return known
        origin = UNSET if sender is None else sender
        stream = self._subscribed.get(room)
        heard = stream is not None or (bool(self._followed) and self._followed.match(room))
        if stream is None:
            stream = self._unheard(room)
        position = stream.advance()
        if stream.retention.messages:
            name = intern(event)  # a tenth of what a room keeps would be this name, again and again
            stream.keep(Kept(self._now(), name, payload.copy(), origin))
        if key is not None:
            self._keys.remember(room, key, position, self._now())
        if heard:
            self._deliver(
                Publication(
                    event=event, room=room, payload=payload, sender=origin, position=position
                )
            )
        return position

    def history_nowait(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        stream = self._subscribed.get(room)
        if stream is None:
            stream = self._unheard(room)
        return stream.page(self._now(), limit, since, before, newest_first)

    def _unheard(self, room: str) -> Stream:
        """Return the stream of a room where nobody is; it stays if it is to be kept."""
        stream = self._idle.pop(room, None)
        if stream is not None:
            self._idle[room] = stream  # the last to go again
        else:
            position = Position(f"{self._life}.{next(self._epochs)}", 0)
            stream = Stream(room, position, self._retain(room))
            self._rest(stream)
        return stream

    def _rest(self, stream: Stream) -> None:
        """Keep what is to be kept of a room where nobody is."""
        if not stream.retention.messages:
            return
        stream.used_at = self._now()
        self._idle[stream.room] = stream
        if len(self._idle) > IDLE_ROOMS:
            del self._idle[next(iter(self._idle))]

    async def _sweep(self) -> None:
        """Forget what is too old, for ever, a chunk of rooms at a time."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            self._keys.forget(self._now())
            streams = [*self._subscribed.values(), *self._idle.values()]
            for start in range(0, len(streams), SWEEP_CHUNK):
                for stream in streams[start : start + SWEEP_CHUNK]:
                    self._sweep_stream(stream, self._now())
                await trio.lowlevel.checkpoint()

    def _sweep_stream(self, stream: Stream, now: float) -> None:
        stream.expire(now)
        over = stream.used_at + stream.retention.seconds <= now
        if over and len(stream) == 0 and self._idle.get(stream.room) is stream:
            del self._idle[stream.room]
