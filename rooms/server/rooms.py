"""A room, as applications see it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import trio

from rooms.core.history import Page
from rooms.protocol.commands import Origin, Position, Presence, Publication
from rooms.protocol.names import check_room

if TYPE_CHECKING:
    from rooms.server.client import Client
    from rooms.server.node import Node

log = structlog.get_logger("rooms")

SUBSCRIPTION_EVENTS = 256
"""The most events that wait for one in-process subscriber; then the oldest is dropped."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One event of a room, as an in-process subscriber gets it."""

    event: str
    payload: Any
    room: str
    sender: Origin | None
    position: Position


class RoomHandle:
    """A room by its name; it need not have any members.

    Raises:
        InvalidName, ReservedName: No room can have that name.
    """

    __slots__ = ("_node", "name")

    def __init__(self, node: Node, name: str) -> None:
        self._node = node
        self.name = check_room(name)

    def __repr__(self) -> str:
        return f"<RoomHandle {self.name!r}>"

    @property
    def members(self) -> list[Client]:
        """The connections of this node that are in the room."""
        room, sessions = self._node.hub.rooms.get(self.name), self._node.sessions
        return [] if room is None else [sessions[member.id].client for member in room]

    @property
    def count(self) -> int:
        """How many users are in the room, those included who may be back in a moment.

        Those of all nodes, if somebody on this one is in it; else 0, see `fetch_count`.
        """
        room = self._node.hub.rooms.get(self.name)
        return 0 if room is None else len(room.roster)

    @property
    def position(self) -> Position | None:
        """Of the last publication, where the room is open here."""
        room = self._node.hub.rooms.get(self.name)
        return None if room is None else room.position

    def presence(self, limit: int = 100, after: str | None = None) -> Presence:
        """Return users of the room in the order of their names, each with its connections.

        Args:
            limit: The most users; where they have many details there may be fewer.
            after: The last user of the page before; the page behind the last one is empty.
        """
        room = self._node.hub.rooms.get(self.name)
        users = {} if room is None else room.roster.page(limit, after).users
        return msgspec.json.decode(msgspec.json.encode(users), type=Presence)

    async def fetch_presence(self, limit: int = 100, after: str | None = None) -> Presence:
        """As `presence`, also where nobody on this node is in the room: other nodes are asked.

        Raises:
            Unavailable: The broker cannot tell for the moment.
        """
        room = await self._node.open_room(self.name)
        try:
            return self.presence(limit, after)
        finally:
            self._node.release_room(room)

    async def fetch_count(self) -> int:
        """As `count`, also where nobody on this node is in the room: other nodes are asked.

        Raises:
            Unavailable: The broker cannot tell for the moment.
        """
        room = await self._node.open_room(self.name)
        try:
            return self.count
        finally:
            self._node.release_room(room)

    async def publish(self, event: str, payload: Any = None, key: str | None = None) -> Position:
        """Publish an event to all members and return its position.

        Args:
            key: An event of the same name, published again with the same key within five
                minutes, is not published again and the first position is returned.

        Raises:
            TypeError: ``payload`` cannot be said in JSON.
            Unavailable: The broker cannot take it for the moment.  If it went away meanwhile and
                there is no key, it may have been published all the same; the message says so.
        """
        raw = msgspec.Raw(msgspec.json.encode(payload))
        named = None if key is None else f"{key}\n{event}"
        return await self._node.broker.publish(self.name, event, raw, None, named)

    async def history(
        self,
        limit: int = 50,
        *,
        since: Position | None = None,
        before: Position | None = None,
        newest_first: bool = True,
    ) -> Page:
        """Return a page of what was published here, as far as it is kept.

        Args:
            limit: The most publications in the page.
            since: Only what came after.
            before: Only what came before.

        Raises:
            Unrecoverable: Something after ``since`` is not kept any more, or a position is not of
                this room's present life.
            Unavailable: The broker cannot tell for the moment.
        """
        return await self._node.broker.history(self.name, limit, since, before, newest_first)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[trio.MemoryReceiveChannel[Delivered]]:
        """Take part without a connection: ``async with room.subscribe() as events``.

        At most `SUBSCRIPTION_EVENTS` wait; then the oldest are dropped.
        """
        send, receive = trio.open_memory_channel[Delivered](SUBSCRIPTION_EVENTS)

        def listen(publication: Publication) -> None:
            event = _delivered(publication)
            if event is None:
                return
            if send.statistics().current_buffer_used == SUBSCRIPTION_EVENTS:
                receive.receive_nowait()
            send.send_nowait(event)

        room = await self._node.open_room(self.name)
        self._node.hub.listen(room, listen)
        try:
            with send, receive:
                yield receive
        finally:
            room.listeners.remove(listen)
            self._node.release_room(room)


def _delivered(publication: Publication) -> Delivered | None:
    """Return what a subscriber gets, or nothing for JSON that no Python number can hold."""
    sender = publication.sender
    try:
        payload = msgspec.json.decode(publication.payload)
    except (msgspec.MsgspecError, RecursionError):
        log.warning("unreadable payload", room=publication.room, published=publication.event)
        return None
    return Delivered(
        event=publication.event,
        payload=payload,
        room=publication.room,
        sender=sender if isinstance(sender, Origin) else None,
        position=publication.position,
    )
