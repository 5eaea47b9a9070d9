"""Who is in the rooms of this node, on the way to the other nodes."""

from __future__ import annotations

import msgspec
import trio
from msgspec import Raw

from rooms.brokers.peers import Change, Peers
from rooms.core.elsewhere import Clients
from rooms.protocol.bus import BadMessage, Present, RoomChange, RoomsChanged, encode

FLUSH_ENTRIES = 400
"""The most connections in one message; with all that may be told of them, it is small enough."""

WAITING_ROOMS = 100_000
"""Rooms whose changes wait while they cannot be written; then all that is held is written anew."""

WAITING_CLIENTS = 1000
"""Connections of a room that are gone and wait; then the room is written anew."""

KEEP_ROOMS = 500
"""Rooms that are kept by one call."""


class Shares:
    """Collects changes until they can be written: what changes twice meanwhile is written once.

    Attributes:
        told: The number of the last message that the others were told: what they read after
            that has it in it.
        waiting: Set while something is to be written.
        lost: Whether so much waited that everything has to be written anew.
    """

    def __init__(self, node: str, peers: Peers) -> None:
        self._node = node
        self._peers = peers
        self._held: dict[str, Clients] = {}
        self._changed: dict[str, dict[str, None]] = {}
        self._whole: set[str] = set()  # of the changed rooms, those to be written anew
        self._flushing = trio.Lock()
        self._number = 0
        self.told = 0
        self.waiting = trio.Event()
        self.lost = False

    def put(self, room: str, client: str, user: str, details: Raw | None) -> None:
        """Note a connection, or what is told of it now."""
        self._held.setdefault(room, {})[client] = (
            Present(user) if details is None else Present(user, details)
        )
        self._note(room, client)

    def drop(self, room: str, client: str) -> None:
        """Note that a connection is gone; it need not have been there."""
        clients = self._held.get(room, {})
        if clients.pop(client, None) is None:
            return
        if not clients:
            del self._held[room]
        self._note(room, client)

    def write_anew(self) -> None:
        """Have everything written, whatever may have been written before."""
        self.lost = False
        for room in self._held:
            self._note_whole(room)

    async def flush(self) -> None:
        """Write all that waits, and tell the others.

        Raises:
            Unavailable: It could not be done; what was not written still waits.
        """
        async with self._flushing:
            while self._changed:
                await self._write(self._take())
            if self.waiting.is_set():  # somebody waits for the other one
                self.waiting = trio.Event()

    async def keep(self) -> None:
        """Keep all that is held; what is held no longer is written anew.

        Raises:
            Unavailable: It could not be done.
        """
        rooms = list(self._held)
        for start in range(0, len(rooms), KEEP_ROOMS):
            for room in await self._peers.keep(rooms[start : start + KEEP_ROOMS]):
                self._note_whole(room)

    async def clear(self) -> None:
        """Have nothing held any more; the others, who know that this node is gone, are not told.

        Raises:
            Unavailable: It could not be done.
        """
        rooms = list(self._held)
        for start in range(0, len(rooms), KEEP_ROOMS):
            self._number += 1
            empty = [Change(room, {}, True) for room in rooms[start : start + KEEP_ROOMS]]
            await self._peers.hold(self._number, empty)

    def _note(self, room: str, client: str) -> None:
        clients = self._changed.setdefault(room, {})
        clients[client] = None
        if len(clients) > WAITING_CLIENTS + len(self._held.get(room, ())):
            clients.clear()
            self._whole.add(room)
        if len(self._changed) > WAITING_ROOMS:
            self._changed.clear()
            self._whole.clear()
            self.lost = True
        self.waiting.set()

    def _note_whole(self, room: str) -> None:
        self._changed.setdefault(room, {})
        self._whole.add(room)
        self.waiting.set()

    def _take(self) -> dict[str, RoomChange]:
        """Return the next changes to write, and count them as written."""
        taken: dict[str, RoomChange] = {}
        free = FLUSH_ENTRIES
        while self._changed and free > 0:
            room = next(iter(self._changed))
            taken[room] = change = self._take_room(room, free)
            free -= 1 + len(change.clients)
        return taken

    def _take_room(self, room: str, most: int) -> RoomChange:
        clients, held = self._changed.pop(room), self._held.get(room, {})
        whole = room in self._whole or not held
        self._whole.discard(room)
        names = list(held if whole else clients)
        if len(names) > most:
            self._changed[room] = dict.fromkeys(names[most:])
        return RoomChange({name: held.get(name) for name in names[:most]}, whole)

    async def _write(self, taken: dict[str, RoomChange]) -> None:
        written = False
        try:
            self._number = number = self._number + 1
            await self._peers.hold(number, [_entries(*item) for item in taken.items()])
            await self._tell(RoomsChanged(number, taken))
            self.told = number
            written = True
        finally:
            if not written:
                self._put_back(taken)

    async def _tell(self, message: RoomsChanged) -> None:
        try:
            data = encode(self._node, message)
        except BadMessage:
            return  # the others miss a number, and read what was written
        await self._peers.tell(data)

    def _put_back(self, taken: dict[str, RoomChange]) -> None:
        for room, change in taken.items():
            if change.whole:
                self._note_whole(room)
            for client in change.clients:
                self._note(room, client)


def _entries(room: str, change: RoomChange) -> Change:
    entries = {
        client: None if present is None else msgspec.json.encode(present)
        for client, present in change.clients.items()
    }
    return Change(room, entries, change.whole)
