"""The broker of several nodes, on Redis or Valkey.

A publication is one script: it counts, keeps the publication in the room's stream, remembers its
key and publishes it; then it is acknowledged.  Nodes hear it by pub/sub, which may lose messages
whenever a connection breaks.  So each node goes by the offsets: what it misses it reads from the
stream, before it delivers what came later.  What cannot be read any more is told as lost.

The engine's own memory decides what survives: with an append-only file nothing that was
acknowledged is lost when it restarts, and the epochs stay.  If the engine has lost something, the
room's epoch changes: the count is gone with the data, or a node finds that a position it has
delivered names something else now (after a failover to a replica that had not heard all).

Filters are one pattern subscription a node, which brings every publication; each node picks its
own.  A cluster has no patterns over its shards: there ``filters=true`` has every publication sent
to all servers of the cluster once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
import trio
from msgspec import Raw

from rooms.brokers.base import (
    KEY_SECONDS,
    Broker,
    Deliver,
    Lost,
    Publishing,
    Retain,
    ignore_lost,
    retain_nothing,
)
from rooms.brokers.notes import Notes
from rooms.brokers.peers import Peers
from rooms.brokers.redis_calls import AWAY, Call
from rooms.brokers.redis_catch_up import CatchUp
from rooms.brokers.redis_engine import Engine
from rooms.brokers.redis_messages import Arrived, BadMessage, decode, encode
from rooms.brokers.redis_notes import RedisNotes
from rooms.brokers.redis_pages import Pages
from rooms.brokers.redis_peers import RedisPeers
from rooms.brokers.redis_rooms import Heard
from rooms.brokers.redis_scripts import PUBLISH
from rooms.brokers.redis_url import RedisUrl
from rooms.core.filters import FilterCounts
from rooms.core.history import Page
from rooms.errors import Unavailable
from rooms.protocol.commands import Origin, Position, Publication
from rooms.protocol.topics import Filter

log = structlog.get_logger("rooms")


def _ignore(publication: Publication) -> None:
    """Take what is published while the broker is not open."""


class RedisBroker(Broker):
    """One node's end of an engine.

    Args:
        patience: Seconds for which opening, and later every call, waits for an engine that is away.
        ahead: Seconds by which the engine's time is taken to be later than it is, for tests.
    """

    begins = True

    def __init__(
        self, url: RedisUrl, patience: float = 10.0, *, ahead: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.engine = Engine(url, patience)
        self._names = self.engine.names
        self._heard: dict[str, Heard] = {}
        self._followed = FilterCounts()
        self._everything = _Everything(self)
        self._deliver: Deliver = _ignore
        self._retain: Retain = retain_nothing
        self._pages = Pages(self.engine, self._retention, ahead)
        self._catch_up = CatchUp(self.engine, self._pages, self._is_heard)
        self._peers = RedisPeers(self.engine, ahead=ahead)
        self._notes = RedisNotes(self.engine, ahead=ahead)

    @property
    def peers(self) -> Peers:
        return self._peers

    @property
    def notes(self) -> Notes:
        return self._notes

    @property
    def problem(self) -> str | None:
        return self.engine.problem

    @property
    def counts(self) -> Counter[str]:
        """How often things went wrong, by their name."""
        return self.engine.counts

    @asynccontextmanager
    async def open(
        self, deliver: Deliver, retain: Retain = retain_nothing, lost: Lost = ignore_lost
    ) -> AsyncIterator[None]:
        self._deliver, self._retain = deliver, retain
        self._catch_up.lost = lost
        try:
            async with self.engine.connected(), trio.open_nursery() as nursery:
                nursery.start_soon(self._catch_up.run)
                nursery.start_soon(self._catch_up.run_touching, self._heard)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._deliver = _ignore
            self._heard.clear()

    def subscribe_nowait(self, room: str) -> Position:
        heard = self._heard.get(room)
        if heard is None or heard.position is None or not heard.settled.is_set():
            raise trio.WouldBlock
        return heard.position

    async def subscribe(self, room: str) -> Position:
        await trio.lowlevel.checkpoint()
        heard = self._heard.get(room)
        if heard is None:
            heard = Heard(room, self._deliver_room, self._catch_up.wake, self._note)
            self._heard[room] = heard
            self.engine.listen(self._verb, self._names.room("c", room), heard)
        with trio.move_on_after(self.engine.patience):
            await heard.settled.wait()
        if heard.position is None or not heard.settled.is_set():
            raise Unavailable(AWAY)
        return heard.position

    def unsubscribe(self, room: str) -> None:
        if self._heard.pop(room, None) is not None:
            self.engine.unlisten(self._names.room("c", room))

    def follow_nowait(self, rooms: Filter) -> None:
        if not self._everything.settled.is_set():
            raise trio.WouldBlock
        self._followed.add(rooms)

    async def follow(self, rooms: Filter) -> None:
        await trio.lowlevel.checkpoint()
        if self.engine.sharded and not self.engine.url.options.filters:
            raise Unavailable("Filters need filters=true in the URL of a broker that is a cluster.")
        if not self._everything.listening:
            self._everything.listening = True
            self.engine.listen(*self._everything_channel(), self._everything)
        with trio.move_on_after(self.engine.patience):
            await self._everything.settled.wait()
        if not self._everything.settled.is_set():
            raise Unavailable(AWAY)
        self._followed.add(rooms)

    def unfollow(self, rooms: Filter) -> None:
        self._followed.remove(rooms)
        if not self._followed and self._everything.listening:
            self.engine.unlisten(self._everything_channel()[1])
            self._everything = _Everything(self)

    def publish_nowait(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        raise trio.WouldBlock

    async def publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None = None,
        key: str | None = None,
    ) -> Position:
        await trio.lowlevel.checkpoint()
        call = self._publication(room, event, payload, sender, key)
        await self.engine.call(call)
        return call.position()

    def begin_publish(
        self,
        room: str,
        event: str,
        payload: Raw,
        sender: Origin | None,
        key: str | None,
        landed: Callable[[], object],
    ) -> Publishing:
        call = self._publication(room, event, payload, sender, key)
        call.landed = landed
        self.engine.begin(call)
        return call

    def history_nowait(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        raise trio.WouldBlock

    async def history(
        self,
        room: str,
        limit: int,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = False,
    ) -> Page:
        await trio.lowlevel.checkpoint()
        return await self._pages.page(room, limit, since, before, newest_first)

    def _publication(
        self, room: str, event: str, payload: Raw, sender: Origin | None, key: str | None
    ) -> _Publication:
        body = encode(room, event, payload, sender)
        keys = self._pages.keys(room)
        if key is not None:
            keys.append(self._names.key(room, key))
        args = [*self._pages.life(room), *self._channels(room), body, KEY_SECONDS * 1000]
        return _Publication(PUBLISH, keys, args, again=key is not None, read=_position)

    # What is heard.

    def hear_anything(self, data: bytes) -> None:
        """Take a publication of any room, for filters."""
        try:
            arrived = decode(data)
        except BadMessage as error:
            self._note("", error)
            return
        publication = arrived.publication
        if publication is None or not self._followed.match(publication.room):
            return
        heard = self._heard.get(publication.room)
        if heard is not None:
            heard.take(arrived)
        else:
            self._deliver(publication)

    def _deliver_room(self, arrived: Arrived) -> None:
        assert arrived.publication is not None
        self._deliver(arrived.publication)

    def _note(self, room: str, error: BadMessage) -> None:
        """Count what is not ours, and say so the first time."""
        self.counts["ignored"] += 1
        self.counts[error.reason] += 1
        if self.counts[error.reason] == 1:
            log.warning("foreign message on the broker", room=room, reason=error.reason)

    def _is_heard(self, heard: Heard) -> bool:
        return self._heard.get(heard.room) is heard

    def _retention(self, room: str) -> Any:
        return self._retain(room)

    @property
    def _verb(self) -> Any:
        return "SSUBSCRIBE" if self.engine.sharded else "SUBSCRIBE"

    def _channels(self, room: str) -> list[str]:
        """Return how a room's members are told, and the channel for everybody."""
        channel = self._names.room("c", room)
        if not self.engine.sharded:
            return ["PUBLISH", channel, ""]
        all_rooms = self._names.shared("all") if self.engine.url.options.filters else ""
        return ["SPUBLISH", channel, all_rooms]

    def _everything_channel(self) -> tuple[Any, str]:
        if self.engine.sharded:
            return "SUBSCRIBE", self._names.shared("all")
        return "PSUBSCRIBE", self._names.room("c", "*")


class _Publication(Call):
    """A run of the script that publishes."""

    __slots__ = ()

    def position(self) -> Position:
        """Return where it was published.

        Raises:
            Unavailable: It failed.
        """
        position: Position = self.result()
        return position


def _position(answer: list[Any]) -> Position:
    epoch, offset = answer
    return Position(epoch.decode(), offset)


class _Everything:
    """Hears all rooms, for filters."""

    def __init__(self, broker: RedisBroker) -> None:
        self.settled = trio.Event()
        self.listening = False
        self._broker = broker

    def hear(self, data: bytes) -> None:
        self._broker.hear_anything(data)

    def confirmed(self) -> None:
        self.settled.set()
